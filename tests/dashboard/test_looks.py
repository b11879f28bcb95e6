"""Each page as it looks, with ten thousand jobs: pictures, no serious fault of accessibility, no overflow."""

import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.async_api import Browser, Page

from tests.dashboard.conftest import looking
from tests.dashboard.site import ROOT, Site
from tests.documents import BATCH, document

pytestmark = pytest.mark.asyncio(loop_scope="package")

AXE: Final = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
SHOTS: Final = ROOT / "test-results" / "screenshots"
GRAVE: Final = {"serious", "critical"}
LOOKS: Final[dict[str, dict[str, Any]]] = {
    "light": {},
    "dark": {"color_scheme": "dark"},
    "narrow": {"viewport": {"width": 360, "height": 740}},
}
"""Contexts of the browser, by name."""

Visit = Callable[[Page, Site], Awaitable[None]]


async def overview(page: Page, site: Site) -> None:
    await page.goto(site.url)
    await page.locator(".plot canvas").nth(1).wait_for()
    await page.locator(".lane").nth(7).wait_for()


async def jobs(page: Page, site: Site) -> None:
    await page.goto(f"{site.url}/#/jobs?phase=Running&phase=Failed&phase=Uncertain")
    await page.locator(".jobs tbody tr").nth(20).wait_for()


async def nothing_found(page: Page, site: Site) -> None:
    await page.goto(f"{site.url}/#/jobs?search=no-such-thing")
    await page.get_by_role("heading", name="No job matches").wait_for()


async def waiting_job(page: Page, site: Site) -> None:
    item = site.get("/v1/jobs", phase="Pending", kind=BATCH, limit=1)["items"][0]
    await page.goto(f"{site.url}/#/jobs/{item['scope']}/{item['kind']}/{item['name']}")
    await page.get_by_text("in its lane").wait_for()


async def failed_job(page: Page, site: Site) -> None:
    item = site.get("/v1/jobs", phase="Failed", reason="Lost", limit=1)["items"][0]
    await page.goto(f"{site.url}/#/jobs/{item['scope']}/{item['kind']}/{item['name']}")
    await page.get_by_role("button", name="Retry").wait_for()


async def running_job(page: Page, site: Site) -> None:
    name = f"looked-at-{time.time_ns()}"
    site.send(document(BATCH, name, 2, labels={"run": "looks"}, priority=500))
    await page.goto(f"{site.url}/#/jobs/default/{BATCH}/{name}")
    await page.locator(".progress").wait_for()


async def uncertain_job(page: Page, site: Site) -> None:
    item = site.get("/v1/jobs", phase="Uncertain", limit=1)["items"][0]
    await page.goto(f"{site.url}/#/jobs/{item['scope']}/{item['kind']}/{item['name']}")
    await page.get_by_role("button", name="Resolve").click()
    await page.get_by_role("dialog").wait_for()


async def dead_letters(page: Page, site: Site) -> None:
    await page.goto(f"{site.url}/#/deadletters")
    await page.locator(".letter summary").first.click()
    await page.locator(".letter pre").first.wait_for()


async def missing(page: Page, site: Site) -> None:
    await page.goto(f"{site.url}/#/jobs/default/{BATCH}/never-heard-of")
    await page.get_by_role("heading", name="Not found").wait_for()


PAGES: Final[dict[str, Visit]] = {
    visit.__name__.replace("_", "-"): visit
    for visit in (
        jobs,
        nothing_found,
        waiting_job,
        running_job,
        failed_job,
        uncertain_job,
        dead_letters,
        missing,
        overview,
    )
}
WHOLE: Final = {"overview", "waiting-job", "running-job"}
"""Pages whose picture is of their whole length."""


@pytest.mark.parametrize("look", LOOKS)
async def test_every_page_can_be_read_by_everybody(browser: Browser, site: Site, look: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    async with looking(browser, **LOOKS[look]) as (_, page):
        for name, visit in PAGES.items():
            await page.goto("about:blank")  # so that nothing of the page before is left
            await visit(page, site)
            await page.screenshot(path=SHOTS / f"{name}-{look}.png", full_page=name in WHOLE, animations="disabled")
            if look != "narrow":  # the same as light, to a screen reader
                assert await faults(page, colours_alone=look == "dark") == [], name
            assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, name


async def faults(page: Page, *, colours_alone: bool = False) -> list[str]:
    """What axe finds serious or critical, with where."""
    await page.evaluate(AXE)  # by the debugger: the page's own policy would refuse it
    only = {"runOnly": ["color-contrast"]} if colours_alone else {}
    found = await page.evaluate("options => axe.run(document, options)", {"resultTypes": ["violations"]} | only)
    return [
        f"{violation['id']} ({violation['impact']}): {json.dumps([node['target'] for node in violation['nodes'][:3]])}"
        for violation in found["violations"]
        if violation["impact"] in GRAVE
    ]
