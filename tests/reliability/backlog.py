"""P34: a sink was down for hours, and very many events wait: a real daemon drains them in order, in little memory.

    python -m tests.reliability.backlog --events 2000000

The outbox of a real SQLite store is filled by SQL, then `ferryman run` drains it to a file, and in smaller numbers to
an SQS queue and a webhook, each of which fails at first. The judge is what arrived: every event, those of a job in
their order, none left out.
"""

import argparse
import json
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from aiohttp import web

from tests.documents import BATCH
from tests.harness import Aws, Ferryman, simulated_aws
from tests.reliability.lives import Life, template
from tests.web_peer import listening

LANE = f"default/{BATCH}"
JOBS = 5_000
"""Whose events wait, in turn."""
HOURS_S = 3 * 3600
REFUSALS = 3
"""Requests that a receiver refuses before it is well again."""
SHARES = {"file": 1, "sqs": 20, "webhook": 40}
"""One in so many events goes to each sort of sink."""
EVENT_S = 0.02
"""The time allowed for each event, on a slow and busy machine; the minute before is for everything else."""

_FILL = """
INSERT INTO events (lane, seq, id, type, subject, at, body)
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :events)
SELECT :lane, :after + 1 + i, 'backlog' || (i % :jobs) || '-' || (i / :jobs + 1), 'ferryman.job.progress',
    :lane || '/job-' || (i % :jobs), :at + i * :step,
    CAST('{"specversion":"1.0","id":"backlog' || (i % :jobs) || '-' || (i / :jobs + 1)
    || '","source":"ferryman/backlog","type":"ferryman.job.progress","subject":"' || :lane || '/job-' || (i % :jobs)
    || '","sequence":"' || (i / :jobs + 1) || '","data":{"padding":"' || :padding || '"}}' AS BLOB)
FROM n
"""


@dataclass
class Arrivals:
    """What arrived: every event of a job in its order, the first time it comes."""

    events: int = 0
    again: int = 0
    wrong: list[str] = field(default_factory=list)
    _last: Counter[str] = field(default_factory=Counter)

    def take(self, body: bytes | str) -> None:
        event = json.loads(body)
        stream, number = event["id"].rsplit("-", 1)
        if not stream.startswith("backlog"):
            return
        expected = self._last[stream] + 1
        if int(number) < expected:
            self.again += 1
        elif int(number) > expected:
            self.wrong.append(f"{event['id']} came before {stream}-{expected}")
        else:
            self._last[stream] = expected
            self.events += 1


@dataclass(frozen=True)
class Drained:
    """One sink's run."""

    sink: str
    arrivals: Arrivals
    seconds: float
    mb_before: int
    mb_most: int

    def sentence(self) -> str:
        rate = self.arrivals.events / self.seconds
        return (
            f"P34 {self.sink}: {self.arrivals.events:,} events in {self.seconds:.0f} s ({rate:,.0f}/s), "
            f"{self.arrivals.again} of them again, memory {self.mb_before} -> {self.mb_most} MB"
        )


def fill(path: Path, events: int) -> None:
    """Let so many events wait, committed over the last hours."""
    with closing(sqlite3.connect(path, isolation_level=None)) as store:
        (after,) = store.execute("SELECT seq FROM lanes WHERE lane = ?", (LANE,)).fetchone()
        parameters = {
            "lane": LANE,
            "after": after,
            "events": events,
            "jobs": min(JOBS, events),
            "at": time.time() - HOURS_S,
            "step": HOURS_S / events,
            "padding": "x" * 200,
        }
        store.execute("BEGIN")
        store.execute(_FILL, parameters)
        store.execute("UPDATE lanes SET seq = seq + ? WHERE lane = ?", (events, LANE))
        store.execute("DELETE FROM cursors")
        store.execute("COMMIT")
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def memory_mb(pid: int, what: str) -> int:
    """`VmRSS` now, or `VmHWM`, the most so far."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith(what))


@asynccontextmanager
async def receiver(arrivals: Arrivals) -> AsyncIterator[str]:
    """A webhook's receiver, and an SQS endpoint, which refuse at first."""
    refused = 0

    async def handle(request: web.Request) -> web.Response:
        nonlocal refused
        body = await request.read()
        if refused < REFUSALS:
            refused += 1
            return web.Response(status=503)
        if "x-amz-target" not in request.headers:
            arrivals.take(body)
            return web.Response(status=204)
        entries = json.loads(body)["Entries"]
        for entry in entries:
            arrivals.take(entry["MessageBody"])
        done = [{"Id": entry["Id"], "MessageId": entry["Id"], "MD5OfMessageBody": ""} for entry in entries]
        return web.json_response({"Successful": done}, content_type="application/x-amz-json-1.0")

    app = web.Application(client_max_size=4 * 1024 * 1024)
    app.router.add_post("/{path:.*}", handle)
    async with listening(app) as url:
        yield url


