"""Tables at a terminal: what gives way where there is little room, and what stays."""

from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

import pytest

from controller.cli.describing import event_row, lines
from controller.cli.job_table import job_table
from controller.cli.live import Screen, summary_line
from controller.cli.table import Fitting, Table, cells, cut_in_middle, render
from controller.cli.terminal import Terminal, left_out
from controller.kinds import KINDS
from tests.cli.test_cli_words import NOW
from tests.documents import BATCH


def lanes(**phases: int) -> list[Mapping[str, Any]]:
    return [
        {
            "lane": f"default/{kind.name}",
            "scope": "default",
            "kind": kind.name,
            "slots": {"*": {"used": 3, "ceiling": 20}},
            "rates": {"create": {"rate": 2.0, "throttles": 0}},
            "etaSeconds": 68.0,
            "phases": phases,
        }
        for kind in KINDS.values()
    ]


def job(name: str, **members: Any) -> Mapping[str, Any]:
    return {"scope": "default", "kind": BATCH, "name": name, "phase": "Running", "attempt": 1, **members}


def columns(text: str) -> list[str]:
    return text.splitlines()[0].split()


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        pytest.param("nightly-0001", 12, "nightly-0001", id="fits"),
        pytest.param("nightly-20261121-0001", 12, "night…1-0001", id="both ends"),
        pytest.param("日本語のメッセージ", 8, "日…ージ", id="wide"),
        pytest.param("abc", 1, "…", id="nothing fits"),
    ],
)
def test_names_are_cut_in_the_middle(text: str, width: int, expected: str) -> None:
    assert cut_in_middle(text, width) == expected
    assert cells(expected) <= width


def test_names_of_one_run_differ_in_a_narrow_table() -> None:
    records = {"total": 1000, "processed": 500, "failed": 0}
    jobs = [job(f"{'nightly-' * 6}{number:04}", remoteStatus="InProgress", records=records) for number in range(9)]
    table = job_table(jobs, NOW, scopes=False, bars=True)
    fitted, _ = Fitting().fitted(table, 80)
    lines = render(fitted, width=80, coloured=False).splitlines()
    assert max(map(cells, lines)) <= 80
    assert len({line.split()[0] for line in lines}) == len(lines)


@pytest.mark.parametrize("width", [80, 100, 120])
def test_what_has_become_of_the_jobs_gives_way_last(width: int) -> None:
    shown = columns(drawn(Screen(), lanes(Pending=7, Running=3, Succeeded=5, Failed=1), width)[2])
    assert {"STATE", "PENDING", "RUNNING", "SUCCEEDED", "FAILED"} <= set(shown)


def test_columns_neither_come_nor_go() -> None:
    screen = Screen()
    busy = drawn(screen, lanes(Pending=7, Running=3, Succeeded=5, Failed=1), 100)
    quiet = drawn(screen, lanes(Succeeded=5), 100)
    again = drawn(screen, lanes(Pending=7, Running=3, Succeeded=5, Failed=1), 100)
    assert columns(busy[2]) == columns(quiet[2]) == columns(again[2])
    fitting = Fitting()
    needed = [fitting.fitted(Table(("A", "B"), [("x" * size, "y")], spare=("B",)), 12)[0] for size in (3, 12, 3)]
    assert [list(table.columns) for table in needed] == [["A", "B"], ["A"], ["A"]]


def test_what_says_nothing_goes_first_and_unnamed() -> None:
    table = Table(("NAME", "LAST", "FIRST"), [("name", "-", "x" * 8)], spare=("FIRST", "LAST"))
    fitted, missed = Fitting().fitted(table, 16)
    assert (list(fitted.columns), missed) == (["NAME", "FIRST"], [])


@pytest.mark.parametrize("width", [80, 100, 120])
def test_no_line_of_the_live_table_is_cut_and_none_names_an_option_it_has_not(width: int) -> None:
    lines = drawn(Screen(), lanes(Pending=7, Creating=1, Running=3, Stopping=1, Succeeded=5, Failed=1), width)
    assert [line for line in lines if "widen the terminal" in line]
    assert max(map(cells, lines)) <= width
    assert not [line for line in lines if "-o json" in line or "…" in line]


