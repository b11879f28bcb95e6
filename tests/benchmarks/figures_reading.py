"""Reads of a pass over many running jobs among a long history of the same hour, on virtual time.

`python -m tests.benchmarks.figures_reading [URL] [RUNNING FINISHED PAGE]`. A tenth of everything, the page included,
unless asked otherwise: 10,000 among 200,000 with AWS's pages of 1,000.
"""

import json
import math
import sys
import tempfile
from pathlib import Path

from tests import using


def main(running: int, finished: int, page: int) -> None:
    with tempfile.TemporaryDirectory(prefix="ferryman-benchmark-") as folder:
        facts = using.reads_of_passes(Path(folder), running=running, finished=finished, page=page, passes=3)
    figures = {
        "lists": max(facts["lists"]),
        "gets": facts["gets"],
        "anchor": f"ceil(n/page) is {math.ceil(running / page)}; a Get each is {running}",
    }
    print(json.dumps(figures))  # noqa: T201 - the figures


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:] if word.isdecimal()]
    main(*(numbers or [1_000, 20_000, 100]))
