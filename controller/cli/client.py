"""The daemon, over HTTP: the one place that knows its paths.

Invariant: an answer is untrusted; one that is not what the interface promises ends in `NoDaemonError`, never in a
traceback. Nothing is sent twice by itself: commands are idempotent, but their verdicts are for one sender. Every
request has a deadline.
"""

import ipaddress
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote, urlsplit

import httpx

from controller.cli.paging import Page, pages
from controller.cli.selection import Selected
from controller.errors import FerrymanError, NoDaemonError, NotFoundError, SettingsError

DEFAULT_SERVER: Final = "http://127.0.0.1:8470"
PAGE: Final = 500
BULK: Final = 500
LETTERS: Final = 100
CONNECT_S: Final = 5.0
ANSWER_S: Final = 30.0
BUSY_S: Final = 120.0
"""How long a daemon that cannot take documents just now is asked again."""
BUSY_PAUSE_S: Final = 2.0
SILENCE_S: Final = 60.0
"""How long a stream of events may say nothing; the daemon says every 15 s that it is there."""
_ELSEWHERE: Final = frozenset({404, 405, 409, 410, 501})
"""What a server says of paths and methods that it does not know."""
LINE_LENGTH_MAX: Final = 8 * 1024 * 1024
_DETAIL_LENGTH_MAX: Final = 2000

Object = Mapping[str, Any]


class RequestRefusedError(FerrymanError):
    """The daemon understood the request and does not accept it."""


class BusyDaemonError(NoDaemonError):
    """The daemon is there, and cannot do it just now."""