def test_the_first_line_of_the_live_table_is_not_cut_either() -> None:
    phases = {"Pending": 80, "Running": 113, "Succeeded": 107}
    summary = {"instance": "x", "phases": phases, "etaSeconds": 68.0}
    lines = Screen().drawn(summary, (), (), width=60, coloured=False).splitlines()
    assert " ".join(line.strip() for line in lines) == summary_line(summary)
    assert max(map(cells, lines)) <= 60


def test_what_there_is_no_room_for_is_counted_where_it_cannot_be_named() -> None:
    assert left_out(["A", "B"]) == "no room for A, B: widen the terminal"
    assert left_out(["A" * 30, "B" * 30], 60) == "no room for 2 columns: widen the terminal"


def test_a_column_that_is_left_out_is_named_once_it_has_something_to_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "16")
    screen, said = AsTerminal(), StringIO()
    terminal = Terminal(screen, said, StringIO(), {"NO_COLOR": "1"})
    for page, cell in enumerate(("-", "x", "y")):
        terminal.table(Table(("NAME", "LONG-COLUMN"), [("name", cell)], spare=("LONG-COLUMN",)), header=not page)
    assert screen.getvalue() == "NAME\nname\nname\nname\n"
    assert said.getvalue() == "no room for LONG-COLUMN: widen the terminal, or use -o json\n"


class AsTerminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_a_list_of_running_jobs_that_is_cut_says_so() -> None:
    jobs = [job(f"job-{number}") for number in range(12)]
    lines = drawn(Screen(), lanes(Running=93), 120, jobs, {"Running": 92, "Stopping": 1})
    assert lines[-1] == "and 81 more"
    assert "more" not in drawn(Screen(), lanes(Running=12), 120, jobs, {"Running": 12})[-1]


PROGRESS = {"phase": "Running", "remoteStatus": "InProgress"}


def event(type_: str, **data: Any) -> Mapping[str, Any]:
    return {"type": f"ferryman.job.{type_}", "time": "2026-11-21T11:00:00Z", "data": data}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        pytest.param(PROGRESS | {"records": {"total": 809, "processed": 782}},
                     "AWS says InProgress, 782 of 809 records", id="records"),
        pytest.param(PROGRESS | {"records": {"total": 0}}, "AWS says InProgress", id="no counts"),
        pytest.param({"phase": "Failed", "message": "it broke", "remoteStatus": "Failed"}, "it broke", id="message"),
        pytest.param({"phase": "Pending"}, "-", id="nothing remote"),
    ],
)  # fmt: skip
def test_an_event_says_what_aws_says(data: Mapping[str, Any], said: str) -> None:
    assert event_row(event("progress", **data), NOW)[-1] == said


def test_progress_does_not_push_the_other_events_out_of_a_description() -> None:
    steps = [event("progress", records={"total": 99, "processed": number}, **PROGRESS) for number in range(1, 31)]
    events = [event("accepted"), event("created"), *steps[:20], event("stopping"), *steps[20:]]
    text = list(lines(job("x"), None, events, NOW))
    shown = [line.split()[1] for line in text[text.index("Events:") + 2 :]]
    assert shown == [f"job.{word}" for word in ("accepted", "created", "progress", "stopping", "progress")]
    assert [line.split(", ")[1] for line in text if "records" in line] == ["20 of 99 records", "30 of 99 records"]


def drawn(
    screen: Screen,
    shown: Sequence[Mapping[str, Any]],
    width: int,
    jobs: Sequence[Mapping[str, Any]] = (),
    phases: Mapping[str, int] | None = None,
) -> list[str]:
    summary = {"instance": "x", "phases": phases or {}}
    return screen.drawn(summary, shown, jobs, width=width, coloured=False).splitlines()
