"""The simulator's own interface below `/_simulator/`, in JSON: what happened, and what shall.

Invariant: nothing here is AWS; everything here can be done in-process through `Simulator` too.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson
from pydantic import ValidationError

from controller.simulator.answers import Answer
from controller.simulator.backend import Backend
from controller.simulator.families import FAMILIES
from controller.simulator.faults import FAULT, Faults
from controller.simulator.operation import Request

LEDGER_PAGE_MAX: Final = 10_000


class BadRequestError(Exception):
    """The request cannot be understood; the message says why."""


class Administration:
    """Answers requests of the simulator's user."""

    def __init__(self, backend: Backend, faults: Faults, now: Callable[[], float]) -> None:
        self._backend = backend
        self._faults = faults
        self._now = now

    def answer(self, request: Request) -> Answer:
        parts = request.path.strip("/").split("/")[1:]
        routes: Mapping[tuple[str, str], Callable[[Request, list[str]], Any]] = {
            ("GET", "ledger"): self._ledger,
            ("GET", "calls"): self._calls,
            ("GET", "peaks"): self._peaks,
            ("GET", "faults"): self._list_faults,
            ("POST", "faults"): self._add_fault,
            ("DELETE", "faults"): self._remove_faults,
            ("GET", "options"): self._options,
            ("PATCH", "options"): self._change_options,
            ("POST", "jobs"): self._plant,
        }
        handler = routes.get((request.method, parts[0] if parts else ""))
        if handler is None:
            known = ", ".join(sorted(f"{method} /_simulator/{name}" for method, name in routes))
            return _json(404, {"message": f"Not here. Known: {known}"})
        try:
            return _json(200, handler(request, parts[1:]))
        except (BadRequestError, ValidationError, ValueError) as error:
            return _json(400, {"message": str(error)})

    def _ledger(self, request: Request, _: list[str]) -> dict[str, Any]:
        """Entries after `after`, at most `limit` of them; `next` goes on where they end."""
        asked = dict(parse_qsl(request.query))
        after, limit = int(asked.get("after", 0)), min(LEDGER_PAGE_MAX, int(asked.get("limit", 1000)))
        entries = self._backend.ledger.since(after, limit)
        more = bool(entries) and entries[-1].sequence < self._backend.ledger.sequence
        return {"items": entries, "next": entries[-1].sequence if more else None}

    def _calls(self, _request: Request, _: list[str]) -> dict[str, Any]:
        return {operation: dict(outcomes) for operation, outcomes in self._backend.ledger.calls.items()}

    def _peaks(self, _request: Request, _: list[str]) -> list[dict[str, Any]]:
        world = self._backend.world
        world.advance(self._now())
        names = ("account", "region", "kind", "key")
        return [
            {**dict(zip(names, slot, strict=True)), "peak": peak, "active": world.usage[slot]}
            for slot, peak in world.peaks.items()
        ]

    def _list_faults(self, _request: Request, _: list[str]) -> list[dict[str, Any]]:
        return [
            {"id": number, "fired": self._faults.fired.get(number, 0), **fault.model_dump(mode="json")}
            for number, fault in self._faults.planted().items()
        ]

    def _add_fault(self, request: Request, _: list[str]) -> dict[str, int]:
        return {"id": self._faults.add(FAULT.validate_json(request.body), now=self._now())}

    def _remove_faults(self, _request: Request, rest: list[str]) -> dict[str, Any]:
        if not rest:
            self._faults.clear()
            return {}
        if not rest[0].isdecimal() or not self._faults.remove(int(rest[0])):
            raise BadRequestError(f"there is no fault {rest[0]}")
        return {}

    def _options(self, _request: Request, _: list[str]) -> Any:
        return self._backend.options.model_dump(mode="json")

    def _change_options(self, request: Request, _: list[str]) -> Any:
        changes = _object(request.body)
        self._backend.reconfigure(self._backend.options.with_changes(changes), self._now())
        return self._backend.options.model_dump(mode="json")

    def _plant(self, request: Request, _: list[str]) -> dict[str, Any]:
        """Jobs of somebody else: `{kind, account, region, parameters, count}`."""
        asked = _object(request.body)
        family = FAMILIES.get(str(asked.get("kind")))
        if family is None:
            raise BadRequestError(f"kind must be one of {', '.join(FAMILIES)}")
        place = (str(asked.get("account", self._backend.options.default_account)), str(asked.get("region", "")))
        parameters = asked.get("parameters")
        if not place[1] or not isinstance(parameters, dict):
            raise BadRequestError("region and parameters (of the create operation) are required")
        count = int(asked.get("count", 1))
        return {"arns": plant(self._backend, family.kind, place, parameters, count=count, now=self._now())}


def plant(
    backend: Backend, kind: str, place: tuple[str, str], parameters: Mapping[str, Any], *, count: int, now: float
) -> list[str]:
    """Puts in jobs that somebody else created; with a count above one, names get a number behind.

    Raises:
        ValueError: the parameters miss what the family needs.
    """
    family = FAMILIES[kind]
    backend.world.advance(now)
    arns = []
    for number in range(count):
        given = dict(parameters)
        if family.name_member:
            base = str(given.get(family.name_member, "foreign"))
            given[family.name_member] = base if count == 1 else f"{base}-{number + 1}"
        try:
            arns.append(backend.plant(family, place, given, now))
        except KeyError as error:
            raise ValueError(f"parameters of {kind} need {error}") from error
    return arns


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequestError(f"the body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadRequestError("the body must be an object")
    return value


def _json(status: int, value: Any) -> Answer:
    return Answer(status, ((b"content-type", b"application/json"),), orjson.dumps(value), "administration")
