"""How well slots and rates are used, and how soon ends are seen: the real daemon on virtual time.

`python -m tests.benchmarks.figures_slots [URL]`
"""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests import using


def played(scene: Callable[..., Any], **arguments: Any) -> Any:
    with tempfile.TemporaryDirectory(prefix="ferryman-benchmark-") as folder:
        return scene(Path(folder), **arguments)


def main() -> None:
    slots = played(using.use_of_slots)
    figures = {"slots": slots["use"], "slots_lists": f"{slots['lists']} lists in {slots['seconds']:.0f} s"}
    for allowed in (5, 50, 500):
        seconds = 60 if allowed < 500 else 20
        rate = played(using.use_of_rate, allowed=allowed, ceiling=allowed, seconds=seconds)
        figures[f"rate_{allowed}"] = rate["use"]
        figures[f"throttled_{allowed}"] = rate["throttled"]
    unknown = played(using.use_of_rate, allowed=50, ceiling=80, seconds=120)
    figures["rate_found_out"] = unknown["use"]
    figures["throttled_found_out"] = unknown["throttled"]
    late = played(using.lateness, jobs=200)
    figures["late_p99_s"] = late[int(0.99 * len(late))]
    print(json.dumps(figures))  # noqa: T201 - the figures


if __name__ == "__main__":
    main()
