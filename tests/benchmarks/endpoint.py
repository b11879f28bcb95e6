"""The endpoint of the benchmarks: a process of its own that answers creates and lists as fast as a socket allows.

It parses no more of a request than it must, so that the client under test is what is measured. What was created is
listed, newest first, as running, and behind it a history of finished jobs.

Lines of standard input: `figures` prints, as JSON, how many requests were answered and what processor time that took;
`forget HISTORY` begins a new world with so many finished jobs.
"""

import asyncio
import itertools
import json
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from urllib.parse import parse_qsl

import orjson
import uvloop

ARN = "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/"
PAGE = 1000
NUMBERS = itertools.count(1)
ACCOUNT = (
    b"<GetCallerIdentityResponse xmlns='https://sts.amazonaws.com/doc/2011-06-15/'><GetCallerIdentityResult>"
    b"<Arn>arn:aws:iam::123456789012:user/benchmark</Arn><UserId>x</UserId><Account>123456789012</Account>"
    b"</GetCallerIdentityResult></GetCallerIdentityResponse>"
)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ndate: %b\r\ncontent-length: %d\r\n\r\n"


class World:
    """What exists at this endpoint."""

    def __init__(self, history: int) -> None:
        self.began = datetime.now(UTC)
        self.history = history
        self.created: list[bytes] = []
        self.calls: Counter[str] = Counter()

    def create(self, request: dict[str, object]) -> bytes:
        arn = f"{ARN}{next(NUMBERS):012d}"
        self.created.append(summary(arn, "InProgress", datetime.now(UTC), request))
        return orjson.dumps({"jobArn": arn})

    def list(self, query: dict[str, str]) -> bytes:
        """A page, newest first; `submitTimeAfter` and `statusEquals` are obeyed as far as the history goes."""
        place = int(query.get("nextToken", 0))
        narrow = "submitTimeAfter" in query or query.get("statusEquals") == "InProgress"
        if "statusEquals" in query and query["statusEquals"] != "InProgress":
            return b'{"invocationJobSummaries": []}'
        known = len(self.created)
        whole = known if narrow else known + self.history
        items = [self._item(known, number) for number in range(place, min(place + PAGE, whole))]
        rest = b', "nextToken": "%d"' % (place + PAGE) if place + PAGE < whole else b""
        return b'{"invocationJobSummaries": [%b]%b}' % (b",".join(items), rest)

    def _item(self, known: int, place: int) -> bytes:
        if place < known:
            return self.created[known - 1 - place]
        number = place - known
        ended = self.began - timedelta(days=1, seconds=number)
        return summary(f"{ARN}old{number:09d}", "Completed", ended, {"jobName": f"old-{number}"})


def summary(arn: str, status: str, submitted: datetime, request: dict[str, object]) -> bytes:
    when = submitted.isoformat().replace("+00:00", "Z")
    return orjson.dumps(
        {
            "modelId": "amazon.nova-lite-v1:0",
            "roleArn": "arn:aws:iam::123456789012:role/batch",
            "inputDataConfig": {"s3InputDataConfig": {"s3Uri": "s3://bucket/in/0001.jsonl"}},
            "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": "s3://bucket/out/"}},
            **request,
            "jobArn": arn,
            "status": status,
            "submitTime": when,
            "lastModifiedTime": when,
            "jobExpirationTime": when,
            "timeoutDurationInHours": 24,
        }
    )


class Server:
    """The present world, and what was answered in all."""

    def __init__(self) -> None:
        self.world = World(0)
        self.answered = 0
        self._second = 0
        self._date = b""

    def answer(self, target: bytes, body: bytes) -> bytes:
        self.answered += 1
        content = self._content(target.decode(), body)
        second = int(time.time())
        if second != self._second:
            self._second, self._date = second, formatdate(second, usegmt=True).encode()
        return HEAD % (self._date, len(content)) + content

    def _content(self, target: str, body: bytes) -> bytes:
        method, url = target.split(" ")[:2]
        path, _, query = url.partition("?")
        world = self.world
        if target.startswith("POST /model-invocation-job "):
            return world.create(orjson.loads(body))
        if path == "/model-invocation-jobs":
            world.calls["list"] += 1
            return world.list(dict(parse_qsl(query)))
        if path.startswith("/model-invocation-job/"):
            world.calls["get"] += 1
            return b"{}"
        if path == "/" and method == "POST":
            return ACCOUNT
        return b'{"jobSummaries": [], "batchInferenceJobs": []}'


class Connection(asyncio.Protocol):
    """Keep-alive, one answer a request."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end]
            length = 0
            if (at := head.lower().find(b"content-length:")) >= 0:
                length = int(head[at + 15 :].split(b"\r\n", 1)[0])
            if len(self._buffer) < end + 4 + length:
                return
            body = self._buffer[end + 4 : end + 4 + length]
            self._buffer = self._buffer[end + 4 + length :]
            self._transport.write(self._server.answer(head.split(b"\r\n", 1)[0], body))


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = Server()
    listening = await loop.create_server(lambda: Connection(server), "127.0.0.1", 0)
    print(listening.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - how the port is told
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command, _, number = line.strip().partition(" ")
        if command == "forget":
            server.world = World(int(number))
        figures = {"answered": server.answered, "cpu_s": time.process_time(), **server.world.calls}
        print(json.dumps(figures), flush=True)  # noqa: T201 - the figures


if __name__ == "__main__":
    uvloop.run(main())