class Client:
    """A daemon's interface; use it as a context.

    Args:
        server: base URL.
        token: bearer token; empty: none.
        patience_s: how long an answer is waited for, where nothing else is said.
    """

    def __init__(
        self,
        server: str,
        token: str = "",
        *,
        patience_s: float = ANSWER_S,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.server = _base_url(server)
        self._patience_s = patience_s
        self.sleep = sleep
        self.monotonic = monotonic
        if not (token.isascii() and (token.isprintable() or not token)):
            raise SettingsError("the token in FERRYMAN_HTTP__TOKEN holds characters that a token cannot hold")
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(
            base_url=self.server,
            headers={**headers, "accept": "application/json", "user-agent": "ferryman"},
            timeout=self._timeout(patience_s),
            trust_env=not is_loopback(self.server),
            follow_redirects=False,
        )

    @classmethod
    def from_environment(
        cls, server: str | None, environment: Mapping[str, str] = os.environ, *, patience_s: float = ANSWER_S
    ) -> "Client":
        address = server or environment.get("FERRYMAN_SERVER") or DEFAULT_SERVER
        return cls(address, environment.get("FERRYMAN_HTTP__TOKEN", "").strip(), patience_s=patience_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    # Jobs

    def page(self, selected: Selected, *, after: str | None = None, limit: int = PAGE) -> Page:
        """One page of the selected jobs, newest first, and the cursor of the next one."""
        return _page(self._get("/v1/jobs", [*_query(selected), ("limit", str(limit)), *_behind(after)]))

    def jobs(self, selected: Selected) -> Iterator[Object]:
        """All of the selected jobs."""
        for page in self.pages(selected):
            yield from page

    def pages(self, selected: Selected) -> Iterator[list[Object]]:
        for items, _ in pages(lambda after: self.page(selected, after=after)):
            yield items

    def any(self, selected: Selected) -> bool:
        """Whether there is such a job, for the price of one row; where a reason must be derived, of a page."""
        limit = PAGE if selected.reasons else 1
        return any(items for items, _ in pages(lambda after: self.page(selected, after=after, limit=limit)))

    def job(self, scope: str, kind: str, name: str) -> Object:
        """One job.

        Raises:
            NotFoundError: there is none.
        """
        return _object(self._get(_job_path(scope, kind, name)))

    def command(self, job: Object, verb: str, arguments: Object | None = None) -> Object:
        """`stop`, `delete`, `retry` or `resolve` one job; the verdict."""
        path = _job_path(str(job.get("scope")), str(job.get("kind")), str(job.get("name")))
        answer = self._request("POST", f"{path}:{verb}", (), arguments or None, accepted=(200, 202, 409))
        return _verdict(answer)

    def command_many(
        self, selected: Selected, verb: str, arguments: Object | None = None, *, dry_run: bool = False
    ) -> Iterator[Object]:
        """The same for all of the selected jobs; one verdict each, as it becomes known."""
        fixed = [*_query(selected), ("limit", str(BULK)), ("all", "true"), ("dryRun", "true" if dry_run else "false")]

        def command(after: str | None) -> Page:
            return _page(self._request("POST", f"/v1/jobs:{verb}", [*fixed, *_behind(after)], arguments or None))

        for items, _ in pages(command):
            yield from items

    # Documents

    def submit(self, documents: Sequence[Object], wait_s: float, *, dry_run: bool = False) -> list[Object]:
        """Hand in at most 500 documents; one item each, in their order.

        While the daemon's inbox is full or its store is away, they are sent again: what was taken already is
        `unchanged` then.
        """
        parameters = [("wait", f"{wait_s:g}")] if wait_s > 0 else []
        parameters += [("dryRun", "true")] if dry_run else []
        deadline = self.monotonic() + BUSY_S
        while True:
            try:
                answer = self._request(
                    "POST",
                    "/v1/documents",
                    parameters,
                    list(documents),
                    timeout_s=ANSWER_S + wait_s,
                    accepted=(200, 202, 422),
                )
                break
            except BusyDaemonError:
                if self.monotonic() + BUSY_PAUSE_S > deadline:
                    raise
                self.sleep(BUSY_PAUSE_S)
        body = _object(answer)
        items = body.get("items")
        if isinstance(items, list) and len(items) == len(documents) and all(isinstance(item, dict) for item in items):
            return items
        if isinstance(body.get("detail"), str):
            raise RequestRefusedError(body["detail"][:_DETAIL_LENGTH_MAX])
        raise _not_understood("answer has not one item for each document")

    # Everything else

    def event_pages(self, subject: str | None = None) -> Iterator[Page]:
        """Events that are kept, oldest first; behind the last of them come empty pages."""
        fixed = [("limit", str(PAGE)), *([("subject", subject)] if subject is not None else [])]
        return pages(lambda after: _page(self._get("/v1/events", [*fixed, *_behind(after)])))

    def stream_events(
        self, *, after: str | None = None, subject: str | None = None
    ) -> Iterator[tuple[str, Object | None]]:
        """Events as they come, from now or after a cursor, each with the cursor behind it; the first is a cursor alone.

        Raises:
            NoDaemonError: there is none, or it has gone, or says nothing any more.
        """
        headers = {"accept": "text/event-stream"} | ({"last-event-id": after} if after is not None else {})
        parameters = {"subject": subject} if subject is not None else {}
        cursor = after or ""
        with (
            self._reaching(SILENCE_S),
            self._http.stream(
                "GET", "/v1/events", params=parameters, headers=headers, timeout=self._timeout(SILENCE_S)
            ) as answer,
        ):
            if answer.status_code != httpx.codes.OK:
                answer.read()
                raise _refusal(answer, self.server)
            for line in _lines(answer):
                field, _, value = line.partition(": ")
                if field == "id":
                    cursor = value
                elif field == "data":
                    yield cursor, _object(_json(value))
                elif not line and cursor and cursor != after:
                    yield cursor, None

    def lanes(self) -> list[Object]:
        return _page(self._get("/v1/lanes"))[0]

    def last_events(self, job: Object, limit: int) -> list[Object]:
        """The newest events of a job, oldest first."""
        subject = f"{job.get('scope')}/{job.get('kind')}/{job.get('name')}"
        return _page(self._get("/v1/events", [("subject", subject), ("latest", "true"), ("limit", str(limit))]))[0]

    def command_lanes(self, verb: str, lane: str | None, reason: str = "") -> list[Object]:
        """`pause` or `resume` a lane, or all of them; one verdict each."""
        body = {"reason": reason} if reason else None
        if lane is None:
            return _page(self._request("POST", f"/v1/lanes:{verb}", (), body))[0]
        path = f"/v1/lanes/{quote(lane, safe='/')}:{verb}"
        return [_verdict(self._request("POST", path, (), body, accepted=(200, 202, 409)))]

    def resume_sink(self, sink: str) -> Object:
        return _verdict(self._request("POST", "/v1/sinks:resume", (), {"sink": sink}))

    def dead_letters(self) -> Iterator[Object]:
        fixed = [("limit", str(LETTERS))]
        for items, _ in pages(lambda after: _page(self._get("/v1/deadletters", [*fixed, *_behind(after)]))):
            yield from items

    def command_letters(self, verb: str, ids: Sequence[Any]) -> list[Object]:
        """`requeue` or `discard` dead letters; one verdict each."""
        return _page(self._request("POST", f"/v1/deadletters:{verb}", (), {"ids": list(ids)}))[0]

    def summary(self) -> Object:
        return _object(self._get("/v1/summary"))

    # The wire

    def _get(self, path: str, parameters: Sequence[tuple[str, str]] = ()) -> Any:
        return self._request("GET", path, parameters)

    def _request(
        self,
        method: str,
        path: str,
        parameters: Sequence[tuple[str, str]] = (),
        body: Any = None,
        *,
        timeout_s: float | None = None,
        accepted: Sequence[int] = (200, 202),
    ) -> Any:
        timeout_s = self._patience_s if timeout_s is None else timeout_s
        with self._reaching(timeout_s):
            answer = self._http.request(
                method,
                path,
                params=list(parameters),
                json=body,
                timeout=self._timeout(timeout_s),
            )
        if answer.status_code not in accepted:
            raise _refusal(answer, self.server)
        try:
            return answer.json()
        except (ValueError, RecursionError) as error:
            raise _not_understood("answer is not JSON") from error

    def _timeout(self, timeout_s: float) -> httpx.Timeout:
        return httpx.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s))

    @contextmanager
    def _reaching(self, timeout_s: float) -> Iterator[None]:
        """Turns what can go wrong on the way into one sentence."""
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise NoDaemonError(
                f"no daemon answers at {self.server}: start one with `ferryman run`, or say where it is with --server"
                " or FERRYMAN_SERVER"
            ) from error
        except httpx.TimeoutException as error:
            raise NoDaemonError(f"the daemon at {self.server} did not answer within {timeout_s:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NoDaemonError(
                f"the connection to {self.server} failed: {str(error) or type(error).__name__}"
            ) from error


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _not_understood("answer is not JSON") from error


