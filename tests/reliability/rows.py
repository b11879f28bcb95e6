"""The rows of the reliability programme: what shows each of them, and the table that says so after a run.

A row is green only if every test that it names ran and passed in this run; a row whose tests did not run says so. Tests
add what they measured with `record_property("row", ...)`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest

from tests.reliability.matrix_table import Told, render

HERE = "tests/reliability/"
STAGE = f"{HERE}test_stage_rows.py::"
PROCESS = f"{HERE}test_process_rows.py::"
CRASHES = f"{HERE}test_crash_rows.py::"
UNKNOWN = f"{HERE}test_unknown_outcomes.py::"


@dataclass(frozen=True, slots=True)
class Row:
    """A perturbation, what is done for it, and the beginnings of the ids of the tests that show it."""

    name: str
    done: str
    tests: tuple[str, ...]
    without: str = ""
    """What of it cannot be had, and why."""


ROWS: tuple[Row, ...] = (
    Row(
        "crash matrix",
        "every step of every story: crashes, lost, late and repeated answers, delays",
        (f"{HERE}test_matrix.py::",),
    ),
    Row("P1 crash before the intent", "at the last commit before the create", (f"{CRASHES}test_crash[P1",)),
    Row("P2 crash after the intent", "when the create is about to be sent", (f"{CRASHES}test_crash[P2",)),
    Row("P3 crash after the create, unrecorded", "when its answer has come", (f"{CRASHES}test_crash[P3",)),
    Row(
        "P4 crash before the acknowledgement", "after the record; before the queue hears", (f"{CRASHES}test_crash[P4",)
    ),
    Row("P5 crash before the event is sent", "at the first send after the create", (f"{CRASHES}test_crash[P5",)),
    Row("P6 reply lost after success", "reset, close, truncated, 500, 502, 504", (f"{CRASHES}test_p6",)),
    Row("P7 reply lost, then 503", "every call refused for 600 s", (f"{CRASHES}test_p7",)),
    Row("P8 token forgotten by AWS", "creates refused until the token is gone", (f"{CRASHES}test_p8",)),
    Row(
        "P9 same token, changed parameters", "a lost store and another document; three answers", (f"{CRASHES}test_p9",)
    ),
    Row("P10 a create is invisible", "for 0..120 s, answered and lost", (f"{CRASHES}test_p10",)),
    Row("P11 a stale list", "30 s old, for 60 s", (f"{CRASHES}test_p11",)),
    Row("P12 an older view on a later page", "from the second page on", (f"{CRASHES}test_p12",)),
    Row("P13 pages shift", "a job seen twice, a job missed", (f"{CRASHES}test_p13",)),
    Row("P14 a page token expires", "three in five", (f"{CRASHES}test_p14",)),
    Row("P15 pages that make no sense", "empty with a token, repeated token", (f"{CRASHES}test_p15",)),
    Row("P16 unknown statuses and fields", "unknown, missing, new; of lists and gets", (f"{CRASHES}test_p16",)),
    Row("unknown outcomes", "every kind, six ways to lose an answer, both answers of AWS", (UNKNOWN,)),
    Row(
        "simulation",
        "seeded: faults of P1..P8, P10..P23, P25, P28, P29, P33..P35, P43 at once; then rest",
        (f"{HERE}test_simulate.py::",),
    ),
    Row("fuzz", "documents, settings, messages of SQS, answers of AWS", (f"{HERE}test_fuzz.py::",)),
    Row("mutants", "planted bugs; green without, red with", (f"{HERE}test_mutants.py::",)),
    Row("P17 throttling", "all creates throttled for 600 s, then half the rate allowed", (f"{STAGE}test_p17",)),
    Row("P18 quota full", "40 jobs, 3 slots at AWS, 30 in the settings", (f"{STAGE}test_p18",)),
    Row("P19 quota lowered, foreign jobs", "6 of 10 slots taken by others; 10 lowered to 4", (f"{STAGE}test_p19",)),
    Row("P20 hung sockets", "one operation hangs for 300 s", (f"{STAGE}test_p20",)),
    Row("P21 credentials expire", "refused for 600 s, then accepted", (f"{STAGE}test_p21",)),
    Row("P22 access denied", "List, Get and Stop each, for 300 s", (f"{STAGE}test_p22",)),
    Row("P23 clock +-1 h", "the host's clock wrong for 600 s; AWS refuses the signatures", (f"{STAGE}test_p23",)),
    Row("P24 process paused", "SIGSTOP for longer than every deadline, calls in flight", (f"{PROCESS}test_p24",)),
    Row(
        "P25 disk full",
        "a file system of 8 MiB fills up under a running daemon, and is freed",
        (f"{PROCESS}test_p25", "tests/store/test_faults.py::test_writes_that_fail_on_the_disk"),
    ),
    Row("P26 unsynced writes lost", "restart from the files as of the last commit", (f"{STAGE}test_p26",)),
    Row(
        "P27 long reader, corrupt page",
        "pages overwritten; another program holds the file",
        (
            f"{PROCESS}test_p27",
            "tests/store/test_opening.py::test_a_damaged_file",
            "tests/store/test_opening.py::test_damage_that_shows_later",
            "tests/store/test_faults.py::test_a_program_that_holds_the_file_locked",
        ),
    ),
    Row(
        "P28 redelivered", "five copies of each message, concurrently, and again after delete", (f"{PROCESS}test_p28",)
    ),
    Row("P29 reordered", "update before create, stop before create, old generation last", (f"{STAGE}test_p29",)),
    Row(
        "P30 visibility expired",
        "messages come again while they are processed, and after",
        (
            "tests/queues/test_queues_sqs.py::test_messages_that_nobody_keeps_come_again",
            "tests/queues/test_queues_sqs.py::test_messages_are_kept_while_their_processing_lags",
        ),
    ),
    Row(
        "P31 batch delete partly failed",
        "entries fail, or are not named, under HTTP 200",
        (
            "tests/queues/test_queues_sqs.py::test_entries_that_were_not_deleted_are_tried_again",
            "tests/queues/test_queues_sqs.py::test_an_entry_that_the_answer_does_not_name_counts_as_not_deleted",
        ),
    ),
    Row(
        "P32 poison",
        "every bad body, over HTTP, files and queues",
        (
            "tests/journeys/test_bad_input.py::",
            "tests/test_intake.py::test_poison_is_rejected_kept_and_in_nobodys_way",
            "tests/queues/test_queues_sqs.py::test_messages_of_every_shape",
        ),
    ),
    Row(
        "P33 slow sink",
        "a sink that hangs delays only itself",
        ("tests/test_publish.py::test_a_dead_sink_delays_only_itself",),
    ),
    Row(
        "P34 sink down, then drained",
        "20,000 events to a file, fewer to SQS and a webhook, each down at first; `make backlog`: 2,000,000",
        (
            f"{HERE}test_backlog.py::test_p34",
            "tests/test_publish.py::test_a_sink_that_comes_back_receives_everything_in_order",
            "tests/test_publish.py::test_many_lanes_and_many_events_are_caught_up_with",
        ),
    ),
    Row(
        "P35 accepted, then timed out",
        "delivered again with the same id, in order",
        (
            "tests/test_publish.py::test_events_of_a_job_arrive_in_order_whatever_fails",
            "tests/sinks/test_sinks_webhook.py::test_a_receiver_that_hangs_is_left_at_the_deadline",
        ),
    ),
    Row(
        "P36 redirects, 410, Retry-After, metadata address",
        "each answer and each address, on sockets",
        (
            "tests/sinks/test_sinks_webhook.py::test_a_redirect_is_not_followed",
            "tests/test_publish.py::test_a_receiver_that_is_gone_gets_nothing_more_until_it_is_let_go_on",
            "tests/test_publish.py::test_a_receiver_that_asks_for_time_is_left_alone_for_so_long",
            "tests/sinks/test_sinks_webhook.py::test_a_name_that_leads_to_a_private_address_is_not_called",
            "tests/security/test_receivers.py::test_a_webhook_receiver_of_any_sort",
        ),
    ),
    Row(
        "P42 old and new stores",
        "the first schema with jobs inside, upgraded, with crashes; a newer one refused untouched",
        (
            f"{HERE}test_old_stores.py::test_p42",
            f"{PROCESS}test_p42",
            "tests/store/test_opening.py::test_an_older_store_that_fails_to_upgrade",
        ),
    ),
    Row("P43 SIGTERM and SIGKILL", "50 lives ended at random moments; `make kill`", (f"{HERE}test_kill.py::",)),
    Row("P44 few file handles, little memory", "48 descriptors; an address space of 1 GiB", (f"{PROCESS}test_p44",)),
    Row("P46 100,000 jobs known", "10,000 of them running: the time until ready", (f"{PROCESS}test_p46",)),
)


NAMED = tuple(test for row in ROWS for test in row.tests)


class Rows:
    """Follows a run of tests, in the process that is asked for it and in those that it gives tests to; a plugin.

    A process that only performs tests tells the other one what it has collected, since whether every test of a row ran
    is not seen from those that did.
    """

    def __init__(self) -> None:
        self._collected: set[str] = set()

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: Sequence[pytest.Item]) -> None:
        """Before anything is deselected."""
        self._collected |= {item.nodeid for item in items if item.nodeid.startswith(NAMED)}
        told: dict[str, Any] | None = getattr(config, "workeroutput", None)
        if told is not None:
            told["rows"] = sorted(self._collected)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self._collected |= set(getattr(node, "workeroutput", {}).get("rows", ()))

    def pytest_terminal_summary(self, terminalreporter: Any, config: pytest.Config) -> None:
        found = Findings.of(terminalreporter, self._collected, _narrowed(config))
        if not found.outcomes:
            return
        terminalreporter.section("perturbations")
        for row in ROWS:
            for line in found.lines(row):
                terminalreporter.write_line(line)


def _narrowed(config: pytest.Config) -> frozenset[str]:
    """Files of which not all tests were collected, since the command names some of them."""
    named = [argument.partition("::")[0] for argument in config.args if "::" in argument]
    paths = [Path(config.invocation_params.dir, name).resolve() for name in named]
    return frozenset(
        path.relative_to(config.rootpath).as_posix() for path in paths if path.is_relative_to(config.rootpath)
    )


@dataclass(frozen=True, slots=True)
class Findings:
    """What became of the tests that show rows.

    Attributes:
        outcomes: of each test that ran, how it ended; more than one where its setup or teardown failed as well.
        facts: of each test, what it measured.
        collected: tests that were found, whether they ran or not.
        narrowed: files of which not all tests were found.
    """

    outcomes: Mapping[str, Sequence[str]]
    facts: Mapping[str, Sequence[tuple[str, object]]]
    collected: frozenset[str]
    narrowed: frozenset[str]

    @classmethod
    def of(cls, reporter: Any, collected: Iterable[str], narrowed: frozenset[str]) -> Self:
        outcomes: dict[str, list[str]] = {}
        facts: dict[str, list[tuple[str, object]]] = {}
        for outcome in ("passed", "failed", "error", "skipped"):
            for report in reporter.stats.get(outcome, ()):
                if isinstance(report, pytest.TestReport) and report.nodeid.startswith(NAMED):
                    outcomes.setdefault(report.nodeid, []).append(outcome)
                    if report.when == "call":
                        facts.setdefault(report.nodeid, []).extend(report.user_properties)
        return cls(outcomes, facts, frozenset(collected), narrowed)

    def lines(self, row: Row) -> Iterator[str]:
        yield f"{self.result(row):<14} {row.name}: {row.done}"
        if row.without:
            yield f"{'':14}   not had: {row.without}"
        matrix = Told()
        for node, facts in self.facts.items():
            for name, value in facts if node.startswith(row.tests) else ():
                if name == "row":
                    yield f"{'':14}   {value}"
                elif name == "matrix":
                    matrix.take(Told.from_json(json.loads(str(value))))
        if matrix.stories:
            yield from (f"{'':14}   {line}" for line in render(matrix))

    def result(self, row: Row) -> str:
        """Green only if every test that the row names was found, ran and passed."""
        met = [outcome for node, all_ in self.outcomes.items() if node.startswith(row.tests) for outcome in all_]
        if not met:
            return "not run"
        if "failed" in met or "error" in met:
            return "FAILED"
        if "skipped" in met:
            return "skipped"
        wanted = {node for node in self.collected if node.startswith(row.tests)}
        whole = all(any(node.startswith(test) for node in wanted) for test in row.tests)
        files = {test.partition("::")[0] for test in row.tests}
        return "green" if whole and wanted <= self.outcomes.keys() and not files & self.narrowed else "ran in part"
