"""What is shown where there is nothing, no token, or no daemon; and the colours."""

import json
import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.dashboard.conftest import looking
from tests.dashboard.site import Site, daemon
from tests.dashboard.test_looks import SHOTS, faults
from tests.sinks.webhook_receiver import answer, receiving

pytestmark = pytest.mark.asyncio(loop_scope="package")
TOKEN = "a-token-of-this-test"


async def test_token_first_job_lost_connection(browser: Browser, site: Site, tmp_path: Path) -> None:
    """A new installation with a token, from the first look to a daemon that goes away and comes back."""
    async with looking(browser) as (context, page):
        async with receiving(answer(410), answer(200)) as receiver:
            sinks = json.dumps([{"url": f"webhook:{receiver.url()}", "allow_private": True}])
            with daemon(tmp_path, site.aws_url, FERRYMAN_HTTP__TOKEN=TOKEN, FERRYMAN_EVENTS__SINKS=sinks) as guarded:
                port = int(guarded.url.rpartition(":")[2])
                await page.goto(f"{guarded.url}/#/jobs")
                await the_token_is_asked_for(page)
                await nothing_is_there_yet(page, guarded)
                await a_sink_is_disabled(page)
                other = await context.new_page()
                await other.goto(guarded.url)
                await expect(other.get_by_label("API token")).to_be_visible()  # the token is of one tab
                await other.close()
        await expect(page.locator("#banner-text")).to_contain_text("The connection to the daemon is lost")
        await expect(page.locator("#live-text")).to_have_text("Not connected")
        assert await faults(page) == []
        await page.screenshot(path=SHOTS / "lost-light.png")
        with daemon(tmp_path, site.aws_url, port=port, FERRYMAN_HTTP__TOKEN=TOKEN):
            await page.locator("#banner-again").dispatch_event("click")  # it may have come back by itself just now
            await expect(page.locator("#live-text")).to_have_text("Live")
            await expect(page.locator("#banner")).to_be_hidden()
            await expect(page.get_by_role("heading", name="No jobs yet")).to_be_visible()
        with daemon(tmp_path, site.aws_url, port=port, FERRYMAN_HTTP__TOKEN="another"):
            await expect(page.get_by_label("API token")).to_be_visible()  # the old token is refused


async def the_token_is_asked_for(page: Page) -> None:
    field = page.get_by_label("API token")
    await expect(field).to_be_focused()
    assert await faults(page) == []
    SHOTS.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=SHOTS / "token-light.png")
    await field.fill("wrong")
    await page.get_by_role("button", name="Open").click()
    await expect(page.get_by_role("alert")).to_have_text("The daemon does not accept this token.")
    await field.fill(TOKEN)
    await field.press("Enter")
    await expect(page.locator("#live-text")).to_have_text("Live")
    assert TOKEN not in page.url
    await page.reload()  # the tab keeps it


async def nothing_is_there_yet(page: Page, guarded: Site) -> None:
    await page.goto(f"{guarded.url}/#/deadletters")
    await expect(page.get_by_role("heading", name="No dead letters")).to_be_visible()
    for address in ("#/jobs", "#/"):
        await page.goto(f"{guarded.url}/{address}")
        await expect(page.get_by_role("heading", name="No jobs yet")).to_be_visible()
        await expect(page.locator(".code").nth(1)).to_contain_text(f"first-job.yaml --server {guarded.url}")
        assert await faults(page) == []
    await page.screenshot(path=SHOTS / "empty-light.png", full_page=True)


async def a_sink_is_disabled(page: Page) -> None:
    """Its receiver has answered 410 to the first event; the events wait until a person lets it go on."""
    needs = page.locator(".needs")
    await expect(needs).to_contain_text("is disabled: the receiver answered 410 Gone.")
    await expect(needs).to_contain_text("wait")
    assert await faults(page) == []
    await page.screenshot(path=SHOTS / "sink-light.png")
    await needs.get_by_role("button", name="Resume").click()
    await page.get_by_role("dialog").get_by_role("button", name="Resume").click()
    await expect(needs).to_be_hidden()


async def test_a_store_that_is_away_is_said_and_over_when_it_is_back(browser: Browser, site: Site) -> None:
    """The daemon's own answer for it, put in the place of the real one."""
    async with looking(browser) as (_, page):
        await page.goto(f"{site.url}/#/jobs?phase=Failed")
        await page.locator(".jobs tbody tr").first.wait_for()
        sentence = "the store cannot be reached just now: send it again in a while"
        problem = {"type": "about:blank", "title": "Service Unavailable", "status": 503, "detail": sentence}
        await page.route(re.compile("/v1/(jobs|summary)"), lambda route: route.fulfill(status=503, json=problem))
        await page.get_by_label("Find").fill("0")
        await expect(page.locator("#banner-text")).to_contain_text("The store cannot be reached just now")
        await expect(page.locator("#banner-text")).to_contain_text("What is shown is from")
        await page.unroute_all()
        await page.locator("#banner-again").dispatch_event("click")
        await expect(page.locator("#banner")).to_be_hidden()


async def test_colours_follow_the_system_until_they_are_chosen(browser: Browser, site: Site) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    async with looking(browser, color_scheme="dark") as (_, page):
        await page.goto(f"{site.url}/#/deadletters")
        dark = await page.evaluate(ground)
        await page.get_by_role("button", name="Colours: system").click()
        await expect(page.get_by_role("button", name="Colours: light")).to_be_visible()
        light = await page.evaluate(ground)
        assert light != dark
        await page.reload()
        assert await page.evaluate(ground) == light
        await page.emulate_media(color_scheme="light")
        await page.get_by_role("button", name="Colours: light").click()
        await expect(page.get_by_role("button", name="Colours: dark")).to_be_visible()
        assert await page.evaluate(ground) == dark


async def test_the_keyboard_alone_reaches_everything(browser: Browser, site: Site) -> None:
    async with looking(browser) as (_, page):
        await page.goto(f"{site.url}/#/jobs?phase=Uncertain")
        await page.locator(".jobs tbody tr").first.wait_for()
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("main")).to_be_focused()
        await expect(page).to_have_url(re.compile("phase=Uncertain"))
        order = []
        for _ in range(6):
            await page.keyboard.press("Tab")
            order.append(await page.evaluate("document.activeElement.name"))
        assert order == ["search", "kind", "scope", "reason", "group", "label"]
        await page.locator(".jobs tbody a").first.focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("button", name="Resolve")).to_be_visible()
        await expect(page.get_by_role("main")).to_be_focused()
