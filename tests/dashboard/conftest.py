"""One browser, and one daemon with ten thousand jobs, for all tests of the dashboard."""

import fcntl
import json
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright, expect

from tests.dashboard.filling import fill
from tests.dashboard.site import Site, daemon, simulator
from tests.documents import BATCH

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
JOBS = 10_000
SPEED = 120
STAGES = {"Submitted": [1, 9], "Validating": [1, 9], "Scheduled": [1, 9], "InProgress": [1200, 3600]}
"""A batch inference job works at once, for ten to thirty seconds."""
SCOPES = {"default": {"region": "us-east-1"}, "research": {"region": "eu-west-1"}}
WITHIN_MS = 60_000.0
expect.set_options(timeout=WITHIN_MS)


@pytest.fixture(scope="package")
def chromium() -> Path:
    if not CHROMIUM.exists():
        pytest.skip(f"there is no Chromium at {CHROMIUM}: apt-get install chromium")
    return CHROMIUM


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def browser(chromium: Path) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        await browser.close()


@pytest.fixture(scope="package")
def site(chromium: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A daemon that has taken over a store of ten thousand jobs."""
    del chromium
    folder = tmp_path_factory.mktemp("dashboard")
    shutil.copy(filled(tmp_path_factory.getbasetemp()), folder / "ferryman.db")
    with (
        simulator(folder, SPEED) as aws_url,
        daemon(folder, aws_url, FERRYMAN_SCOPES=json.dumps(SCOPES)) as site,
    ):
        options = {"durations": {BATCH: STAGES}}
        httpx.patch(f"{aws_url}/_simulator/options", json=options, trust_env=False).raise_for_status()
        yield site


def filled(own: Path) -> Path:
    """The store as it is before any daemon; written once, whichever of several workers comes first."""
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    store = shared / f"{JOBS}-jobs.db"
    with (shared / "filling.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not store.exists():
            begun = shared / "begun.db"
            anyio.run(fill, f"sqlite:///{begun}", JOBS)
            assert not begun.with_name("begun.db-wal").exists()
            begun.rename(store)
    return store


@asynccontextmanager
async def looking(browser: Browser, **options: Any) -> AsyncIterator[tuple[BrowserContext, Page]]:
    """A page of its own; whatever the browser complains about in the end fails the test."""
    options = {"viewport": {"width": 1360, "height": 900}, "color_scheme": "light", **options}
    context = await browser.new_context(**options)
    context.set_default_timeout(WITHIN_MS)
    page = await context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))

    def heard(message: ConsoleMessage) -> None:
        # That a request was refused or failed is said by the browser itself, and tested for what the page makes of it.
        if message.type == "error" and "Failed to load resource" not in message.text:
            complaints.append(message.text)

    page.on("console", heard)
    try:
        yield context, page
    finally:
        await context.close()
    assert complaints == []
