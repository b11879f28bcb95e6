"""SIGKILL and SIGTERM at random moments of real processes, while documents of all four kinds pass.

`python -m tests.reliability.kill --kills 1000 --seed 1`: worlds of a few dozen kills each, a few at a time. Every world
has a seed of its own, a store and a simulated AWS of its own; it is judged at its end (nothing twice, nothing lost,
events without gaps, silence afterwards). A world that fails prints its seed and keeps its folder. The moments of the
signals are random; the same seed draws the same ones, but the processes run on a real clock.
"""

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx

from tests.documents import BATCH, BLUEPRINT, PROMPT, RECOMMENDATION
from tests.harness import Aws, Ferryman, simulated_aws
from tests.reliability import judging
from tests.reliability.feeding import Feeder
from tests.reliability.lives import Life, template

KILLS_PER_WORLD = 20
GRACE_S = 8.0
ALIVE_S = 0.9
"""The longest a process lives after it serves."""
START_S = 0.8
"""Until about when a process is starting."""
SETTLE_S = 90.0
OUTCOMES = {
    BATCH: {"Failed": 0.12, "PartiallyCompleted": 0.03, "Expired": 0.03},
    PROMPT: {"Failed": 0.15},
    BLUEPRINT: {"ServiceError": 0.1, "ClientError": 0.05},
    RECOMMENDATION: {"CREATE FAILED": 0.15},
}
SETTINGS = {
    "FERRYMAN_GRACE_S": str(GRACE_S),
    "FERRYMAN_AWS__TIMEOUT_S": "4",
    "FERRYMAN_AWS__CONNECT_TIMEOUT_S": "2",
    "FERRYMAN_RECONCILE__LIST_LAG_S": "1",
    "FERRYMAN_RECONCILE__INTERVAL": "0.5",
    "FERRYMAN_QUEUE__POLL_S": "0.05",
    "FERRYMAN_STORE__LOCK_WAIT_S": "5",
}


