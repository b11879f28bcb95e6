"""The endpoint of the benchmarks: a process of its own that answers creates as fast as a socket allows.

It parses no more of a request than it must, so that the client under test is what is measured. On a line of standard
input it prints how many requests it answered and how much processor time that took.
"""

import asyncio
import itertools
import json
import sys
import time

import uvloop

ARN = b"arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/"
NUMBERS = itertools.count(1)
EMPTY = b'{"invocationJobSummaries": [], "jobSummaries": [], "batchInferenceJobs": []}'
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
answered = 0


class Endpoint(asyncio.Protocol):
    """Keep-alive, one answer a request."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            length = 0
            if (at := head.find(b"content-length:")) >= 0:
                length = int(head[at + 15 :].split(b"\r\n", 1)[0])
            if len(self._buffer) < end + 4 + length:
                return
            self._buffer = self._buffer[end + 4 + length :]
            self._transport.write(_answer(head))


def _answer(head: bytes) -> bytes:
    global answered  # noqa: PLW0603 - the figure of this process
    answered += 1
    body = EMPTY
    if head.startswith(b"post /model-invocation-job "):
        body = b'{"jobArn": "%b%012d"}' % (ARN, next(NUMBERS))
    return HEAD % (len(body), body)


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Endpoint, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - how the port is told
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps({"answered": answered, "cpu_s": time.process_time()}), flush=True)  # noqa: T201 - the figures


if __name__ == "__main__":
    uvloop.run(main())
