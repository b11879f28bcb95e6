"""The list of jobs: filters that live in the address, pages, and why a job waits in two clicks."""

import re
from typing import Any

import anyio
import pytest
from playwright.async_api import Browser, Page, expect

from tests.dashboard.conftest import WITHIN_MS, looking
from tests.dashboard.site import Site
from tests.dashboard.test_looks import SHOTS, faults
from tests.documents import BATCH, document

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def shown(page: Page) -> list[str]:
    return await page.locator(".jobs tbody .job-name").all_inner_texts()


def names(site: Site, **parameters: Any) -> list[str]:
    return [item["name"] for item in site.get("/v1/jobs", limit=100, **parameters)["items"]]


@pytest.mark.parametrize(
    ("address", "parameters"),
    [
        pytest.param("phase=Uncertain", {"phase": "Uncertain"}, id="phase"),
        pytest.param("phase=Stopped&phase=Deleted", {"phase": ["Stopped", "Deleted"]}, id="two phases"),
        pytest.param("reason=Lost", {"reason": "Lost"}, id="reason"),
        pytest.param("phase=Failed&group=team-a", {"phase": "Failed", "group": "team-a"}, id="group"),
        pytest.param("label=day%3D2026-11-03&phase=Failed", {"label": "day=2026-11-03", "phase": "Failed"}, id="label"),
        pytest.param("search=0001&phase=Succeeded", {"search": "0001", "phase": "Succeeded"}, id="text"),
    ],
)
async def test_the_filters_of_an_address_are_those_of_the_api(
    browser: Browser, site: Site, address: str, parameters: dict[str, Any]
) -> None:
    async with looking(browser) as (_, page):
        await page.goto(f"{site.url}/#/jobs?{address}")
        await page.locator(".jobs tbody tr").first.wait_for()
        with anyio.fail_after(WITHIN_MS / 1000):
            while await shown(page) != names(site, **parameters):
                await anyio.sleep(0.1)  # jobs end all the time, and the page follows


async def test_filters_are_typed_kept_in_the_address_and_cleared(browser: Browser, site: Site) -> None:
    async with looking(browser) as (_, page):
        await page.goto(site.url)
        await page.locator(".tiles strong").first.wait_for()
        await page.keyboard.press("/")
        await expect(page.get_by_label("Find")).to_be_focused()
        await page.keyboard.type("backfill-00")
        await page.get_by_label("Reason").select_option("Expired")
        await page.get_by_role("checkbox", name="Failed").check()
        await expect(page).to_have_url(re.compile("search=backfill-00&phase=Failed&reason=Expired"))
        await expect(page.locator(".jobs .phase").first).to_have_text("Failed")
        before = await shown(page)
        await page.reload()
        await expect(page.get_by_label("Find")).to_have_value("backfill-00")
        await page.locator(".jobs tbody tr").first.wait_for()
        assert await shown(page) == before
        await page.get_by_role("button", name="Clear filters").click()
        await expect(page).to_have_url(re.compile("#/jobs$"))
        await page.get_by_label("Label").fill("nonsense")
        await expect(page.locator("#label-trouble")).to_have_text("A label is written key=value, not nonsense.")
        await page.get_by_label("Label").fill("")
        await page.get_by_label("Find").fill("50%")
        await expect(page.get_by_role("heading", name="No job matches")).to_be_visible()


async def test_pages_go_on_and_back(browser: Browser, site: Site) -> None:
    async with looking(browser) as (_, page):
        await page.goto(f"{site.url}/#/jobs?phase=Succeeded&scope=research&kind={BATCH}")
        await page.locator(".jobs tbody tr").nth(99).wait_for()
        first = await shown(page)
        await page.get_by_role("button", name="Older").click()
        await expect(page.locator(".pager")).to_contain_text("Page 2")
        await expect(page.locator(".found")).to_contain_text("page 2")
        second = await shown(page)
        assert set(first).isdisjoint(second)
        await page.reload()
        await expect(page.locator(".found")).to_contain_text("page 2")
        await page.get_by_role("button", name="Newest").click()
        await expect(page.locator(".found")).to_contain_text("this page")
        await page.get_by_role("button", name="Older").click()
        await expect(page.locator(".found")).to_contain_text("page 2")
        await page.get_by_role("button", name="Newer").click()
        await expect(page.locator(".found")).to_contain_text("this page")


