"""How quick the dashboard is in Chromium, by the browser's own timing: one JSON object on standard output.

The overview with 10,000 jobs: first contentful paint, and the numbers in their places. The list of 100,000 jobs, with
several filters: from the question of the page to its rows in the document. Medians of `VISITS` fresh visits each; a
visit to a list is also told without the daemon's share. Run it on a quiet machine:
`python -m tests.benchmarks.figures_dashboard`.
"""

import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
from playwright.sync_api import Page, sync_playwright

from tests.dashboard.conftest import CHROMIUM, FLAGS, SCOPES
from tests.dashboard.filling import fill
from tests.dashboard.site import Site, daemon, simulator

VISITS = int(os.environ.get("VISITS", "7"))
FEW, MANY = 10_000, 100_000
FILTERS: Mapping[str, str] = {
    "none": "",
    "phase": "phase=Failed",
    "waiting": "phase=Pending&reason=QuotaFull",
    "kind and scope": "kind=bedrock.ModelInvocationJob&scope=default",
    "label": "label=day%3D2026-11-03",
    "text, many found": "search=backfill",
    "text, none found": "search=no-such-thing",
    "text and phase": "search=0001&phase=Succeeded",
}
ROWS = ".jobs tbody tr, .results h2"
PAINTS = """() => ({
    first_contentful_paint_ms: performance.getEntriesByName("first-contentful-paint")[0].startTime,
    numbers_shown_ms: performance.getEntriesByName("ferryman:overview")[0].startTime,
})"""
LISTING = """() => ({
    rows_ms: performance.getEntriesByName("ferryman:jobs")[0].duration,
    answer_ms: performance.getEntriesByType("resource").find(({name}) => name.includes("/v1/jobs?")).duration,
})"""


def main() -> None:
    with filled(FEW) as site, browsing() as page:
        overview = medians([visit(page, site.url, ".tiles strong", PAINTS) for _ in range(VISITS)])
    with filled(MANY) as site, browsing() as page:
        lists = {
            name: medians([visit(page, f"{site.url}/#/jobs?{query}", ROWS, LISTING) for _ in range(VISITS)])
            for name, query in FILTERS.items()
        }
    figures = {"visits": VISITS, f"overview_of_{FEW}": overview, f"list_of_{MANY}": lists}
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")


@contextmanager
def browsing() -> Iterator[Page]:
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS) as browser:
        yield browser.new_page(viewport={"width": 1360, "height": 900})


@contextmanager
def filled(jobs: int) -> Iterator[Site]:
    """A daemon with so many jobs, at work on a simulated AWS."""
    with tempfile.TemporaryDirectory(prefix="ferryman-figures-", dir=os.environ.get("BENCHMARK_DIR")) as name:
        folder = Path(name)
        anyio.run(fill, f"sqlite:///{folder}/ferryman.db", jobs)
        with (
            simulator(folder, speed=60) as aws_url,
            daemon(folder, aws_url, FERRYMAN_SCOPES=json.dumps(SCOPES)) as site,
        ):
            yield site


def visit(page: Page, url: str, shown: str, figures: str) -> dict[str, float]:
    page.goto("about:blank")
    page.goto(url)
    page.locator(shown).first.wait_for()
    found: dict[str, float] = page.evaluate(figures)
    return found


def medians(visits: list[dict[str, Any]]) -> dict[str, float]:
    return {name: round(statistics.median(visit[name] for visit in visits), 1) for name in visits[0]}


if __name__ == "__main__":
    main()
