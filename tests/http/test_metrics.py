"""Metrics: by Prometheus' naming rules, there from the start, bounded, and true."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from controller import __version__
from controller.errors import DeniedError, QuotaFullError, ThrottledError
from controller.http.metrics import KEYS_MAX, OUTCOMES
from controller.intake import SourceStatus
from controller.measures import Histogram
from controller.model import Phase
from controller.publish import SinkStatus
from controller.status import LaneStatus, RateStatus, SlotStatus
from tests.documents import BATCH, BLUEPRINT
from tests.http.rig import Service, asking, batch, serving

LANE = f"default/{BATCH}"
OPERATIONS = ("create", "get", "list", "stop", "delete")
UNITS = ("_seconds", "_bytes", "_per_second", "_info")
COUNTED = {
    "ferryman_jobs",
    "ferryman_jobs_waiting",
    "ferryman_slots_used",
    "ferryman_slots_ours",
    "ferryman_slots_ceiling",
    "ferryman_slots_quota",
    "ferryman_outbox_events",
    "ferryman_inbox_entries",
    "ferryman_dead_letters",
}
"""Gauges that count things, which they are named for."""
FLAGS = {
    "ferryman_ready",
    "ferryman_store_up",
    "ferryman_lane_paused",
    "ferryman_scope_unavailable",
    "ferryman_sink_disabled",
    "ferryman_sink_failing",
    "ferryman_source_failing",
}
"""Gauges that are 0 or 1."""
BOUNDED_LABELS = {"lane", "phase", "operation", "outcome", "quota_key", "sink", "source", "verdict", "version", "le"}


def sinks() -> Sequence[SinkStatus]:
    return [
        SinkStatus("log", 0, None, 5, 0, 0, 0, ""),
        SinkStatus("file:x", 3, 1000.0, 1, 2, 4, 1, "full", disabled=True),
    ]


async def families(service: Service) -> list[Metric]:
    service.control._sinks = sinks
    service.intake._status["dir:spool"] = SourceStatus(accepted=3, rejected=1, failures=2)
    async with asking(service) as client:
        answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return list(text_string_to_metric_families(answer.text))


RULES: dict[str, Callable[[Metric], bool]] = {
    "snake case with the prefix": lambda family: (
        re.fullmatch(r"(ferryman|process)(_[a-z0-9]+)+", family.name) is not None
    ),
    "help is a sentence": lambda family: bool(family.documentation) and family.documentation.endswith("."),
    "counters end in _total": lambda family: (
        (family.type == "counter") == any(sample.name.endswith("_total") for sample in family.samples)
    ),
    "a unit, or a count or flag that is known": lambda family: (
        family.type == "counter"
        or family.name.endswith(UNITS)
        or family.name in COUNTED | FLAGS
        or family.name in {"process_open_fds", "process_max_fds"}
    ),
    "base units": lambda family: not re.search(r"milli|_ms(_|$)|minute|hour|_kb|_mb|percent", family.name),
    "no suffix of another type": lambda family: not re.search(r"_(total|count|sum|bucket|max|min)$", family.name),
    "labels are bounded": lambda family: all(set(sample.labels) <= BOUNDED_LABELS for sample in family.samples),
    "flags are 0 or 1": lambda family: family.name not in FLAGS or {s.value for s in family.samples} <= {0.0, 1.0},
    "no series twice": lambda family: (
        len({(s.name, *sorted(s.labels.items())) for s in family.samples}) == len(family.samples)
    ),
}


async def test_every_family_keeps_every_rule(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        await service.send(batch("job"))
        found = await families(service)
    assert len(found) > 30
    broken = [(family.name, rule) for family in found for rule, holds in RULES.items() if not holds(family)]
    process = {"process_start_time_seconds", "process_cpu_seconds", "process_virtual_memory_bytes"}
    assert not broken
    assert process <= {family.name for family in found}


async def test_everything_is_there_from_the_start_with_0(tmp_path: Path) -> None:
    async with serving(tmp_path) as service, asking(service) as client:
        values = _values(await client.get("/metrics"))
        assert values["ferryman_build_info", ("version", __version__)] == 1
        for desk in service.state.desks:
            lane = ("lane", desk)
            for phase in Phase:
                assert values["ferryman_jobs", lane, ("phase", phase.value)] == 0
                assert values["ferryman_job_phase_changes_total", lane, ("phase", phase.value)] == 0
            for operation in OPERATIONS:
                of = (lane, ("operation", operation))
                assert {values["ferryman_aws_calls_total", *of, ("outcome", outcome)] for outcome in OUTCOMES} == {0}
                assert values["ferryman_aws_throttles_total", *of] == 0
                assert values["ferryman_limiter_wait_seconds_total", *of] == 0
            for name in ("jobs_waiting", "slots_used", "slots_ours"):
                assert values[f"ferryman_{name}", lane, ("quota_key", "*")] == 0
            assert values["ferryman_slots_quota", lane, ("quota_key", "*")] > 0
            assert values["ferryman_attempts_total", lane] == 0
            assert values["ferryman_last_complete_pass_timestamp_seconds", lane] == 0
        for name in ("inbox_entries", "inbox_lag_seconds", "dead_letters", "event_loop_delay_seconds_count"):
            assert values[f"ferryman_{name}",] == 0
        assert values["ferryman_store_up",] == 1


async def test_what_happens_is_counted(tmp_path: Path) -> None:
    async with serving(tmp_path) as service, asking(service) as client:
        await service.send(batch("canary-name"), batch("other"))
        await service.move("other", Phase.RUNNING)
        desk = service.state.desks[LANE]
        for error in (ThrottledError("slow"), DeniedError("no"), QuotaFullError("full"), DeniedError("no")):
            desk.calls._count_failure("create", error)
        answer = await client.get("/metrics")
        values = _values(answer)
        lane, create = ("lane", LANE), ("operation", "create")
        assert values["ferryman_jobs", lane, ("phase", "Pending")] == 1
        assert values["ferryman_jobs", lane, ("phase", "Running")] == 1
        assert values["ferryman_job_phase_changes_total", lane, ("phase", "Pending")] == 2
        assert values["ferryman_job_phase_changes_total", lane, ("phase", "Running")] == 1
        assert values["ferryman_attempts_total", lane] == 1
        calls = {
            outcome: values["ferryman_aws_calls_total", lane, create, ("outcome", outcome)] for outcome in OUTCOMES
        }
        assert {outcome: count for outcome, count in calls.items() if count} == {
            "throttled": 1,
            "denied": 2,
            "quota_full": 1,
        }
        assert values["ferryman_aws_throttles_total", lane, create] == 1
        assert values["ferryman_store_commit_duration_seconds_count",] >= 2
        assert values["ferryman_store_commit_duration_seconds_sum",] > 0
        assert "canary-name" not in answer.text


async def test_a_lane_shows_what_it_says_of_itself(tmp_path: Path) -> None:
    async with serving(tmp_path) as service, asking(service) as client:
        service.state.statuses[LANE] = LaneStatus(
            LANE,
            paused=True,
            rates={"create": RateStatus(rate=1.5, ceiling=2, throttles=2, outcomes={"ok": 7}, waited_s=3.5)},
            slots={"m": SlotStatus(used=3, ours=1, ceiling=19, configured=20)},
            last_complete_pass_at=1234.5,
            passes=9,
        )
        values = _values(await client.get("/metrics"))
        lane, create = ("lane", LANE), ("operation", "create")
        assert values["ferryman_aws_calls_total", lane, create, ("outcome", "ok")] == 7
        assert values["ferryman_limiter_wait_seconds_total", lane, create] == 3.5
        assert values["ferryman_rate_calls_per_second", lane, create] == 1.5
        assert values["ferryman_slots_used", lane, ("quota_key", "m")] == 3
        assert values["ferryman_slots_ceiling", lane, ("quota_key", "m")] == 19
        assert values["ferryman_slots_quota", lane, ("quota_key", "m")] == 20
        assert values["ferryman_jobs_waiting", lane, ("quota_key", "m")] == 0
        assert values["ferryman_last_complete_pass_timestamp_seconds", lane] == 1234.5
        assert values["ferryman_passes_total", lane] == 9
        assert values["ferryman_lane_paused", lane] == 1


async def test_each_sink_shows_what_it_owes(tmp_path: Path) -> None:
    async with serving(tmp_path) as service, asking(service) as client:
        service.control._sinks = sinks
        values = _values(await client.get("/metrics"))
        log, file = ("sink", "log"), ("sink", "file:x")
        assert values["ferryman_outbox_oldest_event_age_seconds", log] == 0
        assert values["ferryman_outbox_oldest_event_age_seconds", file] > 1_000_000
        assert values["ferryman_outbox_events", file] == 3
        assert values["ferryman_events_delivered_total", log] == 5
        assert values["ferryman_events_dead_lettered_total", file] == 2
        assert values["ferryman_event_retries_total", file] == 4
        assert (values["ferryman_sink_failing", log], values["ferryman_sink_failing", file]) == (0, 1)
        assert (values["ferryman_sink_disabled", log], values["ferryman_sink_disabled", file]) == (0, 1)


async def test_the_inbox_shows_how_far_it_is_behind(tmp_path: Path) -> None:
    async with serving(tmp_path, orders=False) as service, asking(service) as client:
        await service.send(batch("job"), wait_s=0)
        service.health.clock.now = lambda: 4e9  # type: ignore[method-assign] # an hour that never comes
        values = _values(await client.get("/metrics"))
        assert values["ferryman_inbox_entries",] == 1
        assert values["ferryman_inbox_lag_seconds",] > 1e9


@pytest.mark.parametrize(
    ("lane", "keys", "shown"),
    [
        pytest.param(LANE, [f"model-{number:04d}" for number in range(200)], KEYS_MAX + 1, id="many models"),
        pytest.param(
            f"default/{BLUEPRINT}", [f"blueprint:arn:{number}" for number in range(200)], 1, id="by blueprint"
        ),
    ],
)
async def test_quota_keys_are_a_bounded_label(tmp_path: Path, lane: str, keys: list[str], shown: int) -> None:
    async with serving(tmp_path) as service, asking(service) as client:
        slots = {key: SlotStatus(used=2, ours=1, ceiling=3, configured=4) for key in keys}
        service.state.statuses[lane] = LaneStatus(lane, slots=slots)
        values = _values(await client.get("/metrics"))
    for name, each in (("slots_used", 2), ("slots_quota", 4), ("jobs_waiting", 0)):
        found = {key: value for key, value in values.items() if key[0] == f"ferryman_{name}" and ("lane", lane) in key}
        assert len(found) == shown
        assert sum(found.values()) == each * len(keys)


def test_a_histogram_counts_what_is_not_above_its_bounds() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 99.0):
        histogram.observe(value)
    assert histogram.buckets() == [("1.0", 2), ("2.0", 4), ("+Inf", 5)]
    assert histogram.total == 104.0


def _values(answer: httpx.Response) -> dict[tuple[object, ...], float]:
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
