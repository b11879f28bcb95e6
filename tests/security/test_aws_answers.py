"""Answers of AWS that hold what no answer should: nothing of it stops a lane, loses a job or is adopted."""

import json
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from controller.kinds import KINDS
from controller.kinds.aws_clock import AwsClock
from controller.untrusted import fit_identifier, fit_message, fit_text
from controller.world import _account
from tests.documents import BATCH, BLUEPRINT, PROMPT, document
from tests.documents import KINDS as ALL_KINDS
from tests.security.hostile import Answer, Change, Hostile, daemon, events_of, member

ESCAPES = "\x1b[2J\x1b]0;owned\x07\u202e\nfake"
PRESIGNED = "https://bucket.s3.amazonaws.com/x?X-Amz-Signature=canary"
ENDED = {"Succeeded", "Failed", "Stopped", "Uncertain"}
MEMBERS = (
    *("status", "jobStatus", "message", "failureReason", "errorMessage", "failureMessage", "modelId", "jobName"),
    *("clientRequestToken", "processedRecordCount", "totalRecordCount", "submitTime", "creationTime"),
)
LISTS = {"invocationJobSummaries", "jobSummaries", "batchInferenceJobs"}
VALUES: dict[str, Any] = {
    "a lone surrogate": "InProg\ud800ress",
    "escapes": ESCAPES,
    "NUL": "NUL\x00",
    "much": "x" * 1_000_000,
    "a huge number": 10**40,
    "an object": {"a": [{"b": [{}]}]},
    "a list": ["Completed"],
    "null": None,
    "true": True,
}


def every_member(value: Any) -> Change:
    """The value in every member that Ferryman reads, ids apart."""

    def change(answer: Answer) -> Answer:
        for name in MEMBERS:
            changed = member(name, value)(answer)
            assert isinstance(changed, dict)
            answer = changed
        listed = LISTS & answer.keys()
        return {**answer, "nextToken": value} if listed else answer

    return change


async def all_end(aws: Hostile) -> dict[str, dict[str, Any]]:
    return await aws.until(lambda jobs: all(job["phase"] in ENDED for job in jobs.values()))


async def test_members_of_any_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with daemon(tmp_path, monkeypatch) as aws:
        for number, value in enumerate(VALUES.values()):
            aws.change = every_member(value)
            await aws.send(document(ALL_KINDS[number % 4], f"job-{number}", number))
            await aws.until_changed(4)
        aws.change = None
        jobs = await all_end(aws)
        aws.nothing_twice()
    assert not [name for name, job in jobs.items() if job["phase"] not in {"Succeeded", "Failed"}]
    told = events_of(tmp_path)
    assert max(len(json.dumps(event)) for event in told) < 20_000
    assert {event["data"]["name"] for event in told if event["type"].endswith("succeeded")} <= jobs.keys()


WRONG_IDS: tuple[Callable[[str], Any], ...] = (
    lambda arn: arn.replace(":123456789012:", ":210987654321:"),
    lambda arn: arn.replace("us-east-1", "eu-west-1"),
    lambda arn: arn.replace("-job/", "-task/"),
    lambda arn: arn + "\ud800",
    lambda arn: arn + "x" * 100_000,
    lambda arn: [arn],
    lambda _arn: None,
)
"""Of another account, of another Region, of another kind; not text, too long, of another type."""


async def test_an_id_that_cannot_be_ours_is_never_adopted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = cycle(WRONG_IDS)

    def change(answer: Answer) -> Answer | None:
        return {**answer, "jobArn": next(wrong)(answer["jobArn"])} if "jobArn" in answer else None

    async with daemon(tmp_path, monkeypatch) as aws:
        aws.change = change
        kinds = (BATCH, PROMPT)
        await aws.send(*(document(kinds[number % 2], f"job-{number}", number) for number in range(len(WRONG_IDS))))
        await aws.until_changed(2 * len(WRONG_IDS))
        assert not [job["remoteId"] for job in (await aws.jobs()).values() if job["remoteId"]]
        aws.change = None
        jobs = await all_end(aws)
        aws.nothing_twice()
    assert {job["phase"] for job in jobs.values()} == {"Succeeded"}, jobs


