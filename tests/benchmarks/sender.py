"""Sends documents to a daemon's HTTP API from a process of its own, over a few connections.

`python -m tests.benchmarks.sender PORT DOCUMENTS BATCH CONNECTIONS [PREFIX]`: lists of BATCH documents, named with
a prefix; prints, as JSON, how long it took from the first byte to the last answer.
"""

import json
import sys
import time
from collections.abc import Iterator

import anyio
import orjson
from anyio.abc import SocketStream

from tests.documents import BATCH, document

ANSWER_S = 60.0


def bodies(documents: int, batch: int, prefix: str) -> Iterator[bytes]:
    for begin in range(0, documents, batch):
        numbers = range(begin, min(begin + batch, documents))
        yield orjson.dumps([document(BATCH, f"{prefix}-{number}", number) for number in numbers])


async def main(port: int, documents: int, batch: int, connections: int, prefix: str) -> None:
    rest = iter(list(bodies(documents, batch, prefix)))
    began = time.perf_counter()

    async def send() -> None:
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            for body in rest:
                with anyio.fail_after(ANSWER_S):
                    await _post(stream, port, body)

    async with anyio.create_task_group() as senders:
        for _ in range(connections):
            senders.start_soon(send)
    print(json.dumps({"wall_s": time.perf_counter() - began}))  # noqa: T201 - the figure


async def _post(stream: SocketStream, port: int, body: bytes) -> None:
    head = (
        f"POST /v1/documents HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    await stream.send(head.encode() + body)
    answer = b""
    while (end := answer.find(b"\r\n\r\n")) < 0:
        answer += await stream.receive()
    assert answer.startswith(b"HTTP/1.1 202"), answer[:200]
    lines = answer[:end].decode().lower().split("\r\n")
    left = next(int(line.partition(":")[2]) for line in lines if line.startswith("content-length:"))
    left -= len(answer) - end - 4
    while left > 0:
        left -= len(await stream.receive())


if __name__ == "__main__":
    port, documents, batch, connections = map(int, sys.argv[1:5])
    prefix = sys.argv[5] if len(sys.argv) > 5 else "posted"
    anyio.run(main, port, documents, batch, connections, prefix, backend_options={"use_uvloop": True})
