"""Documents arrive: from the endpoint's queue, from a file, or over HTTP from a process of their own.

`python -m tests.benchmarks.arriving URL DOCUMENTS STORY [BATCH]`, with one of the stories below. The queue must hold
the documents already. Figures are of the daemon's process alone, from its being ready.
"""

import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.request import Request, urlopen

import anyio
import orjson
from anyio import to_thread

from controller.control import Control
from controller.model import Phase
from controller.store import LaneStore
from tests.benchmarks.daemon import FOLDER, LANE, Story, resident_mib, run, until, watched, weighed
from tests.documents import BATCH, document

QUEUE = "/queue/documents"
CONNECTIONS = 8
FILE = "arriving.jsonl"


class Stories:
    """Each ends when its last fact is durable, and leaves its figures."""

    def __init__(self, url: str, documents: int, batch: int) -> None:
        self._url = url
        self._documents = documents
        self._batch = batch
        self._port = free_port()
        self.figures: dict[str, float] = {}

    def settings(self, story: str) -> Mapping[str, str]:
        over_http = {"FERRYMAN_HTTP__ENABLED": "true", "FERRYMAN_HTTP__PORT": str(self._port)}
        over_sqs = {
            "AWS_ENDPOINT_URL_SQS": self._url,
            "FERRYMAN_QUEUE__SOURCES": json.dumps([f"sqs:{self._url}{QUEUE}"]),
            "FERRYMAN_QUEUE__WAIT_S": "1",
        }
        often = {"FERRYMAN_RECONCILE__INTERVAL": "2", "FERRYMAN_RECONCILE__INTERVAL_MIN": "2"}
        sink = {"FERRYMAN_EVENTS__SINKS": json.dumps([f"file:{FOLDER}/events.jsonl"])}
        by_story = {"http": over_http, "flood_http": over_http, "flood_file": {}, "ended": over_sqs | often | sink}
        return by_story.get(story, over_sqs)

    async def created(self, _control: Control, store: LaneStore) -> None:
        """Documents over SQS, until every job runs."""
        await self._until_in(store, Phase.RUNNING)

    async def ended(self, control: Control, store: LaneStore) -> None:
        """Documents over SQS, until the last event of every job is in the file."""
        await self._until_in(store, Phase.RUNNING)
        await to_thread.run_sync(_post, f"{self._url}/finish")
        await self._until_in(store, Phase.SUCCEEDED)
        await until(lambda: _published(control))

    async def accepted(self, control: Control, _store: LaneStore) -> None:
        """Documents over SQS, until every message is durable and deleted."""
        source = f"sqs:{self._url}{QUEUE}"

        async def all_accepted() -> bool:
            status = control._documents._intake.status().get(source)
            return status is not None and status.accepted >= self._documents

        await until(all_accepted, every_s=0.02)

    async def http(self, _control: Control, _store: LaneStore) -> None:
        """Documents over HTTP, in lists, until every answer says that they are durable."""
        arguments = [str(self._port), str(self._documents), str(self._batch), str(CONNECTIONS)]
        done = await anyio.run_process([sys.executable, "-m", "tests.benchmarks.sender", *arguments], stderr=None)
        self.figures["wall_s"] = json.loads(done.stdout)["wall_s"]

    async def flood_http(self, control: Control, store: LaneStore) -> None:
        """Documents over HTTP, until each is a job and the inbox is empty."""
        await self.http(control, store)
        await self._until_applied(control, store)

    async def flood_sqs(self, control: Control, store: LaneStore) -> None:
        """The same over SQS."""
        await self.accepted(control, store)
        await self._until_applied(control, store)

    async def flood_file(self, control: Control, store: LaneStore) -> None:
        """The same from a file that was given to `run`."""
        await self._until_applied(control, store)

    async def _until_applied(self, control: Control, store: LaneStore) -> None:
        await self._until_in(store, Phase.PENDING)
        assert (await store.phase_counts(LANE)) == {Phase.PENDING: self._documents}
        assert await control._store.inbox_size() == 0

    async def _until_in(self, store: LaneStore, phase: Phase) -> None:
        async def reached() -> bool:
            return (await store.phase_counts(LANE)).get(phase, 0) >= self._documents

        await until(reached)

    def measured(self, story: Story) -> Story:
        async def measure(control: Control, store: LaneStore) -> None:
            began, cpu = time.perf_counter(), time.process_time()
            before_mib = resident_mib()
            async with watched() as watch, weighed() as weight:
                await story(control, store)
            self.figures = {
                "wall_s": time.perf_counter() - began,
                **self.figures,
                "cpu_s": time.process_time() - cpu,
                "creates": self._documents,
                **watch.figures(),
                "before_mib": before_mib,
                "grown_mib": weight.peak_mib - before_mib,
                "left_mib": resident_mib() - before_mib,
            }

        return measure


async def _published(control: Control) -> bool:
    """Whether every sink has every event."""
    outbox = control._store
    newest = await outbox.lanes_with_events()
    (sink,) = json.loads(os.environ["FERRYMAN_EVENTS__SINKS"])
    cursors = await outbox.cursors(sink)
    return all(cursors.get(lane, 0) >= seq for lane, seq in newest.items())


def _post(url: str) -> None:
    with urlopen(Request(url, data=b"", method="POST")) as answer:  # noqa: S310 - the benchmark's own endpoint
        answer.read()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def written(folder: Path, documents: int) -> Path:
    """A file of documents, one a line."""
    path = folder / FILE
    with path.open("wb") as file:
        for number in range(documents):
            file.write(orjson.dumps(document(BATCH, f"filed-{number}", number)) + b"\n")
    return path


async def main(url: str, documents: int, story: str, batch: int) -> None:
    stories = Stories(url, documents, batch)
    told: Story = getattr(stories, story)
    paused = story in {"accepted", "http"} or story.startswith("flood")
    with tempfile.TemporaryDirectory(prefix="ferryman-benchmark-") as folder:
        files = [written(Path(folder), documents)] if story == "flood_file" else []
        settings = stories.settings(story)
        await run(url, 0, stories.measured(told), paused=paused, settings=settings, files=files)
    print(json.dumps(stories.figures))  # noqa: T201 - the figures


if __name__ == "__main__":
    size = int(sys.argv[4]) if len(sys.argv) > 4 else 1
    anyio.run(main, sys.argv[1], int(sys.argv[2]), sys.argv[3], size, backend_options={"use_uvloop": True})
