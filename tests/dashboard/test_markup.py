"""Markup in everything that a user, AWS or a queue can write: every page shows it as text, and nothing of it runs."""

import pytest
from playwright.async_api import Browser, expect

from tests.dashboard.conftest import looking
from tests.dashboard.filling import MARKUP
from tests.dashboard.site import Site
from tests.documents import BATCH, RECOMMENDATION, document

pytestmark = pytest.mark.asyncio(loop_scope="package")
HURT = "window.struck ?? document.querySelectorAll('img:not([alt=\"\"]), main script').length"


async def test_markup_is_text_everywhere(browser: Browser, site: Site) -> None:
    refusal = {"effect": "refuse", "code": "ValidationException", "message": MARKUP, "status": 400}
    site.plant({"effect": refusal, "operation": "CreateModelInvocationJob", "name": "marked-*", "times": None})
    odd = {"effect": "reshape", "set": {"status": MARKUP}, "add": False, "name": "odd-*"}
    site.plant({"effect": odd, "operation": "*ModelInvocationJob*", "times": None})
    marks = {"labels": {"note": MARKUP}, "group": MARKUP, "priority": 900}
    site.send(document(BATCH, "marked-1", 2, **marks), document(BATCH, "odd-1", 2, **marks))
    site.job("marked-1", "Failed")
    site.until(lambda: site.get(f"/v1/jobs/default/{BATCH}/odd-1")["remoteStatus"] == MARKUP)
    lane = f"/v1/lanes/default/{RECOMMENDATION}"
    site.post(f"{lane}:pause", {"reason": MARKUP}, wait=30)
    async with looking(browser) as (_, page):
        for address, holds in {
            "#/": ".needs",
            "#/jobs?search=marked-1": ".jobs .message",
            "#/jobs?search=odd-1": ".jobs .labels",
            f"#/jobs/default/{BATCH}/marked-1": ".timeline .message",
            f"#/jobs/default/{BATCH}/odd-1": ".state-of-job",
            "#/deadletters": ".letter .message",
        }.items():
            await page.goto(f"{site.url}/{address}")
            await expect(page.locator(holds).first).to_contain_text("<img src=x onerror=")
            assert await page.evaluate(HURT) == 0, address
        await page.locator(".letter summary").first.click()
        await expect(page.locator(".letter pre").first).to_contain_text("<script>")
        assert await page.evaluate(HURT) == 0
    site.post(f"{lane}:resume", wait=30)
