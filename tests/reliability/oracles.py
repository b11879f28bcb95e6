"""Oracles: what must hold of every run, judged by AWS's ledger and the sinks, never by Ferryman's own word.

Each gives sentences about what is wrong; none: all is well. The store is read for one purpose: an event that a sink has
must have been committed.
"""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from tests.reliability.user import ENDS, document_of, mark_of
from tests.reliability.world import SECRET, World

BETWEEN = frozenset({"updated", "stop_unsupported"})
"""What an ended job may still say before it is deleted."""
WAL_BYTES_MAX = 70 * 1024 * 1024


Final = Mapping[str, tuple[str, int | frozenset[int]]]
"""By document: the type of its last event, and how many remote jobs it may have."""

UNLIMITED = 10_000


def judge(world: World, final: Final, quotas: Mapping[str, int]) -> list[str]:
    """Every oracle on a run that is over.

    Args:
        final: by document, the type of its last event and the number of its remote jobs.
        quotas: by kind, the most remote jobs at a time; UNLIMITED where a person let one go, or others have theirs.
    """
    events = world.event_list()
    return [
        *(f"O6: {problem}" for problem in world.problems),
        *_o1_one_job_an_attempt(world),
        *_o2_every_document_ends(world, final),
        *_o3_quota(world, quotas),
        *_o5_events(world, events),
        *_o7_ends_are_final(events),
        *_o8_bounded(world),
        *_o10_secrets(world),
    ]


def _o1_one_job_an_attempt(world: World) -> Iterator[str]:
    made = Counter(mark_of(entry) for entry in world.creates())
    for mark, count in made.items():
        if count > 1:
            yield f"O1: {count} remote jobs for the attempt {mark}"


def _o2_every_document_ends(world: World, final: Final) -> Iterator[str]:
    world.user.look()
    made = Counter(document_of(entry) for entry in world.creates())
    for name, (last, jobs) in final.items():
        seen = world.user.jobs.get(name)
        if seen is None or seen.last != last:
            yield f"O2: {name} should end {last}, and its events are {seen.types if seen else 'none'}"
        elif made[name] not in (jobs if isinstance(jobs, frozenset) else {jobs}):
            yield f"O1: {name} should have {jobs} remote jobs and has {made[name]}"
        elif last in ENDS and seen.data["phase"] != ENDS[last]:
            yield f"O2: the last event of {name} is {last} and says {seen.data['phase']}"


def _o3_quota(world: World, quotas: Mapping[str, int]) -> Iterator[str]:
    for (_, _, kind, key), peak in world.simulator.ledger.peaks.items():
        allowed = quotas.get(kind, 20)
        if key.startswith("arn:") and allowed < UNLIMITED:
            allowed = 1
        if peak > allowed:
            yield f"O3: {peak} jobs of {kind} {key} were active at a time, and {allowed} may be"


def _o5_events(world: World, events: list[dict[str, Any]]) -> Iterator[str]:
    streams: dict[str, list[int]] = defaultdict(list)
    bodies: dict[str, Any] = {}
    for event in events:
        stream, _, number = event["id"].rpartition("-")
        if bodies.setdefault(event["id"], event) != event:
            yield f"O5: {event['id']} came twice, and differs"
        if int(number) not in streams[stream]:
            streams[stream].append(int(number))
    for stream, numbers in streams.items():
        if numbers != list(range(1, len(numbers) + 1)):
            yield f"O5: the stream {stream} is {numbers}"
    committed = committed_events(world)
    yield from (f"O5: {id_} was sent and is not in the store" for id_ in sorted(bodies.keys() - committed))
    yield from (f"O5: {id_} was committed and never sent" for id_ in sorted(committed - bodies.keys()))


def committed_events(world: World) -> set[str]:
    connection = sqlite3.connect(world.store)
    try:
        return {row[0] for row in connection.execute("SELECT id FROM events")}
    finally:
        connection.close()


def _o7_ends_are_final(events: list[dict[str, Any]]) -> Iterator[str]:
    ended: dict[str, str] = {}
    seen: set[str] = set()
    for event in events:
        type_ = event["type"].removeprefix("ferryman.job.")
        if event["id"] in seen or not event["type"].startswith("ferryman.job."):
            continue
        seen.add(event["id"])
        uid = event["data"]["uid"]
        if uid in ended and type_ not in BETWEEN and not (type_ == "deleted" and ended[uid] != "deleted"):
            yield f"O7: {event['subject']} was {ended[uid]}, and then {type_}"
        if type_ in ENDS:
            ended[uid] = type_


def _o8_bounded(world: World) -> Iterator[str]:
    for path in world.folder.glob("store*/*-wal"):
        if path.stat().st_size > WAL_BYTES_MAX:
            yield f"O8: {path.name} has {path.stat().st_size} bytes"


def _o10_secrets(world: World) -> Iterator[str]:
    written = "\n".join(world.log) + world.events.read_text(encoding="utf-8")
    if SECRET in written:
        yield "O10: the secret key is in a log or event"