async def test_all_that_match_are_commanded_once_that_is_confirmed_with_their_number(
    browser: Browser, site: Site
) -> None:
    marks = {"labels": {"run": "bulk"}, "priority": 500}
    site.send(*(document(BATCH, f"bulk-{number}", number, desired="Stopped", **marks) for number in range(2)))
    site.send(document(BATCH, "bulk-waiting", 5, labels=marks["labels"]))  # behind thousands for the same slots
    async with looking(browser) as (_, page):
        await page.goto(f"{site.url}/#/jobs")
        await page.locator(".jobs tbody tr").first.wait_for()
        await expect(page.get_by_role("button", name="Retry all")).to_be_hidden()  # every job is never meant
        await page.goto(f"{site.url}/#/jobs?label=run%3Dbulk")
        await page.get_by_role("button", name="Retry all").click()
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_contain_text("3 jobs match; 2 of them would be retried.")
        await expect(dialog).to_contain_text("1 would be refused: a Pending job cannot be retried")
        await expect(dialog).to_contain_text("label: run=bulk")
        await dialog.get_by_role("button", name="Cancel").click()
        assert {job["phase"] for job in site.get("/v1/jobs", label="run=bulk")["items"]} == {"Stopped", "Pending"}
        await page.get_by_role("button", name="Retry all").click()
        await dialog.get_by_role("button", name="Retry 2 jobs").click()
        await expect(dialog).to_contain_text("Retry: accepted for 2 jobs, refused for 1.")
        await dialog.get_by_text("1 was refused: a Pending job cannot be retried").click()
        await expect(dialog.get_by_role("link", name="bulk-waiting")).to_be_visible()
        assert await faults(page) == []
        await page.screenshot(path=SHOTS / "bulk-light.png")
        await dialog.get_by_role("button", name="Close").click()
        await expect(dialog).to_have_count(0)
        await expect(page.locator(".jobs .phase", has_text="Stopped")).to_have_count(0)
        await page.get_by_role("button", name="Delete all").click()
        await dialog.get_by_role("button", name="Delete 3 jobs").click()
        await expect(page.locator("#said")).to_have_text("Delete: accepted for 3 jobs, refused for 0.")
    assert {job["desired"] for job in site.get("/v1/jobs", label="run=bulk")["items"]} == {"Absent"}


async def test_what_has_ended_is_not_offered_to_be_stopped(browser: Browser, site: Site) -> None:
    async with looking(browser) as (_, page):
        for phases, offered in (("phase=Failed", False), ("phase=Failed&phase=Pending", True)):
            await page.goto(f"{site.url}/#/jobs?{phases}")
            await expect(page.get_by_role("button", name="Retry all")).to_be_visible()
            await expect(page.get_by_role("button", name="Stop all")).to_be_visible(visible=offered)


async def test_why_a_job_waits_is_two_clicks_away(browser: Browser, site: Site) -> None:
    async with looking(browser) as (_, page):
        await page.goto(site.url)
        await page.get_by_role("row", name="AccessDenied").get_by_role("link").click()
        await page.locator(".jobs tbody a").first.click()
        await expect(page.locator(".state-of-job")).to_contain_text("AccessDenied")
        await expect(page.locator(".state-of-job")).to_contain_text("mend the role or policy")
        await expect(page.locator(".state-of-job")).to_contain_text("iam:PassRole")
        await page.go_back()
        await expect(page.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()
