"""Metrics in the text format of Prometheus.

Invariant: read at the moment of a scrape, into a registry of its own; base units; no job names; everything that can be
counted is there from the start, with 0. A store that is away costs the job counts alone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import anyio
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from controller import __version__
from controller.control import Control, Counts
from controller.errors import StoreUnavailableError
from controller.model import Phase
from controller.status import LaneStatus, RateStatus

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
COUNTED_WITHIN_S: Final = 5.0
OPERATIONS: Final = ("create", "get", "list", "stop", "delete")
_OF_LANE: Final = ("lane",)
_OF_OPERATION: Final = ("lane", "operation")
_OF_KEY: Final = ("lane", "quota_key")


@dataclass(frozen=True, slots=True, eq=False)  # a registry keeps its collectors by hash
class Snapshot:
    """What one scrape shows."""

    lanes: Mapping[str, LaneStatus]
    counts: Counts | None
    """None while the store is away."""
    ready: bool
    stall_s_max: float

    def collect(self) -> Iterable[Metric]:
        yield _single("ferryman_ready", "Whether the lanes have taken up their work.", float(self.ready))
        yield _single("ferryman_store_up", "Whether the store could be read.", float(self.counts is not None))
        yield _single("ferryman_loop_stall_seconds_max", "Longest delay of the event loop's beat.", self.stall_s_max)
        yield _build_info()
        yield from _lane_metrics(self.lanes)
        yield from _call_metrics(self.lanes)
        yield from _slot_metrics(self.lanes)
        if self.counts is not None:
            yield from _count_metrics(self.lanes, self.counts)


async def exposition(control: Control, stall_s_max: float) -> bytes:
    """All metrics, as they are now."""
    try:
        with anyio.fail_after(COUNTED_WITHIN_S):
            counts: Counts | None = await control.counts()
    except (StoreUnavailableError, TimeoutError):
        counts = None
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Snapshot(control.lane_statuses(), counts, control.ready(), stall_s_max))
    return generate_latest(registry)


def _single(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(name, what, value=value)


def _build_info() -> Metric:
    info = GaugeMetricFamily("ferryman_build_info", "The running version; always 1.", labels=["version"])
    info.add_metric([__version__], 1)
    return info


def _lane_metrics(lanes: Mapping[str, LaneStatus]) -> Iterable[Metric]:
    paused = GaugeMetricFamily("ferryman_lane_paused", "Whether creates are paused.", labels=_OF_LANE)
    down = GaugeMetricFamily("ferryman_scope_unavailable", "Whether the scope cannot be used.", labels=_OF_LANE)
    passes = CounterMetricFamily("ferryman_passes", "Complete passes of reconciling.", labels=_OF_LANE)
    last = GaugeMetricFamily(
        "ferryman_last_complete_pass_timestamp_seconds", "When the last complete pass ended; 0: none.", labels=_OF_LANE
    )
    for lane, status in lanes.items():
        paused.add_metric([lane], float(status.paused))
        down.add_metric([lane], float(bool(status.unavailable)))
        passes.add_metric([lane], status.passes)
        last.add_metric([lane], status.last_complete_pass_at or 0.0)
    return paused, down, passes, last


def _call_metrics(lanes: Mapping[str, LaneStatus]) -> Iterable[Metric]:
    calls = CounterMetricFamily("ferryman_aws_calls", "Calls sent to AWS.", labels=_OF_OPERATION)
    throttles = CounterMetricFamily("ferryman_aws_throttles", "Calls that AWS throttled.", labels=_OF_OPERATION)
    errors = CounterMetricFamily("ferryman_aws_errors", "Calls that failed otherwise.", labels=_OF_OPERATION)
    rate = GaugeMetricFamily("ferryman_rate_calls_per_second", "Present rate of an operation.", labels=_OF_OPERATION)
    ceiling = GaugeMetricFamily(
        "ferryman_rate_ceiling_calls_per_second", "Highest rate of an operation.", labels=_OF_OPERATION
    )
    for lane, status in lanes.items():
        for operation in dict.fromkeys((*OPERATIONS, *status.rates)):
            shown = status.rates.get(operation, RateStatus(0.0, 0.0))
            labels = [lane, operation]
            calls.add_metric(labels, shown.calls)
            throttles.add_metric(labels, shown.throttles)
            errors.add_metric(labels, shown.errors)
            rate.add_metric(labels, shown.rate)
            ceiling.add_metric(labels, shown.ceiling)
    return calls, throttles, errors, rate, ceiling


def _slot_metrics(lanes: Mapping[str, LaneStatus]) -> Iterable[Metric]:
    used = GaugeMetricFamily("ferryman_slots_used", "Job slots taken, whoever's jobs they are.", labels=_OF_KEY)
    ours = GaugeMetricFamily("ferryman_slots_ours", "Job slots taken by jobs of this store.", labels=_OF_KEY)
    ceiling = GaugeMetricFamily("ferryman_slots_ceiling", "Job slots that may be taken.", labels=_OF_KEY)
    for lane, status in lanes.items():
        for key, slot in status.slots.items():
            used.add_metric([lane, key], slot.used)
            ours.add_metric([lane, key], slot.ours)
            ceiling.add_metric([lane, key], slot.ceiling)
    return used, ours, ceiling


def _count_metrics(lanes: Mapping[str, LaneStatus], counts: Counts) -> Iterable[Metric]:
    jobs = GaugeMetricFamily("ferryman_jobs", "Jobs known.", labels=("lane", "phase"))
    waiting = GaugeMetricFamily("ferryman_jobs_waiting", "Jobs that wait to be created.", labels=_OF_KEY)
    for lane in dict.fromkeys((*lanes, *counts.lanes)):
        known = counts.lanes.get(lane)
        for phase in Phase:
            jobs.add_metric([lane, phase.value], known.phases.get(phase, 0) if known else 0)
        for queue in known.queues if known else ():
            waiting.add_metric([lane, queue.key], queue.waiting)
    yield jobs
    yield waiting
    yield _single("ferryman_inbox_entries", "Documents and commands not yet applied.", counts.inbox)
    yield _single("ferryman_dead_letters", "Rejected documents and events kept.", counts.dead_letters)
