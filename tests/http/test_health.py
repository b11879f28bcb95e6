"""Probes and metrics."""

from pathlib import Path

import anyio
import pytest

from tests.documents import BATCH
from tests.http.rig import asking, serving

LANE = f"default/{BATCH}"


async def test_probes_follow_the_life_of_the_daemon(tmp_path: Path) -> None:
    async with serving(tmp_path) as service, asking(service) as client:
        service.state.ready = False
        assert (await client.get("/livez")).status_code == 200
        assert (await client.get("/startupz")).status_code == 503
        assert (await client.get("/readyz")).status_code == 503
        service.state.ready = True
        assert (await client.get("/startupz")).status_code == 200
        service.state.ready = False
        assert (await client.get("/startupz")).status_code == 200


@pytest.mark.parametrize("ready", [True, False])
async def test_readiness(tmp_path: Path, ready: bool) -> None:
    async with serving(tmp_path) as service, asking(service) as client:
        service.state.ready = ready
        answer = await client.get("/readyz")
        assert answer.status_code == (200 if ready else 503)
        if not ready:
            assert answer.json()["detail"] == "starting"


async def test_a_stalled_loop_is_noticed(tmp_path: Path) -> None:
    async with serving(tmp_path) as service, asking(service) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(service.health.run)
            await anyio.wait_all_tasks_blocked()
            assert (await client.get("/livez")).status_code == 200
            tasks.cancel_scope.cancel()
        service.health._beat_at = (service.health._beat_at or 0.0) - 60
        assert (await client.get("/livez")).status_code == 503
