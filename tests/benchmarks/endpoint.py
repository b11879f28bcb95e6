"""The endpoint of the benchmarks: a process of its own that answers creates, lists and SQS as fast as a socket allows.

It parses no more of a request than it must, so that the client under test is what is measured. What was created is
listed, newest first, as running, and behind it a history of finished jobs. Its one queue, `/queue/documents`, hands out
each message once.

Lines of standard input, each answered by a line of JSON that says how many requests were answered, what processor time
that took, and what became of the world's jobs and messages:
- `figures`: nothing else;
- `forget HISTORY`: a new world, with so many finished jobs and an empty queue;
- `queue DOCUMENTS [LIST]`: so many documents are sent to the queue, each a job of its own, LIST of them in a message.

`POST /finish`: what was created is listed as completed from now on.
"""

import asyncio
import itertools
import json
import sys
import time
from collections import Counter, deque
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from urllib.parse import parse_qsl

import orjson
import uvloop

from tests.documents import BATCH, document

ARN = "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/"
PAGE = 1000
BATCH_OF_MESSAGES = 10
EMPTY_POLL_S = 0.5
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
        self.finished = False
        self.calls: Counter[str] = Counter()
        self.messages: deque[bytes] = deque()

    def create(self, request: dict[str, object]) -> bytes:
        arn = f"{ARN}{next(NUMBERS):012d}"
        self.created.append(summary(arn, "InProgress", datetime.now(UTC), request))
        return orjson.dumps({"jobArn": arn})

    def page(self, query: dict[str, str]) -> bytes:
        """A page, newest first; `submitTimeAfter` and `statusEquals` are obeyed as far as the history goes."""
        place = int(query.get("nextToken", 0))
        if self.finished and query.get("statusEquals") == "InProgress":
            return b'{"invocationJobSummaries": []}'
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
            item = self.created[known - 1 - place]
            return item.replace(b'"InProgress"', b'"Completed"') if self.finished else item
        number = place - known
        ended = self.began - timedelta(days=1, seconds=number)
        return summary(f"{ARN}old{number:09d}", "Completed", ended, {"jobName": f"old-{number}"})

    def fill_queue(self, documents: int, a_message: int = 1) -> None:
        """Messages as `ReceiveMessage` answers them."""
        for begin in range(0, documents, a_message):
            numbers = [next(NUMBERS) for _ in range(min(a_message, documents - begin))]
            items = [document(BATCH, f"arrived-{number}", number) for number in numbers]
            body = orjson.dumps(items if a_message > 1 else items[0]).decode()
            message = {"MessageId": f"message-{numbers[0]}", "ReceiptHandle": f"handle-{numbers[0]}", "Body": body}
            self.messages.append(orjson.dumps(message))

    def receive(self) -> bytes:
        """Up to ten messages."""
        self.calls["receive"] += 1
        messages = self.messages
        batch = [messages.popleft() for _ in range(min(BATCH_OF_MESSAGES, len(messages)))]
        return b'{"Messages": [%b]}' % b",".join(batch) if batch else b"{}"

    def delete(self, request: dict[str, list[dict[str, str]]]) -> bytes:
        """Of a batch of messages, by their receipt handles."""
        entries = request["Entries"]
        self.calls["deleted"] += len(entries)
        return orjson.dumps({"Successful": [{"Id": entry["Id"]} for entry in entries], "Failed": []})


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

    def answer(self, head: bytes, body: bytes) -> bytes:
        self.answered += 1
        content = self._content(head.split(b"\r\n", 1)[0].decode(), head, body)
        second = int(time.time())
        if second != self._second:
            self._second, self._date = second, formatdate(second, usegmt=True).encode()
        return HEAD % (self._date, len(content)) + content

    def _content(self, target: str, head: bytes, body: bytes) -> bytes:
        method, url = target.split(" ")[:2]
        path, _, query = url.partition("?")
        world = self.world
        if target.startswith("POST /model-invocation-job "):
            return world.create(orjson.loads(body))
        if path == "/model-invocation-jobs":
            world.calls["list"] += 1
            return world.page(dict(parse_qsl(query)))
        if path.startswith("/model-invocation-job/"):
            world.calls["get"] += 1
            return b"{}"
        if path == "/finish":
            world.finished = True
            return b"{}"
        if path == "/" and method == "POST":
            if b"AmazonSQS.ReceiveMessage" in head:
                return world.receive()
            return world.delete(orjson.loads(body)) if b"AmazonSQS.DeleteMessageBatch" in head else ACCOUNT
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
            if b"AmazonSQS.ReceiveMessage" in head and not self._server.world.messages:
                asyncio.get_running_loop().call_later(EMPTY_POLL_S, self._answer, head, body)
            else:
                self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        if not self._transport.is_closing():  # who does not wait any more must not be given messages
            self._transport.write(self._server.answer(head, body))


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = Server()
    listening = await loop.create_server(lambda: Connection(server), "127.0.0.1", 0)
    print(listening.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - how the port is told
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command, *numbers = line.split()
        if command == "forget":
            server.world = World(int(numbers[0]))
        elif command == "queue":
            server.world.fill_queue(*map(int, numbers))
        world = server.world
        figures = {"answered": server.answered, "cpu_s": time.process_time(), "created": len(world.created)}
        figures |= {"list": 0, "get": 0, "receive": 0, "deleted": 0, **world.calls}
        print(json.dumps(figures), flush=True)  # noqa: T201 - the figures


if __name__ == "__main__":
    uvloop.run(main())
