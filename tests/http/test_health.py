"""Probes and metrics."""

from pathlib import Path

import anyio
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from controller import __version__
from controller.model import Phase
from controller.status import LaneStatus, RateStatus, SlotStatus
from tests.documents import BATCH
from tests.http.rig import asking, batch, serving

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


async def test_every_metric_is_there_from_the_start_without_names_of_jobs(tmp_path: Path) -> None:
    async with serving(tmp_path) as service, asking(service) as client:
        values = _values(await client.get("/metrics"))
        assert values["ferryman_build_info", ("version", __version__)] == 1
        for desk in service.state.desks:
            for phase in Phase:
                assert values["ferryman_jobs", ("lane", desk), ("phase", phase.value)] == 0
            for operation in ("create", "get", "list", "stop", "delete"):
                for name in ("calls", "throttles", "errors"):
                    metric = f"ferryman_aws_{name}_total"
                    assert values[metric, ("lane", desk), ("operation", operation)] == 0
            assert values["ferryman_last_complete_pass_timestamp_seconds", ("lane", desk)] == 0
        assert values["ferryman_inbox_entries",] == 0
        assert values["ferryman_store_up",] == 1


async def test_metrics_follow_what_happens(tmp_path: Path) -> None:
    async with serving(tmp_path) as service, asking(service) as client:
        await service.send(batch("canary-name"), batch("other"))
        await service.move("other", Phase.RUNNING)
        service.state.statuses[LANE] = LaneStatus(
            LANE,
            paused=True,
            rates={"create": RateStatus(rate=1.5, ceiling=2, calls=7, throttles=2, errors=1)},
            slots={"m": SlotStatus(used=3, ours=1, ceiling=20, configured=20)},
            last_complete_pass_at=1234.5,
            passes=9,
        )
        answer = await client.get("/metrics")
        values = _values(answer)
        lane, create = ("lane", LANE), ("operation", "create")
        assert values["ferryman_jobs", lane, ("phase", "Pending")] == 1
        assert values["ferryman_jobs", lane, ("phase", "Running")] == 1
        assert values["ferryman_aws_calls_total", lane, create] == 7
        assert values["ferryman_aws_throttles_total", lane, create] == 2
        assert values["ferryman_aws_errors_total", lane, create] == 1
        assert values["ferryman_rate_calls_per_second", lane, create] == 1.5
        assert values["ferryman_slots_used", lane, ("quota_key", "m")] == 3
        assert values["ferryman_slots_ceiling", lane, ("quota_key", "m")] == 20
        assert values["ferryman_last_complete_pass_timestamp_seconds", lane] == 1234.5
        assert values["ferryman_passes_total", lane] == 9
        assert values["ferryman_lane_paused", lane] == 1
        assert "canary-name" not in answer.text


def _values(answer: httpx.Response) -> dict[tuple[object, ...], float]:
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
