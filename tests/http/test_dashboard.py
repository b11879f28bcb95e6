"""What the dashboard stands on: its files, and the parts of the API made for people who look around."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import anyio
import httpx

from controller.http.dashboard import FILES
from controller.model import Phase
from tests.http.rig import TIMEOUT_S, Service, asking, batch, names, serving


@asynccontextmanager
async def api(path: Path, **settings: Any) -> AsyncIterator[tuple[Service, httpx.AsyncClient]]:
    async with serving(path, **settings) as service, asking(service) as client:
        yield service, client


async def test_the_dashboard_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    async with api(tmp_path) as (_, client):
        for path in FILES:
            answer = await client.get(path)
            assert answer.status_code == 200
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert "unsafe" not in answer.headers["content-security-policy"]
            assert answer.headers["x-content-type-options"] == "nosniff"
            for url in re.findall(r"https?://[^\s\"'<>)]*", answer.text):
                assert "/vendor/" in path or url == "http://www.w3.org/2000/svg", path


async def test_the_dashboard_names_only_files_that_are_there_and_runs_nothing_inline(tmp_path: Path) -> None:
    async with api(tmp_path) as (_, client):
        page = (await client.get("/")).text
        assert not re.findall(r"<script(?![^>]*\bsrc=)|<style|\bon[a-z]+=|\bstyle=", page)
        named = re.findall(r'(?:src|href)="(/[^"#]*)"', page)
        for path in FILES:
            if path.endswith(".js") and "/vendor/" not in path:
                script = (await client.get(path)).text
                assert not re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", script), path
                found = re.findall(r'(?:from|import\()\s*"(\.[^"]+)"', script)
                named += [urljoin(path, name) for name in found]
        assert set(named) <= set(FILES)


async def test_a_file_of_the_dashboard_is_sent_again_only_when_it_has_changed(tmp_path: Path) -> None:
    async with api(tmp_path) as (_, client):
        tag = (await client.get("/")).headers["etag"]
        assert (await client.get("/", headers={"if-none-match": tag})).status_code == 304
        assert (await client.get("/", headers={"if-none-match": '"of-another-release"'})).status_code == 200


async def test_a_search_finds_names_remote_ids_and_label_values(tmp_path: Path) -> None:
    async with api(tmp_path) as (service, client):
        await service.send(
            batch("Alpha", labels={"run": "Nightly 50%"}), batch("beta", 1, labels={"alpha": "x"}), batch("gamma", 2)
        )
        gamma = await service.move("gamma", Phase.RUNNING)
        assert gamma.current is not None
        for words, found in {
            "ALPH": ["Alpha"],
            "nightly 50%": ["Alpha"],
            "50%5": [],
            "a_m": [],
            "a": ["gamma", "beta", "Alpha"],
            str(gamma.current.remote_id).upper(): ["gamma"],
        }.items():
            listed = (await client.get("/v1/jobs", params={"search": words})).json()
            assert names(listed["items"]) == found, words
        both = await client.get("/v1/jobs", params={"search": "a", "phase": "Running"})
        assert names(both.json()["items"]) == ["gamma"]


async def test_dead_letters_newest_first(tmp_path: Path) -> None:
    async with api(tmp_path) as (_, client):
        for number in range(3):
            await client.post("/v1/documents", json={"kind": "none", "name": f"job-{number}"})
        with anyio.fail_after(TIMEOUT_S):
            while len(oldest := (await client.get("/v1/deadletters")).json()["items"]) < 3:
                await anyio.sleep(0.01)
        oldest = [letter["id"] for letter in oldest]
        first = (await client.get("/v1/deadletters", params={"newest": True, "limit": 2})).json()
        assert [letter["id"] for letter in first["items"]] == oldest[:0:-1]
        rest = await client.get("/v1/deadletters", params={"newest": True, "limit": 2, "after": first["next"]})
        assert [letter["id"] for letter in rest.json()["items"]] == oldest[:1]


async def test_the_history_begins_with_the_first_sample_and_goes_on_after_a_time(tmp_path: Path) -> None:
    async with api(tmp_path) as (service, client):
        assert (await client.get("/v1/history")).json()["times"] == []
        await service.send(batch("job"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(service.control.keep_trend)
            with anyio.fail_after(TIMEOUT_S):
                while not (seen := (await client.get("/v1/history")).json())["times"]:
                    await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()
        assert seen["phases"]["Pending"] == [1]
        assert (seen["created"], seen["throttles"]) == ([0], [0])
        later = await client.get("/v1/history", params={"after": seen["times"][-1]})
        assert later.json()["times"] == []
        assert (await client.get("/v1/history", params={"after": "2026-11-21T03:40:00Z"})).json() == seen
