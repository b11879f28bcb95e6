"""Fuzz: documents, settings, messages of SQS and answers of AWS, until so many documents have been read.

    python -m tests.reliability.fuzz --documents 100000

Each round is a process of its own, seeded with its number. What a round's documents became is also run: those that were
accepted go through the real daemon on virtual time, where every one of them must come to its end and no lane may stick.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st

from controller.documents import to_json
from controller.model import Document
from tests.documents import KINDS
from tests.reliability.forks import Answer, run_forked
from tests.reliability.fuzz_answers import spoil
from tests.reliability.fuzz_checks import (
    CALLS,
    Network,
    Tally,
    check_file,
    check_message,
    check_settings,
    without_pauses,
)
from tests.reliability.fuzz_strategies import JSON, messages, settings_values
from tests.reliability.matrix import folder_of_runs
from tests.reliability.scenario import tagged
from tests.reliability.user import User
from tests.reliability.world import World, capture_log, set_environment, warm

MESSAGES_A_ROUND = 800
ANSWERS_A_ROUND = 200
SETTINGS_A_ROUND = 100
LANE_DOCUMENTS = 14
ROUND_S_MAX = 600.0
"""Real seconds of one round, which needs about ten of a processor."""
SUFFIXES = (".json", ".jsonl", ".yaml", "")
STATUSES = (200, 200, 200, 201, 202, 204, 301, 400, 402, 403, 404, 409, 429, 500, 503)
GOOD: Sequence[Mapping[str, Any]] = (
    {"jobArn": "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/abc", "status": "InProgress"},
    {"invocationJobSummaries": [{"jobArn": "a", "jobName": "n", "status": "Completed", "submitTime": "2026-01-01"}]},
    {"jobSummaries": [{"jobArn": "a", "jobName": "n", "jobStatus": "InProgress", "creationTime": 1.0}]},
    {"batchInferenceJobs": [{"batchInferenceJobArn": "a", "jobName": "n", "status": "ACTIVE"}], "nextToken": "t"},
    {"batchInferenceJob": {"batchInferenceJobArn": "a", "jobName": "n", "status": "ACTIVE"}},
    {"invocationArn": "arn:aws:bedrock:us-east-1:1:blueprint-optimization-invocation/x", "status": "Success"},
    {"errors": [{"jobIdentifier": "x", "code": "404", "message": "m"}], "advancedPromptOptimizationJobs": []},
    {"ResourceTagMappingList": [{"ResourceARN": "a", "Tags": [{"Key": "k", "Value": "v"}]}]},
    {"__type": "ConflictException", "message": "it is known"},
    {"Messages": [{"MessageId": "m", "ReceiptHandle": "h", "Body": "{}", "Attributes": {"MessageGroupId": "g"}}]},
)


def hunt(strategy: st.SearchStrategy[Any], check: Callable[[Any], None], examples: int, number: int) -> None:
    """Give so many values to a check; the smallest that fails is shown by the exception's notes."""

    @seed(number)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
    )
    @given(strategy)
    def run(value: Any) -> None:
        check(value)

    run()


# The four things that are fuzzed


