"""What must be true of a world of killed processes, judged by the simulator's ledger, the events and the API.

Each oracle returns sentences about what is wrong; none: nothing is.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.harness import Aws
from tests.reliability.feeding import Expected

TERMINAL = {"Succeeded", "Failed", "Stopped", "Deleted"}
Event = Mapping[str, Any]


def read_events(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """The whole lines of an events file, and complaints about lines that are none."""
    found: list[dict[str, Any]] = []
    wrong: list[str] = []
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], 1):
        try:
            found.append(json.loads(line))
        except ValueError:
            wrong.append(f"line {number} of the events is torn: {line[:80]!r}")
    return found, wrong


def nothing_twice(aws: Aws) -> list[str]:
    """At most one remote job for an attempt."""
    return [f"created twice: {attempt}" for attempt in aws.created_twice()]


def no_orphans(aws: Aws, events: Sequence[Event]) -> list[str]:
    """Every remote job is known as an attempt of a job, and every known one exists."""
    made = {entry.arn for entry in aws.creates()}
    told = {
        attempt["remoteId"]
        for event in events
        for attempt in event["data"].get("attempts", ())
        if attempt.get("remoteId")
    }
    return [f"nobody knows {arn}" for arn in sorted(made - told)] + [f"{arn} was never made" for arn in told - made]


def events_without_gaps(events: Sequence[Event]) -> list[str]:
    """First deliveries of a stream are 1, 2, 3, ...; a repeated id repeats its content."""
    wrong: list[str] = []
    known: dict[str, Event] = {}
    last: Counter[str] = Counter()
    for event in events:
        if event["id"] in known:
            if known[event["id"]] != event:
                wrong.append(f"{event['id']} was told twice, differently")
            continue
        known[event["id"]] = event
        stream, _, number = event["id"].rpartition("-")
        if int(number) != last[stream] + 1:
            wrong.append(f"{event['id']} follows {stream}-{last[stream]}")
        last[stream] = int(number)
    return wrong


def terminal_is_final(events: Iterable[Event]) -> list[str]:
    """A terminal phase never regresses within an incarnation, but to Deleted."""
    wrong: list[str] = []
    ended: dict[str, str] = {}
    seen: set[str] = set()
    for event in events:
        data = event["data"]
        uid, phase = data.get("uid"), data.get("phase")
        if uid is None or event["id"] in seen:
            continue
        seen.add(event["id"])
        before = ended.get(uid)
        if before is not None and phase not in (before, "Deleted"):
            wrong.append(f"{event['subject']} went from {before} to {phase} ({event['id']})")
        if phase in TERMINAL:
            ended[uid] = phase
    return wrong


def nothing_lost(expected: Mapping[str, Expected], jobs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Every document handed over has its job, of its generation, resting where it may."""
    wrong: list[str] = []
    for key, wanted in expected.items():
        job = jobs.get(key)
        if job is None:
            wrong.append(f"lost: {key}")
        elif job["generation"] != wanted.newest["generation"]:
            wrong.append(f"{key}: generation {job['generation']}, sent {wanted.newest['generation']}")
        elif job["phase"] not in wanted.allowed():
            wrong.append(f"{key}: {job['phase']} ({job['reason']}), allowed {sorted(wanted.allowed())}")
        elif job["attempt"] > wanted.attempts + wanted.resolved:
            wrong.append(f"{key}: attempt {job['attempt']}")
    return wrong


def rejected_are_kept(names: Iterable[str], store: Path) -> list[str]:
    """Each wrong document is a dead letter."""
    with sqlite3.connect(store) as connection:
        kept = b"\n".join(bytes(body) for (body,) in connection.execute("SELECT body FROM dead_letters"))
    return [f"the rejected {name} is no dead letter" for name in sorted(names) if f'"{name}"'.encode() not in kept]