@dataclass
class Tally:
    """What was done, and what was found wrong."""

    kills: int = 0
    terms: int = 0
    during_start: int = 0
    during_drain: int = 0
    documents: int = 0
    creates: int = 0
    uncertain: int = 0
    events: int = 0
    longest_stop_s: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        self.longest_stop_s = max(self.longest_stop_s, other.longest_stop_s)
        self.wrong += other.wrong
        for name in ("kills", "terms", "during_start", "during_drain", "documents", "creates", "uncertain", "events"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def sentence(self) -> str:
        return (
            f"{self.kills + self.terms} lives ended ({self.kills} SIGKILL, {self.terms} SIGTERM; "
            f"{self.during_start} while starting, {self.during_drain} while draining): {self.documents} documents, "
            f"{self.creates} remote jobs, {self.events} events, {self.uncertain} uncertain creates resolved, "
            f"longest stop {self.longest_stop_s:.1f} s; {len(self.wrong)} violations"
        )


class World:
    """One store, one simulated AWS, many short lives."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.tally = Tally()
        self._chance = random.Random(seed)
        self._people_chance = random.Random(seed + 1)
        self._feeder = Feeder(folder / "spool", random.Random(seed + 2))
        sources = {"FERRYMAN_QUEUE__SOURCES": json.dumps([f"dir:{folder / 'spool'}"])}
        self._home = Ferryman(folder, "", {**SETTINGS, **sources})

    async def run(self, kills: int) -> Tally:
        async with simulated_aws(outcomes=OUTCOMES, page_size_max=20) as aws:
            self._home.endpoint = aws.url
            for _ in range(kills):
                await self._one_life()
            await self._settle(aws)
            await self._stay_silent(aws)
            await self._judge(aws)
        return self.tally

    async def _one_life(self) -> None:
        chance = self._chance
        for _ in range(chance.randint(1, 3)):
            self._feeder.spool(*(self._feeder.draw() for _ in range(chance.randint(1, 4))))
        starting = chance.random() < 0.2
        moment = chance.uniform(0, START_S if starting else ALIVE_S)
        life = await template().start(self._home)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._people, life)
            if not starting:
                await life.until(lambda: bool(life.url), 30)
            await _live_on(life, moment)
            self.tally.during_start += starting
            await self._end(life)
            tasks.cancel_scope.cancel()

    async def _end(self, life: Life) -> None:
        chance, tally = self._chance, self.tally
        way = chance.random()
        if way < 0.5:
            tally.kills += 1
            await life.end(signal.SIGKILL)
            return
        served = bool(life.url)
        began = time.monotonic()
        life.send(signal.SIGTERM)
        if way < 0.7:
            tally.kills += 1
            tally.during_drain += 1
            await _live_on(life, chance.uniform(0, 0.4))
            await life.end(signal.SIGKILL)
            return
        tally.terms += 1
        code = await life.wait(GRACE_S + 15)
        took = time.monotonic() - began
        tally.longest_stop_s = max(tally.longest_stop_s, took)
        if code != 0 and (served or code != -signal.SIGTERM):
            tally.wrong.append(f"SIGTERM ended with {code}: {life.log}")
        if took > GRACE_S:
            tally.wrong.append(f"SIGTERM took {took:.1f} s: {life.log}")

    async def _people(self, life: Life) -> None:
        """They send documents and commands to the API as long as it answers."""
        chance, feeder = self._people_chance, self._feeder
        while not life.over:
            if not life.url:
                await _live_on(life, 0.02)
                continue
            if chance.random() < 0.6:
                await self._send(life)
            elif (key := feeder.recent()) is not None:
                feeder.expected[key].commanded = True
                with suppress(httpx.HTTPError):
                    command = chance.choice(("stop", "delete", "retry"))
                    await life.post(f"/v1/jobs/default/{key}:{command}", wait=str(chance.choice((0, 1))))
            await _live_on(life, chance.uniform(0, 0.3))

    async def _send(self, life: Life) -> None:
        item = self._feeder.draw()
        sent = False
        try:
            answer = await life.post("/v1/documents", item)
            sent = answer.status_code in (202, 422)
        except httpx.HTTPError:
            pass
        finally:
            if not sent:
                self._feeder.spool(item)

    async def _settle(self, aws: Aws) -> None:
        """No more signals: until nothing is left to do, a person resolving what is uncertain."""
        for _ in range(10):
            life = await template().start(self._home, "--until-settled")
            code = await self._wait_settled(life)
            if code not in (0, 3, 4):
                self.tally.wrong.append(f"settling ended with {code}: {life.text()[-1000:]}")
                return
            if not await self._resolve_all(aws):
                return
        self.tally.wrong.append("uncertain creates without end")

    async def _wait_settled(self, life: Life) -> int:
        try:
            return await life.wait(SETTLE_S)
        except TimeoutError:
            self.tally.wrong.append(f"not settled within {SETTLE_S:g} s: {life.log}")
            return await life.end(signal.SIGKILL)

    async def _resolve_all(self, aws: Aws) -> int:
        """Say of each uncertain create what the ledger knows; returns how many there were."""
        async with template().life(self._home) as life:
            uncertain = await _jobs(life, phase="Uncertain")
            made = {tag["value"]: entry.arn for entry in aws.creates() for tag in entry.parameters.get("tags", ())}
            for job in uncertain:
                arn = made.get(job["attempts"][-1]["token"])
                body: dict[str, Any] = (
                    {"remoteId": arn} if arn else self._people_chance.choice(({"retry": True}, {"fail": True}))
                )
                expected = self._feeder.expected[f"{job['kind']}/{job['name']}"]
                expected.commanded |= "fail" in body
                expected.resolved += "retry" in body
                path = f"/v1/jobs/{job['scope']}/{job['kind']}/{job['name']}:resolve"
                answer = await life.post(path, body, wait="10")
                if answer.status_code != 200:
                    self.tally.wrong.append(f"resolve answered {answer.status_code}: {answer.text[:300]}")
            await life.end()
        self.tally.uncertain += len(uncertain)
        return len(uncertain)

    async def _stay_silent(self, aws: Aws) -> None:
        """Settled is settled: another life changes nothing at AWS, and tells of no job."""
        entries, events = aws.simulator.ledger.sequence, len(self._job_events())
        life = await template().start(self._home, "--until-settled")
        await self._wait_settled(life)
        if aws.simulator.ledger.sequence != entries:
            self.tally.wrong.append(f"{aws.simulator.ledger.sequence - entries} effects at AWS after it was settled")
        if len(self._job_events()) != events:
            self.tally.wrong.append("events of jobs after it was settled")

    def _job_events(self) -> list[str]:
        found, _ = judging.read_events(self._home.folder / "events.jsonl")
        return [event["id"] for event in found if event["type"].startswith("ferryman.job.")]

    async def _judge(self, aws: Aws) -> None:
        feeder, tally = self._feeder, self.tally
        async with template().life(self._home) as life:
            jobs = {f"{job['kind']}/{job['name']}": job for job in await _jobs(life)}
            await life.end()
        events, torn = judging.read_events(self._home.folder / "events.jsonl")
        tally.documents, tally.events = len(feeder.expected) + len(feeder.rejected), len(events)
        tally.creates = len(aws.creates())
        tally.wrong += torn
        tally.wrong += judging.nothing_twice(aws)
        tally.wrong += judging.no_orphans(aws, events)
        tally.wrong += judging.events_without_gaps(events)
        tally.wrong += judging.terminal_is_final(events)
        tally.wrong += judging.nothing_lost(feeder.expected, jobs)
        tally.wrong += judging.rejected_are_kept(feeder.rejected, self._home.folder / "ferryman.db")
        tally.wrong += [f"still in the spool: {name}" for name in feeder.unread()]


async def _live_on(life: Life, seconds: float) -> None:
    """Let it live for a while, unless it ends by itself."""
    with suppress(TimeoutError):
        await life.wait(seconds)


async def _jobs(life: Life, **filters: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        page = await life.get("/v1/jobs", limit="500", **filters, **({"after": after} if after else {}))
        found += page["items"]
        after = page["next"]
        if after is None:
            return found


async def kill(kills: int, seed: int, at_once: int = 3, folder: Path | None = None) -> Tally:
    """So many lives that end by a signal, in worlds of `KILLS_PER_WORLD`."""
    base = folder or Path(tempfile.mkdtemp(prefix="ferryman-kill-"))
    total = Tally()
    places = anyio.CapacityLimiter(at_once)
    counts = [min(KILLS_PER_WORLD, kills - begun) for begun in range(0, kills, KILLS_PER_WORLD)]

    async def one(number: int, count: int) -> None:
        async with places:
            own = seed * 1_000_003 + number
            home = base / f"world-{number:04d}"
            home.mkdir(parents=True)
            tally = await World(own, home).run(count)
            print(f"world {number:4d}, seed {own}: {tally.sentence()}", flush=True)  # noqa: T201 - the program's output
            for sentence in tally.wrong:
                print(f"    {sentence}", flush=True)  # noqa: T201 - the program's output
            if not tally.wrong:
                shutil.rmtree(home)
            total.add(tally)

    async with anyio.create_task_group() as worlds:
        for number, count in enumerate(counts):
            worlds.start_soon(one, number, count)
    if total.wrong:
        print(f"kept: {base}", flush=True)  # noqa: T201 - the program's output
    return total


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, prog="kill")
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--at-once", type=int, default=3)
    asked = parser.parse_args(arguments)
    print(f"seed {asked.seed}: make kill N={asked.kills} SEED={asked.seed}", flush=True)  # noqa: T201 - see above
    began = time.monotonic()
    total = anyio.run(kill, asked.kills, asked.seed, asked.at_once)
    print(f"{total.sentence()} in {time.monotonic() - began:.0f} s")  # noqa: T201 - see above
    return 1 if total.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
