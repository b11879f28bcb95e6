"""`ferryman` as a user runs it: a process, its exit code, what it printed; and a daemon to talk to."""

import http.server
import json
import os
import pty
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import processes
from tests.documents import document
from tests.processes import ROOT, start, until

DEADLINE_S = 60.0


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def environment(**variables: str) -> dict[str, str]:
    """The environment of a user who has set nothing but `variables`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FERRYMAN_", "AWS_"))}
    for name in ("NO_COLOR", "COLUMNS", "LINES"):
        kept.pop(name, None)
    return kept | {"PYTHONPATH": str(ROOT), "AWS_EC2_METADATA_DISABLED": "true", "TERM": "xterm"} | variables


def ferryman(*arguments: str, folder: Path, **variables: str) -> Ended:
    """Run `ferryman` to its end. A traceback is never an answer."""
    return _ended(processes.run(*arguments, folder=folder, environment=environment(**variables)))


def ferryman_anew(*arguments: str, folder: Path, **variables: str) -> Ended:
    """The same in an interpreter of its own."""
    return _ended(processes.run(*arguments, folder=folder, environment=environment(**variables), anew=True))


def _ended(said: processes.Said) -> Ended:
    assert "Traceback" not in said.err + said.out
    return Ended(said.code, said.out, said.err)


def at_terminal(*arguments: str, folder: Path, typed: str = "", **variables: str) -> Ended:
    """The same with a terminal as stdin, stdout and stderr."""
    master, slave = pty.openpty()
    with start(
        *arguments, folder=folder, environment=environment(**variables), stdin=slave, stdout=slave, session=True
    ) as process:
        os.close(slave)
        os.write(master, typed.encode())
        shown = b"".join(_read(master))
        code = process.wait(DEADLINE_S)
    os.close(master)
    return Ended(code, shown.decode(), "")


def _read(master: int) -> Iterator[bytes]:
    while True:
        try:
            data = os.read(master, 4096)
        except OSError:  # how a terminal says that its last user has left
            return
        if not data:
            return
        yield data


@contextmanager
def daemon(folder: Path, **variables: str) -> Iterator[str]:
    """A daemon on the simulator; gives its URL."""
    log = folder / "log.jsonl"
    settings = {
        "FERRYMAN_HTTP__PORT": "0",
        "FERRYMAN_EVENTS__SINKS": '["file:events.jsonl"]',
        "FERRYMAN_RECONCILE__INTERVAL": "1",
        "FERRYMAN_RECONCILE__INTERVAL_MIN": "0.2",
    }
    with (
        log.open("wb") as output,
        start(
            "run", "--simulate", folder=folder, environment=environment(**settings | variables), stdout=output
        ) as process,
    ):
        try:
            until(lambda: process.poll() is not None or '"event":"ready"' in log.read_text())
            assert process.poll() is None, log.read_text()
            yield next(line["url"] for line in lines(log) if line["event"] == "serving").rstrip("/")
        finally:
            process.terminate()
            assert process.wait(DEADLINE_S) == 0, log.read_text()


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write_documents(path: Path, names: list[str], *, kind: str = "bedrock.ModelInvocationJob", **members: Any) -> Path:
    path.write_text("".join(json.dumps(document(kind, name, **members)) + "\n" for name in names))
    return path


Answers = Mapping[tuple[str, str], tuple[int, bytes]]


@contextmanager
def answering(answers: Answers, heard: list[tuple[str, str, str]] | None = None) -> Iterator[str]:
    """A server that gives fixed answers by method and path; everything else is 404. Gives its URL.

    `heard` receives method, path and Authorization of each request.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            if heard is not None:
                heard.append((self.command, self.path, self.headers.get("authorization") or ""))
            path = self.path.partition("?")[0]
            status, answer = answers.get((self.command, path), (404, b'{"detail": "nothing is here"}'))
            self.send_response(status)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = _answer  # noqa: N815 - the names by which the library calls them

        def log_message(self, *_arguments: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