async def test_answers_that_are_no_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nested beyond the parser's stack, of another type, cut off: nothing is known, so it is asked again."""
    bodies = [b'{"a":' * 100_000 + b"1" + b"}" * 100_000, b"null", b'"text"', b'{"jobArn": "arn', b"\xff"]
    async with daemon(tmp_path, monkeypatch) as aws:
        said = cycle(bodies)
        aws.change = lambda _answer: next(said)
        await aws.send(*(document(BATCH, f"job-{number}", number) for number in range(len(bodies))))
        await aws.until_changed(len(bodies) + 1)
        aws.change = None
        jobs = await all_end(aws)
        aws.nothing_twice()
    assert {job["phase"] for job in jobs.values()} == {"Succeeded"}, jobs


async def test_a_date_that_lies_ends_no_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Years ahead, years back and no year at all, under a deadline of a day."""
    async with daemon(tmp_path, monkeypatch) as aws:
        await aws.send(document(BATCH, "first", deadlineSeconds=86_400))
        for number, date in enumerate(("Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT", "x" * 10_000)):
            aws.headers = {"date": date}
            await aws.send(document(BATCH, f"job-{number}", number, deadlineSeconds=86_400))
            await aws.until(lambda jobs, name=f"job-{number}": jobs[name]["phase"] == "Succeeded")  # type: ignore[misc]
        jobs = await all_end(aws)
    assert {job["phase"] for job in jobs.values()} == {"Succeeded"}, jobs


async def test_what_an_error_says_is_cut_and_masked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = {"kind": BLUEPRINT, "refuse": {"code": "ValidationException"}}
    async with daemon(tmp_path, monkeypatch, rules=[refusal]) as aws:
        aws.change = member("message", f"{ESCAPES} \ud800 cannot read {PRESIGNED} {'x' * 100_000}")
        await aws.send(document(BLUEPRINT, "refused"))
        jobs = await all_end(aws)
    message = jobs["refused"]["message"]
    assert jobs["refused"]["reason"] == "CreateRefused"
    assert "cannot read https://bucket.s3.amazonaws.com/x?***" in message
    assert len(message) <= 2000
    assert "canary" not in (tmp_path / "events.jsonl").read_text(encoding="utf-8")


# The parts, as tables


FIRST = "Sat, 21 Nov 2026 03:40:00 GMT"
AT_FIRST = 1_795_232_400.0
DAY_S = 86_400.0


@pytest.mark.parametrize(
    ("dates", "now"),
    [
        pytest.param([FIRST], AT_FIRST, id="the first"),
        pytest.param([FIRST, "Sun, 21 Nov 2027 03:40:00 GMT"], AT_FIRST, id="one lie"),
        pytest.param(
            [FIRST, "Sun, 21 Nov 2027 03:40:00 GMT", "Sun, 21 Nov 2027 03:40:01 GMT"],
            AT_FIRST,
            id="two",
        ),
        pytest.param(
            [FIRST, *(f"Sun, 21 Nov 2027 03:40:0{second} GMT" for second in range(3))],
            1_826_768_402.0,
            id="three agree: the host slept",
        ),
        pytest.param(["Fri, 31 Dec 9999 23:59:59 GMT"], None, id="no year of ours"),
        pytest.param(["Thu, 01 Jan 1970 00:00:00 GMT", "soon", "", "9" * 5000], None, id="nonsense"),
    ],
)
def test_one_answer_does_not_move_the_clock_far(dates: list[str], now: float | None) -> None:
    clock = AwsClock()
    for date in dates:
        clock.hear(date, 1000.0, 1000.0, host=AT_FIRST)
    assert clock.now(1000.0) == now


@pytest.mark.parametrize(
    ("dates", "host_wrong_s", "now", "heard"),
    [
        pytest.param([FIRST], 0.0, AT_FIRST, AT_FIRST, id="they agree"),
        pytest.param([FIRST], 299.0, AT_FIRST, AT_FIRST, id="nearly"),
        pytest.param([FIRST], DAY_S, None, AT_FIRST, id="they do not"),
        pytest.param([FIRST] * 5, DAY_S, None, AT_FIRST, id="an answer from a cache confirms nothing"),
        pytest.param(["Fri, 20 Nov 2026 03:40:00 GMT", FIRST], 0.0, AT_FIRST, AT_FIRST, id="one lie, then the truth"),
        pytest.param(
            ["Fri, 20 Nov 2026 03:40:00 GMT", "Fri, 20 Nov 2026 03:40:01 GMT", "Sun, 22 Nov 2026 03:40:00 GMT"],
            0.0,
            None,
            AT_FIRST + DAY_S,
            id="lies that do not agree",
        ),
        pytest.param(
            [f"Sat, 21 Nov 2026 03:40:0{second} GMT" for second in range(3)],
            -DAY_S,
            AT_FIRST + 2,
            AT_FIRST + 2,
            id="three agree: the host's clock is wrong",
        ),
    ],
)
def test_a_first_answer_far_from_the_clock_of_the_host_is_confirmed(
    dates: list[str], host_wrong_s: float, now: float | None, heard: float
) -> None:
    clock = AwsClock()
    for date in dates:
        clock.hear(date, 1000.0, 1000.0, host=AT_FIRST + host_wrong_s)
    assert (clock.now(1000.0), clock.heard(1000.0)) == (now, heard)


def test_an_answer_that_was_long_on_its_way_does_not_set_the_clock_back() -> None:
    clock = AwsClock()
    clock.hear(FIRST, 1000.0, 1000.0, host=AT_FIRST)
    clock.hear("Sat, 21 Nov 2026 03:40:05 GMT", 1005.0, 1035.0, host=AT_FIRST)
    assert clock.now(1035.0) == 1_795_232_435.0
    clock.hear("Sat, 21 Nov 2026 03:40:50 GMT", 1040.0, 1045.0, host=AT_FIRST)  # the first one was: this one was fresh
    assert clock.now(1045.0) == 1_795_232_450.0
    clock.hear("Sat, 21 Nov 2026 03:40:40 GMT", 1050.0, 1050.0, host=AT_FIRST)  # and this host's clock runs too fast
    assert clock.now(1050.0) == 1_795_232_441.0


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_ids_of_a_kind(kind: str) -> None:
    pattern = KINDS[kind].permissions.job
    ours = pattern.format(partition="aws-cn", region="cn-north-1", account="123456789012").replace("*", "abc")
    can_be = KINDS[kind].can_be
    assert can_be(ours, region="cn-north-1", account="123456789012")
    assert can_be(ours, region="", account="")
    assert not can_be(ours, region="cn-north-1", account="210987654321")
    assert not can_be(ours, region="us-east-1", account="")
    others = [other for other in ALL_KINDS if other != kind]
    assert not any(KINDS[other].can_be(ours, region="", account="") for other in others)
    for odd in ("", "arn", ours.upper(), ours.partition("/")[0], f"x{ours}", "arn:aws:s3:::bucket", "abc"):
        assert not can_be(odd, region="", account=""), odd


def test_texts_are_made_fit() -> None:
    assert fit_text("InProgress") == "InProgress"
    assert fit_text("a\ud800b\x00c") == "a?b\N{REPLACEMENT CHARACTER}c"
    assert fit_text("x" * 1000, 10) == "xxxxxxx..."
    others: list[object] = [None, 1, True, [], {}]
    assert [fit_text(other) for other in others] == [None] * 5
    assert fit_message(f"one\r\ntwo\t{PRESIGNED}") == "one two https://bucket.s3.amazonaws.com/x?***"
    assert fit_message("user:pass at postgresql://u:p@h/d") == "user:pass at postgresql://***@h/d"
    assert fit_identifier("arn:aws:x") == "arn:aws:x"
    assert [fit_identifier(value) for value in ("", "a b", "a\n", "é", "x" * 1012, None, 7)] == [None] * 7
    assert [_account(value) for value in ("123456789012", "1|2|3", 123456789012, None)] == ["123456789012", "", "", ""]
