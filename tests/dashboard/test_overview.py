"""The overview: its numbers are the daemon's, it follows what happens, and lanes can be paused."""

import re

import pytest
from playwright.async_api import Browser, Route, expect

from tests.dashboard.conftest import looking
from tests.dashboard.site import Site
from tests.documents import BATCH, PROMPT, document

pytestmark = pytest.mark.asyncio(loop_scope="package")
LANE = f"research/{PROMPT}"


async def test_numbers_plots_lanes_and_what_to_do(browser: Browser, site: Site) -> None:
    async with looking(browser) as (_, page):
        await page.goto(site.url)
        await expect(page.locator("#live-text")).to_have_text("Live")
        uncertain = site.get("/v1/summary")["phases"]["Uncertain"]
        await expect(page.locator(".tiles li", has_text="Uncertain").locator("strong")).to_have_text(str(uncertain))
        await expect(page.locator(".outlook")).to_contain_text("to be created")
        await expect(page.locator(".needs")).to_contain_text("creates without a known outcome")
        await expect(page.locator(".needs")).to_contain_text("dead letters")
        await expect(page.get_by_role("row", name="AccessDenied")).to_contain_text("mend the role or policy")
        lanes = page.get_by_role("article")
        await expect(lanes).to_have_count(8)
        lane = lanes.filter(has_text="research · personalize")
        await expect(lane.get_by_role("meter").first).to_have_attribute("aria-label", "all jobs: 5 of 5")
        await expect(lane).to_contain_text("QuotaFull. All job slots of its quota are taken")
        await expect(lane).to_contain_text("no call throttled since the start")
        await expect(page.get_by_role("img", name="Jobs by phase, a plot")).to_be_visible()
        await page.locator(".as-table summary").first.click()
        await expect(page.locator(".as-table tbody tr").first).to_contain_text("23")
        await page.get_by_role("button", name="Succeeded").click()
        await expect(page.get_by_role("button", name="Succeeded")).to_have_attribute("aria-pressed", "false")


async def test_numbers_agree_with_each_other(browser: Browser, site: Site) -> None:
    """A tile with the words below it, the failures with their reasons; and the simulator is none of this daemon's."""
    async with looking(browser) as (_, page):
        await page.goto(site.url)
        outlook = page.locator(".outlook")
        await expect(outlook).to_contain_text("until a pause is over")
        words = re.findall(r"([\d,]+) (?:more )?jobs? waits?", await outlook.inner_text())
        waiting = await page.locator(".tiles li", has_text="Waiting").locator("strong").inner_text()
        assert sum(map(number, words)) == number(waiting)
        failures = page.locator(".needs li", has_text="have failed (")
        total, reasons = (await failures.inner_text()).split(" jobs have failed ")
        assert sum(map(number, re.findall(r" (\d[\d,]*?)(?=, |\))", reasons))) == number(total)
        await expect(page.locator("#world")).to_be_hidden()


async def test_a_simulated_world_says_so_and_a_lane_at_rest_shows_no_full_bar(browser: Browser, site: Site) -> None:
    """The same daemon's answers, but for what the page is told of its world and of one lane."""

    async def simulated(route: Route) -> None:
        answer = await route.fetch()
        await route.fulfill(response=answer, json=await answer.json() | {"simulated": True})

    async def resting(route: Route) -> None:
        answer = await route.fetch()
        lanes = (await answer.json())["items"]
        still = [lane | {"phases": {}, "queues": []} if lane["lane"] == LANE else lane for lane in lanes]
        await route.fulfill(response=answer, json={"items": still, "next": None})

    async with looking(browser) as (_, page):
        await page.route("**/v1/summary", simulated)
        await page.route("**/v1/lanes", resting)
        await page.goto(site.url)
        await expect(page.get_by_text("Simulated AWS")).to_be_visible()
        await page.get_by_text("1 lane without jobs").click()
        lane = page.get_by_role("article").filter(has=page.get_by_role("button", name=LANE))
        await expect(lane).to_contain_text("a second")
        await expect(lane.locator(".chip")).to_have_text("Idle")
        meters = page.get_by_role("meter", name="Create rate")
        await expect(meters).to_have_count(7)
        await expect(lane.get_by_role("meter", name="Create rate")).to_have_count(0)


def number(text: str) -> int:
    return int(text.replace(",", ""))


async def test_it_follows_what_happens(browser: Browser, site: Site) -> None:
    async with looking(browser) as (_, page):
        await page.goto(f"{site.url}/#/jobs?label=run%3Dfollowed")
        await expect(page.get_by_role("heading", name="No job matches")).to_be_visible()
        await expect(page.locator("#live-text")).to_have_text("Live")
        site.send(document(BATCH, "followed", 3, labels={"run": "followed"}, priority=500))
        await expect(page.get_by_role("link", name="followed", exact=True)).to_be_visible()
        await expect(page.locator(".jobs .phase")).to_have_text("Running")


async def test_a_lane_is_paused_and_resumed_once_that_is_confirmed(browser: Browser, site: Site) -> None:
    async with looking(browser) as (_, page):
        await page.goto(site.url)
        lane = page.get_by_role("article").filter(has=page.get_by_role("button", name=LANE))
        await lane.get_by_role("button", name="Pause").click()
        dialog = page.get_by_role("dialog", name="Pause this lane?")
        await expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
        await page.keyboard.press("Escape")
        await expect(dialog).to_have_count(0)
        await expect(lane.get_by_role("button", name="Pause")).to_be_focused()
        assert not paused(site)
        await lane.get_by_role("button", name="Pause").click()
        await dialog.get_by_label("Reason").fill("the bucket moves")
        await dialog.get_by_role("button", name="Pause").click()
        await expect(lane.locator(".chip")).to_have_text("Paused")
        await expect(lane).to_contain_text("the bucket moves")
        await expect(page.locator(".needs")).to_contain_text(f"{LANE} is paused")
        assert paused(site)
        await lane.get_by_role("button", name="Resume").click()
        await page.get_by_role("dialog").get_by_role("button", name="Resume").click()
        await expect(lane.locator(".chip")).not_to_have_text("Paused")
        assert not paused(site)


def paused(site: Site) -> bool:
    (lane,) = (lane for lane in site.get("/v1/lanes")["items"] if lane["lane"] == LANE)
    return bool(lane["paused"])