async def drain(sort: str, events: int, folder: Path) -> Drained:
    """Fill a store, and let a daemon drain it to one sort of sink."""
    await anyio.Path(folder).mkdir()
    async with simulated_aws() as aws:
        home = Ferryman(folder, aws.url)
        life = await template().start(home, "--until-settled")
        assert await life.wait() == 0, life.text()
        fill(folder / "ferryman.db", events)
        arrivals = Arrivals()
        within_s = 60 + EVENT_S * events
        if sort == "file":
            return await _to_file(home, arrivals, events, within_s)
        async with receiver(arrivals) as url:
            return await _to_receiver(sort, _directed(home, aws, sort, url), arrivals, events, within_s)


def _directed(home: Ferryman, aws: Aws, sort: str, url: str) -> Ferryman:
    sink: Any = f"sqs:{url}/123456789012/events"
    if sort == "webhook":
        sink = {"url": f"webhook:{url}/hook", "allow_private": True}
    settings = {"FERRYMAN_EVENTS__SINKS": json.dumps([sink]), "AWS_ENDPOINT_URL_SQS": url}
    return Ferryman(home.folder, aws.url, settings)


async def _to_receiver(sort: str, home: Ferryman, arrivals: Arrivals, events: int, within_s: float) -> Drained:
    async with template().life(home) as life:
        before, began = memory_mb(life.pid, "VmRSS"), time.monotonic()
        await life.until(lambda: arrivals.events >= events or bool(arrivals.wrong), within_s)
        return await _ended(sort, life, arrivals, before, began)


async def _to_file(home: Ferryman, arrivals: Arrivals, events: int, within_s: float) -> Drained:
    """The file is moved away in the midst of it, and for a while its place is taken by a folder."""
    path = home.folder / "events.jsonl"
    moved = path.with_suffix(".1")
    reader = _Lines(arrivals)
    async with template().life(home) as life:
        before, began = memory_mb(life.pid, "VmRSS"), time.monotonic()
        await life.until(lambda: path.exists() and path.stat().st_size > 0, within_s)
        path.rename(moved)
        path.mkdir()
        await life.until(lambda: reader.read(moved) >= events or "publish.failed" in life.text(), within_s)
        reader.read(moved)
        path.rmdir()
        reader.begin()
        await life.until(lambda: reader.read(path) >= events or bool(arrivals.wrong), within_s)
        return await _ended("file", life, arrivals, before, began)


async def _ended(sort: str, life: Life, arrivals: Arrivals, before: int, began: float) -> Drained:
    seconds, most = time.monotonic() - began, memory_mb(life.pid, "VmHWM")
    assert await life.end() == 0, life.text()
    return Drained(sort, arrivals, seconds, before, most)


@dataclass
class _Lines:
    """Reads a file as it grows, whole lines only."""

    arrivals: Arrivals
    _offset: int = 0

    def begin(self) -> None:
        """Another file comes next."""
        self._offset = 0

    def read(self, path: Path) -> int:
        if path.is_file():
            with path.open("rb") as file:
                file.seek(self._offset)
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self._offset += len(line)
                    self.arrivals.take(line)
        return self.arrivals.events


async def drain_all(events: int, folder: Path, sorts: Sequence[str] = tuple(SHARES)) -> Sequence[Drained]:
    """Every sort of sink, one after the other."""
    return [await drain(sort, max(100, events // SHARES[sort]), folder / sort) for sort in sorts]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, prog="backlog")
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--sink", choices=list(SHARES), action="append", help="all of them by default")
    asked = parser.parse_args(arguments)
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="backlog-") as folder:
        for run in anyio.run(drain_all, asked.events, Path(folder), asked.sink or list(SHARES)):
            print(run.sentence(), flush=True)  # noqa: T201 - its whole purpose
            for problem in run.arrivals.wrong[:10]:
                print(f"  {problem}")  # noqa: T201 - see above
            wrong += len(run.arrivals.wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
