"""What others wrote, on its way to a terminal or a log: it moves no cursor, forges no line, and is never an error."""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import redirect_stdout
from datetime import UTC, datetime
from typing import Any, Literal

import pytest
import structlog

from controller.cli.describing import lines
from controller.cli.job_table import job_table
from controller.cli.live import Screen, summary_line
from controller.cli.logging import Masker, configure_logging
from controller.cli.operating import lane_table
from controller.cli.output import json_text, yaml_text
from controller.cli.table import render
from controller.cli.terminal import Terminal
from controller.cli.text import age, duration
from controller.settings import LogSettings

EVIL = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202e\u2066\r\n2026-01-01T00:00:00Z [info] forged\x7f\u2028"
NOW = datetime(2026, 11, 21, tzinfo=UTC)
JOB: dict[str, Any] = {
    **dict.fromkeys(("uid", "scope", "kind", "name", "phase", "reason", "message", "desired", "group"), EVIL),
    **dict.fromkeys(("remoteStatus", "remoteId", "remoteName", "acceptedAt", "startedAt", "endedAt"), EVIL),
    "labels": {EVIL: EVIL},
    "attempts": [dict.fromkeys(("number", "phase", "reason", "remoteId", "createdAt"), EVIL)],
    "output": {"uri": EVIL, "manifest": EVIL},
    "queue": {"position": EVIL, "etaSeconds": float("nan")},
    "spec": {EVIL: [EVIL, {EVIL: EVIL}]},
}
LANE: dict[str, Any] = {
    **dict.fromkeys(("lane", "scope", "kind", "unavailable", "pauseReason"), EVIL),
    "etaSeconds": float("inf"),
    "phases": {"Running": 1},
    "rates": {"create": {"rate": 1e300}},
}
EVENT = {"time": EVIL, "type": EVIL, "data": dict.fromkeys(("phase", "reason", "message"), EVIL)}


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """The log's set-up is the process's."""
    handlers, level = list(logging.root.handlers), logging.root.level
    yield
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    logging.root.handlers, logging.root.level = handlers, level


def harmless(text: str) -> None:
    odd = {character for character in text if not character.isprintable() and character != "\n"}
    assert not odd, odd


def test_every_text_of_an_answer_at_a_terminal() -> None:
    harmless("\n".join(lines(JOB, LANE, [EVENT], NOW)))
    harmless(render(job_table([JOB, {}], NOW, scopes=True, bars=True), width=80, coloured=False))
    harmless(render(lane_table([LANE, {}]), width=None, coloured=False))
    harmless(Screen().drawn({"instance": EVIL, "phases": {"Running": 1}}, [LANE], [JOB], width=100, coloured=False))
    harmless(json_text(JOB))
    harmless(yaml_text(JOB))


def test_no_text_adds_a_line() -> None:
    assert len(render(job_table([JOB], NOW, scopes=True), width=None, coloured=False).splitlines()) == 2
    assert len(json_text(EVIL).splitlines()) == 1


def test_what_is_shown_as_json_means_the_same() -> None:
    assert json.loads(json_text(EVIL)) == EVIL


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), 1e300, -1])
def test_numbers_that_are_none(number: float) -> None:
    assert duration(number).isprintable()
    assert summary_line({"etaSeconds": number, "phases": {}}).isprintable()
    assert age("9999-12-31T23:59:59-23:59", NOW)
    assert age("0001-01-01T00:00:00+23:59", NOW)


def logged(form: Literal["json", "console"]) -> str:
    stream = io.StringIO()
    with redirect_stdout(stream):
        configure_logging(LogSettings(format=form), Masker(), Terminal(), live=False)
        log = structlog.get_logger("ferryman")
        log.warning(EVIL, problem=EVIL, bare="\x1b[2J\u202e", nested={EVIL: [EVIL]}, number=10**40, odd="\ud800")
        logging.getLogger("library").error("%s", EVIL)
        log.error("failed", exc_info=ValueError(EVIL))
    return stream.getvalue()


def test_the_console_log() -> None:
    text = logged("console")
    harmless(text)
    assert not [line for line in text.splitlines() if line.startswith("2026-01-01")]
    assert len([line for line in text.splitlines() if line[:2] == "20"]) == 3
    assert text.count("\\x1b[2J") >= 5
    assert "\\ud800" in text


def test_the_json_log() -> None:
    """One object a line, whatever is in it: a number beyond 64 bits and a lone surrogate are no error of the logger."""
    found = [json.loads(line) for line in logged("json").rstrip("\n").split("\n")]
    assert [entry["event"] for entry in found] == [EVIL, EVIL, "failed"]
    assert found[0]["number"] == 10**40
