"""How long groups wait beside one that dumps many jobs: the real daemon on virtual time, 20 slots, jobs of 60 s.

`python -m tests.benchmarks.figures_groups [URL]`: two groups hand over twenty jobs each while a third has a few hundred
or many thousand waiting; seconds until the last of the twenty is created, and what they were told to expect.
"""

import json
from typing import Any

from tests import using
from tests.benchmarks.figures_slots import played

FEW = 500
MANY = 10_000
OTHERS = 20


def main() -> None:
    figures: dict[str, Any] = {}
    for name, dumped in (("few", FEW), ("many", MANY)):
        taken = played(using.waiting_of_groups, dumped=dumped, others=OTHERS)
        figures[f"waited_{name}_s"] = max(taken["waited"].values())
        figures[f"estimated_{name}_s"] = max(each["etaSeconds"] for each in taken["estimated"].values())
        figures[f"dumped_meanwhile_{name}"] = taken["dumped_meanwhile"]
    figures["longer"] = figures["waited_many_s"] / figures["waited_few_s"]
    waits = ", ".join(f"{figures[f'waited_{each}_s']:.0f} s" for each in ("few", "many"))
    figures["shown"] = f"{waits}; they were told {figures['estimated_many_s']:.0f} s"
    print(json.dumps(figures))  # noqa: T201 - the figures


if __name__ == "__main__":
    main()
