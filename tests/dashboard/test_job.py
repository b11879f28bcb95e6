"""The page of one job: all that is known of it, and every command, confirmed."""

import pytest
from playwright.async_api import Browser, Page, expect

from tests.dashboard.conftest import looking
from tests.dashboard.site import Site
from tests.documents import BATCH, document

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def confirm(page: Page, verb: str, foreseen: str) -> None:
    await page.get_by_role("group", name="Commands").get_by_role("button", name=verb).click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text(foreseen)
    await dialog.get_by_role("button", name=verb).click()
    await expect(dialog).to_have_count(0)


async def test_a_job_is_shown_whole_then_stopped_run_again_and_deleted(browser: Browser, site: Site) -> None:
    site.send(document(BATCH, "whole", 4, labels={"run": "whole"}, group="a team", priority=500))
    async with looking(browser) as (_, page):
        await page.goto(f"{site.url}/#/jobs/default/{BATCH}/whole")
        state = page.locator(".state-of-job")
        await expect(state.locator(".phase")).to_have_text("Running")
        await expect(state).to_contain_text("s3://bucket/out/")
        await expect(page.get_by_role("table")).to_contain_text("arn:aws:bedrock:us-east-1:")
        await expect(page.locator(".timeline")).to_contain_text("Creating → Running")
        await expect(page.locator(".code pre")).to_contain_text("s3://bucket/in/00004.jsonl")
        await expect(page.locator(".facts")).to_contain_text(["a team"])
        await confirm(page, "Stop", "The daemon would answer now: accepted (stopping).")
        await expect(page.locator("#said")).to_have_text("Stop: stopping.")
        await expect(state.locator(".phase")).to_have_text("Stopped")
        await expect(page.locator(".timeline")).to_contain_text("stopped")
        await confirm(page, "Retry", "accepted (runs again)")
        await expect(state.locator(".phase")).to_have_text("Running")
        await confirm(page, "Delete", "accepted (deleting)")
        await expect(state.locator(".phase")).to_have_text("Deleted")


async def test_an_uncertain_create_is_resolved_by_hand(browser: Browser, site: Site) -> None:
    kind = "personalize.BatchInferenceJob"
    job = site.get("/v1/jobs", phase="Uncertain", kind=kind, limit=1)["items"][0]
    async with looking(browser) as (_, page):
        await page.goto(f"{site.url}/#/jobs/{job['scope']}/{kind}/{job['name']}")
        await expect(page.locator(".state-of-job")).to_contain_text("Nobody knows whether AWS has created this job")
        await page.get_by_role("button", name="Resolve").click()
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_contain_text(job["remoteName"])
        await dialog.get_by_label("Its ARN").fill("arn:aws:personalize:us-east-1:123456789012:batch-inference-job/none")
        await expect(dialog.get_by_label("a job of this name")).to_be_checked()
        await dialog.get_by_role("button", name="Resolve").click()
        await expect(dialog.get_by_role("alert")).not_to_be_empty()  # there is none: nothing has changed
        await dialog.get_by_label("give it up").check()
        await dialog.get_by_role("button", name="Resolve").click()
        await expect(page.locator(".state-of-job .phase")).to_have_text("Failed")
        await expect(page.locator(".state-of-job")).to_contain_text("Lost")


async def test_a_dead_letter_is_read_sent_once_more_or_discarded(browser: Browser, site: Site) -> None:
    async with looking(browser) as (_, page):
        await page.goto(f"{site.url}/#/deadletters")
        letters = page.locator(".letter")
        await expect(letters).to_have_count(25)
        first = letters.first
        await expect(first).to_contain_text("12 is below the minimum 24")
        await first.locator("summary").click()
        await expect(first.locator("pre")).to_contain_text('"timeoutDurationInHours": 12')
        await first.get_by_role("button", name="Requeue").click()
        await page.get_by_role("dialog").get_by_role("button", name="Requeue").click()
        await expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("it is still invalid")
        await page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        await page.get_by_role("button", name="Older").click()
        await expect(letters).to_have_count(16)
        await letters.last.get_by_role("button", name="Requeue").click()
        await page.get_by_role("dialog").get_by_role("button", name="Requeue").click()
        await expect(letters).to_have_count(15)
        await letters.first.get_by_role("button", name="Discard").click()
        await page.get_by_role("dialog").get_by_role("button", name="Discard").click()
        await expect(letters).to_have_count(14)
        site.job("mended", "Running")
