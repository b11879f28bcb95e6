"""Metrics in the text format of Prometheus.

Invariant: read at the moment of a scrape, into a registry of its own; base units; no job names; a bounded number of
series; everything that can be counted is there from the start, with 0. A store that is away costs what is read from it
alone.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import anyio
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from controller import __version__
from controller.control import Control, Counts
from controller.errors import AwsError, StoreUnavailableError
from controller.intake import SourceStatus
from controller.kinds import KINDS
from controller.measures import Histogram
from controller.model import Phase
from controller.publish import SinkStatus
from controller.status import LaneStatus, RateStatus, SlotStatus

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
COUNTED_WITHIN_S: Final = 5.0
OPERATIONS: Final = ("create", "get", "list", "stop", "delete")
OUTCOMES: Final = ("ok", *sorted(error.outcome for error in AwsError.__subclasses__()))
KEYS_MAX: Final = 50
"""Quota keys of a lane that are shown one by one."""
OTHER_KEYS: Final = "other"
_OF_LANE: Final = ("lane",)
_OF_OPERATION: Final = ("lane", "operation")
_OF_KEY: Final = ("lane", "quota_key")
_OF_SINK: Final = ("sink",)


@dataclass(frozen=True, slots=True, eq=False)  # a registry keeps its collectors by hash
class Snapshot:
    """What one scrape shows."""

    now: float
    lanes: Mapping[str, LaneStatus]
    sinks: Sequence[SinkStatus]
    sources: Mapping[str, SourceStatus]
    counts: Counts | None
    """None while the store is away."""
    ready: bool
    commits: Histogram
    loop_delays: Histogram

    def collect(self) -> Iterator[Metric]:
        yield _gauge("ferryman_ready", "Whether the lanes have taken up their work.", float(self.ready))
        yield _gauge("ferryman_store_up", "Whether the store could be read.", float(self.counts is not None))
        yield _build_info()
        yield _histogram(
            "ferryman_store_commit_duration_seconds", "Time of a transaction, its commit included.", self.commits
        )
        yield _histogram(
            "ferryman_event_loop_delay_seconds", "By how much a beat of the event loop was late.", self.loop_delays
        )
        yield from _lane_metrics(self.lanes)
        yield from _call_metrics(self.lanes)
        yield from _slot_metrics(self.lanes)
        yield from _sink_metrics(self.sinks, self.now)
        yield from _source_metrics(self.sources)
        if self.counts is not None:
            yield from _count_metrics(self.lanes, self.counts, self.now)


async def exposition(control: Control, *, now: float, loop_delays: Histogram) -> bytes:
    """All metrics, as they are now, with those of the process."""
    try:
        with anyio.fail_after(COUNTED_WITHIN_S):
            counts: Counts | None = await control.counts()
    except (StoreUnavailableError, TimeoutError):
        counts = None
    registry = CollectorRegistry(auto_describe=False)
    registry.register(
        Snapshot(
            now=now,
            lanes=control.lane_statuses(),
            sinks=control.sink_statuses(),
            sources=control.source_statuses(),
            counts=counts,
            ready=control.ready(),
            commits=control.commit_seconds,
            loop_delays=loop_delays,
        )
    )
    ProcessCollector(registry=registry)
    return generate_latest(registry)


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(name, what, value=value)


def _histogram(name: str, what: str, values: Histogram) -> Metric:
    return HistogramMetricFamily(name, what, buckets=values.buckets(), sum_value=values.total)


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
    attempts = CounterMetricFamily("ferryman_attempts", "Attempts begun, the first of each job too.", labels=_OF_LANE)
    changes = CounterMetricFamily(
        "ferryman_job_phase_changes", "Jobs that have come into a phase.", labels=("lane", "phase")
    )
    for lane, status in lanes.items():
        paused.add_metric([lane], float(status.paused))
        down.add_metric([lane], float(bool(status.unavailable)))
        passes.add_metric([lane], status.passes)
        last.add_metric([lane], status.last_complete_pass_at or 0.0)
        attempts.add_metric([lane], status.attempts)
        for phase in Phase:
            changes.add_metric([lane, phase.value], status.phase_changes.get(phase, 0))
    return paused, down, passes, last, attempts, changes


def _call_metrics(lanes: Mapping[str, LaneStatus]) -> Iterable[Metric]:
    calls = CounterMetricFamily(
        "ferryman_aws_calls", "Calls to AWS that have ended, by outcome.", labels=(*_OF_OPERATION, "outcome")
    )
    throttles = CounterMetricFamily("ferryman_aws_throttles", "Calls that AWS throttled.", labels=_OF_OPERATION)
    waits = CounterMetricFamily(
        "ferryman_limiter_wait_seconds", "Time that calls have waited for their rate.", labels=_OF_OPERATION
    )
    rate = GaugeMetricFamily("ferryman_rate_calls_per_second", "Present rate of an operation.", labels=_OF_OPERATION)
    ceiling = GaugeMetricFamily(
        "ferryman_rate_ceiling_calls_per_second", "Highest rate of an operation.", labels=_OF_OPERATION
    )
    for lane, status in lanes.items():
        for operation in dict.fromkeys((*OPERATIONS, *status.rates)):
            shown = status.rates.get(operation, RateStatus(0.0, 0.0))
            labels = [lane, operation]
            for outcome in OUTCOMES:
                calls.add_metric([*labels, outcome], shown.outcomes.get(outcome, 0))
            throttles.add_metric(labels, shown.throttles)
            waits.add_metric(labels, shown.waited_s)
            rate.add_metric(labels, shown.rate)
            ceiling.add_metric(labels, shown.ceiling)
    return calls, throttles, waits, rate, ceiling


def _slot_metrics(lanes: Mapping[str, LaneStatus]) -> Iterable[Metric]:
    used = GaugeMetricFamily("ferryman_slots_used", "Job slots taken, whoever's jobs they are.", labels=_OF_KEY)
    ours = GaugeMetricFamily("ferryman_slots_ours", "Job slots taken by jobs of this store.", labels=_OF_KEY)
    ceiling = GaugeMetricFamily("ferryman_slots_ceiling", "Job slots that may be taken, as learned.", labels=_OF_KEY)
    quota = GaugeMetricFamily("ferryman_slots_quota", "Job slots that the settings allow.", labels=_OF_KEY)
    for lane, status in lanes.items():
        sums: dict[str, list[int]] = {}
        for key, slot in _slots(status):
            values = (slot.used, slot.ours, slot.ceiling, slot.configured)
            sums[key] = [had + more for had, more in zip(sums.get(key, (0, 0, 0, 0)), values, strict=True)]
        for key, values_of_key in sums.items():
            for family, value in zip((used, ours, ceiling, quota), values_of_key, strict=True):
                family.add_metric([lane, key], value)
    return used, ours, ceiling, quota


def _slots(status: LaneStatus) -> Iterator[tuple[str, SlotStatus]]:
    """Slots under the names of their series."""
    names = _key_names(status.lane, status.slots)
    return ((names[key], slot) for key, slot in status.slots.items())


def _key_names(lane: str, keys: Iterable[str]) -> Mapping[str, str]:
    """What each quota key is called in a label: keys that a kind makes by the thing are one, as are those beyond."""
    kind = KINDS.get(lane.partition("/")[2])
    families = tuple(kind.fixed_slots) if kind is not None else ()
    names = {key: next((family.rstrip(":") for family in families if key.startswith(family)), key) for key in keys}
    shown = set(sorted(set(names.values()))[:KEYS_MAX])
    return {key: name if name in shown else OTHER_KEYS for key, name in names.items()}


def _sink_metrics(sinks: Sequence[SinkStatus], now: float) -> Iterable[Metric]:
    depth = GaugeMetricFamily("ferryman_outbox_events", "Events that a sink has not yet taken.", labels=_OF_SINK)
    age = GaugeMetricFamily(
        "ferryman_outbox_oldest_event_age_seconds", "Age of the oldest of them; 0: there is none.", labels=_OF_SINK
    )
    failing = GaugeMetricFamily("ferryman_sink_failing", "Whether a sink took nothing the last time.", labels=_OF_SINK)
    disabled = GaugeMetricFamily(
        "ferryman_sink_disabled", "Whether a sink is sent nothing, as its receiver is gone for good.", labels=_OF_SINK
    )
    delivered = CounterMetricFamily("ferryman_events_delivered", "Events that a sink has taken.", labels=_OF_SINK)
    dead = CounterMetricFamily("ferryman_events_dead_lettered", "Events given up for a sink.", labels=_OF_SINK)
    retries = CounterMetricFamily("ferryman_event_retries", "Sends of events put off.", labels=_OF_SINK)
    for sink in sinks:
        labels = [sink.name]
        depth.add_metric(labels, sink.depth)
        age.add_metric(labels, 0.0 if sink.oldest_at is None else max(0.0, now - sink.oldest_at))
        failing.add_metric(labels, float(sink.failures > 0))
        disabled.add_metric(labels, float(sink.disabled))
        delivered.add_metric(labels, sink.delivered)
        dead.add_metric(labels, sink.dead_lettered)
        retries.add_metric(labels, sink.retried)
    return depth, age, failing, disabled, delivered, dead, retries


def _source_metrics(sources: Mapping[str, SourceStatus]) -> Iterable[Metric]:
    documents = CounterMetricFamily(
        "ferryman_source_documents", "Documents that came from a source, by verdict.", labels=("source", "verdict")
    )
    failing = GaugeMetricFamily(
        "ferryman_source_failing", "Whether a source could not be read the last time.", labels=("source",)
    )
    for name, status in sources.items():
        documents.add_metric([name, "accepted"], status.accepted)
        documents.add_metric([name, "rejected"], status.rejected)
        failing.add_metric([name], float(status.failures > 0))
    return documents, failing


def _count_metrics(lanes: Mapping[str, LaneStatus], counts: Counts, now: float) -> Iterable[Metric]:
    jobs = GaugeMetricFamily("ferryman_jobs", "Jobs known.", labels=("lane", "phase"))
    waiting = GaugeMetricFamily("ferryman_jobs_waiting", "Jobs that wait to be created.", labels=_OF_KEY)
    for lane in dict.fromkeys((*lanes, *counts.lanes)):
        known = counts.lanes.get(lane)
        for phase in Phase:
            jobs.add_metric([lane, phase.value], known.phases.get(phase, 0) if known else 0)
        queues = {queue.key: queue.waiting for queue in known.queues} if known else {}
        slots = lanes[lane].slots if lane in lanes else {}
        sums: dict[str, int] = {}
        for key, name in _key_names(lane, dict.fromkeys((*slots, *queues))).items():
            sums[name] = sums.get(name, 0) + queues.get(key, 0)
        for name, jobs_waiting in sums.items():
            waiting.add_metric([lane, name], jobs_waiting)
    yield jobs
    yield waiting
    yield _gauge("ferryman_inbox_entries", "Documents and commands not yet applied.", counts.inbox)
    oldest = counts.inbox_oldest_at
    lag = 0.0 if oldest is None else max(0.0, now - oldest)
    yield _gauge("ferryman_inbox_lag_seconds", "Age of the oldest of them; 0: there is none.", lag)
    yield _gauge("ferryman_dead_letters", "Rejected documents and events kept.", counts.dead_letters)