def fuzz_documents(tally: Tally, examples: int, number: int) -> None:
    hunt(messages(), lambda data: check_message(data, tally), examples, number)
    both = st.tuples(messages(), st.sampled_from(SUFFIXES))
    hunt(both, lambda pair: check_file(pair[0], pair[1], tally), examples // 4, number)


def fuzz_answers(tally: Tally, examples: int, number: int) -> None:
    """Every call with every answer, its own made worse among them; and what SQS may answer."""
    spoilt = st.builds(
        lambda good, by: spoil(json.dumps(good).encode(), Random(by)), st.sampled_from(GOOD), st.integers()
    )
    body = spoilt | JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=100)
    headers = st.dictionaries(
        st.sampled_from(("date", "x-amzn-errortype", "content-type", "x-amzn-query-error", "retry-after")),
        st.text(st.characters(codec="ascii"), max_size=20)
        | st.sampled_from(("ThrottlingException", "application/json")),
        max_size=2,
    )
    answer = st.tuples(st.sampled_from(STATUSES), headers, body)
    with Network() as network:
        calls = st.tuples(st.sampled_from(CALLS), answer)
        hunt(calls, lambda pair: network.check_answer(pair[0], pair[1], tally), examples, number)
        envelope = st.fixed_dictionaries(
            {
                "Messages": st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(SQS_MEMBERS, JSON)), max_size=3)
                | JSON
            }
        )
        carried = st.builds(_message, messages())
        received = (envelope | carried).map(lambda value: json.dumps(value).encode())
        answers = st.tuples(st.sampled_from(STATUSES), headers, received | body)
        hunt(answers, lambda given_: network.check_receive(given_, tally), examples // 2, number)


SQS_MEMBERS = ("MessageId", "ReceiptHandle", "Body", "Attributes", "MD5OfBody", "other")


def _spoilt(good: Mapping[str, Any], by: int) -> bytes:
    return spoil(json.dumps(good).encode(), Random(by))


def _message(body: bytes) -> dict[str, Any]:
    return {"Messages": [{"MessageId": "m-1", "ReceiptHandle": "h", "Body": body.decode("utf-8", "replace")}]}


def fuzz_settings(tally: Tally, examples: int, number: int) -> None:
    """Of the environment, as JSON by group; and of a file, as text that may be TOML."""

    def by_environment(values: Mapping[str, Any]) -> None:
        tally.counts["settings"] += 1
        environment = {f"FERRYMAN_{name.upper()}": json.dumps(value) for name, value in values.items()}
        os.environ.update(environment)
        try:
            check_settings(environment, None)
        finally:
            for name in environment:
                del os.environ[name]

    def by_file(text: str) -> None:
        tally.counts["settings"] += 1
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        check_settings({}, path)

    with tempfile.TemporaryDirectory(prefix="ferryman-fuzz-") as folder:
        path = Path(folder) / "ferryman.toml"
        hunt(settings_values(), by_environment, examples, number)
        lines = st.lists(st.sampled_from(TOML) | st.text(max_size=30), max_size=6).map("\n".join)
        hunt(lines, by_file, examples, number)


TOML = (
    "[store]",
    "[limits]",
    '[limits."bedrock.ModelInvocationJob"]',
    "[[events.sinks]]",
    'url = "sqlite:///x.db"',
    "create = {rate = 1e400, burst = -1}",
    "jobs = 5",
    "port = 99999999999999999999",
    "sources = [1, 2]",
    'instance = "\\u0000"',
    "grace_s = nan",
    "[scopes.default]",
    'region = ["us-east-1"]',
)


def check_lanes(documents: Sequence[Document], folder: Path) -> list[str]:
    """Documents that were accepted, and one plain one of each kind behind them: everything must come to its end."""
    accepted = [{**to_json(document), "name": f"fuzz-{number}"} for number, document in enumerate(documents)]
    plain = [tagged(kind, f"plain-{kind.partition('.')[2][:4].lower()}", 7) for kind in KINDS]
    world = World(folder, User([*accepted, *plain]))
    capture_log(world.log)
    world.run()
    stuck = [name for name in world.user.names if name.startswith("plain") and not world.user.has_ended(name)]
    return [*world.problems, *(f"{name} is stuck behind documents that were accepted" for name in stuck)]


# Rounds


def perform_round(number: int, folder: Path, share: float = 1.0) -> Answer:
    """All of it once, in this process; `share` makes it shorter."""
    capture_log([])
    tally = Tally()
    size = partial(_at_least_one, share)
    check_message(json.dumps([tagged(kind, "warm", 1) for kind in KINDS]).encode(), Tally())
    without_pauses(lambda: fuzz_documents(tally, size(MESSAGES_A_ROUND), number))
    fuzz_answers(tally, size(ANSWERS_A_ROUND), number)
    fuzz_settings(tally, size(SETTINGS_A_ROUND), number)
    chosen = Random(number).sample(tally.accepted, min(LANE_DOCUMENTS, len(tally.accepted)))
    tally.counts["in lanes"] = len(chosen)
    problems = check_lanes(chosen, folder)
    return {"counts": tally.counts, "slowest_ms": tally.slowest_s * 1000, "problems": problems}


def _at_least_one(share: float, count: int) -> int:
    return max(1, int(count * share))


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.fuzz")
    parser.add_argument("--documents", type=int, default=100_000, metavar="N")
    parser.add_argument("--from", type=int, default=1, metavar="ROUND", dest="first")
    chosen = parser.parse_args(arguments)
    set_environment()
    base = folder_of_runs()
    os.environ["FERRYMAN_TEST_FOLDER"] = str(base)
    try:
        warm()
        return _all(chosen.documents, chosen.first, base)
    finally:
        shutil.rmtree(base, ignore_errors=True)


def _all(wanted: int, first: int, base: Path) -> int:
    began = time.monotonic()
    counts: Counter[str] = Counter()
    slowest_ms, failed = 0.0, 0

    def rounds() -> Iterator[tuple[int, Callable[[], Answer]]]:
        number = first
        while counts["documents"] < wanted:
            yield number, partial(_in_folder, base, number)
            number += 1

    for number, answer in run_forked(rounds(), run_s_max=ROUND_S_MAX):
        counts.update(answer.get("counts", {}))
        counts["rounds"] += 1
        slowest_ms = max(slowest_ms, answer.get("slowest_ms", 0.0))
        problems = answer.get("problems", [answer.get("error", "no answer")])
        if problems:
            failed += 1
            sys.stderr.write(f"FAILED round {number}: {problems[0]}\n  again: --documents 1 --from {number}\n")
    shown = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    sys.stdout.write(f"{shown}; slowest {slowest_ms:.1f} ms; {time.monotonic() - began:.0f} s\n")
    sys.stdout.write(f"{failed} of {counts['rounds']} rounds failed\n")
    return 1 if failed else 0


def _in_folder(base: Path, number: int) -> Answer:
    folder = base / f"round{number}"
    folder.mkdir()
    try:
        return perform_round(number, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