def _lines(answer: httpx.Response) -> Iterator[str]:
    """Lines as they come; one that never ends is not read for ever."""
    rest = ""
    for text in answer.iter_text():
        *lines, rest = (rest + text).split("\n")
        yield from lines
        if len(rest) > LINE_LENGTH_MAX:
            raise _not_understood("answer has a line without an end")


def is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _base_url(server: str) -> str:
    text = server if "://" in server else f"http://{server}"
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        httpx.URL(text)
    except (ValueError, httpx.InvalidURL):
        usable = False
    if not usable or not text.isprintable() or " " in text or parts.username or parts.query or parts.fragment:
        raise SettingsError(f"--server needs a URL like {DEFAULT_SERVER}")
    return text.rstrip("/")


def _job_path(scope: str, kind: str, name: str) -> str:
    return "/v1/jobs/" + "/".join(quote(part, safe="") for part in (scope, kind, name))


def _query(selected: Selected) -> list[tuple[str, str]]:
    single = (
        ("scope", selected.scope),
        ("kind", selected.kind),
        ("name", selected.name),
        ("group", selected.group),
        ("text", selected.text),
    )
    query = [(key, value) for key, value in single if value]
    query += [("phase", phase) for phase in selected.phases]
    query += [("reason", reason) for reason in selected.reasons]
    return query + [("label", label) for label in selected.labels]


def _behind(cursor: str | None) -> list[tuple[str, str]]:
    return [] if cursor is None else [("after", cursor)]


def _page(answer: Any) -> Page:
    body = _object(answer)
    items, after = body.get("items"), body.get("next")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise _not_understood("answer is no list")
    return items, None if after is None else str(after)


def _verdict(answer: Any) -> Object:
    body = _object(answer)
    if not isinstance(body.get("answer"), str):
        detail = body.get("detail")
        raise (
            NotFoundError(detail[:_DETAIL_LENGTH_MAX]) if isinstance(detail, str) else _not_understood("answer is odd")
        )
    return body


def _object(answer: Any) -> Object:
    if not isinstance(answer, dict):
        raise _not_understood("answer is no object")
    return answer


def _not_understood(what: str) -> NoDaemonError:
    return NoDaemonError(f"the daemon's {what}: is it Ferryman, and of this version?")


def _refusal(answer: httpx.Response, server: str) -> FerrymanError:
    """What an answer that is not 2xx means for the command."""
    problem, status = _problem(answer), answer.status_code
    if not problem and status in _ELSEWHERE:
        return NoDaemonError(
            f"what answers at {server} is not a Ferryman daemon (HTTP {status}): say where it is with --server or"
            " FERRYMAN_SERVER"
        )
    detail = problem or f"HTTP {status} {answer.reason_phrase}".strip()
    if status in (401, 403):
        return NoDaemonError(f"the daemon does not accept the request: {detail}; set its token in FERRYMAN_HTTP__TOKEN")
    if status in (404, 409, 410):
        return NotFoundError(detail)
    if status == httpx.codes.REQUEST_ENTITY_TOO_LARGE or status in (400, 422):
        return RequestRefusedError(detail)
    kind = BusyDaemonError if status == httpx.codes.SERVICE_UNAVAILABLE else NoDaemonError
    return kind(f"the daemon at {server} cannot answer now (HTTP {status}): {detail}")


def _problem(answer: httpx.Response) -> str:
    """The sentence of a problem (RFC 9457), which every refusal of a daemon has; empty: there is none."""
    try:
        body = answer.json()
    except (ValueError, RecursionError):
        body = None
    if isinstance(body, dict):
        for member in ("detail", "title", "message"):
            if isinstance(body.get(member), str) and body[member]:
                return str(body[member])[:_DETAIL_LENGTH_MAX]
    return ""
