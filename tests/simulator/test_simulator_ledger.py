"""The ledger: what it tells, and what a restart makes of its file."""

import random
import resource
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest

from controller.simulator import LedgerError, Simulator, SimulatorOptions
from tests.simulator.simulated import (
    ACCOUNT,
    BATCH,
    BLUEPRINT,
    NOON,
    PROMPTS,
    RECOMMENDATIONS,
    REGION,
    ROLE,
    Rig,
    TurnedClock,
    served,
)

KIND = "bedrock.ModelInvocationJob"


def everything(rig: Rig) -> dict[str, Any]:
    """What every job shows."""
    bedrock, personalize = rig.bedrock, rig.personalize
    shown = {
        "batch": bedrock.list_model_invocation_jobs()["invocationJobSummaries"],
        "prompts": bedrock.list_advanced_prompt_optimization_jobs()["jobSummaries"],
        "movies": personalize.list_batch_inference_jobs()["batchInferenceJobs"],
        "tags": rig.client("resourcegroupstaggingapi").get_resources()["ResourceTagMappingList"],
        "peaks": dict(rig.simulator.ledger.peaks),
        "usage": dict(rig.simulator.world.usage),
    }
    for entry in rig.simulator.ledger.jobs(kind="bedrock-data-automation.BlueprintOptimization"):
        status = rig.automation.get_blueprint_optimization_status(invocationArn=entry.arn)
        del status["ResponseMetadata"]
        shown[entry.arn] = status
    return shown


def test_an_entry_tells_the_whole_create() -> None:
    with served() as rig:
        rig.clock.at += 0.25
        arn = rig.create("nightly", "token-1", tags=[{"key": "a", "value": "b"}])
        (entry,) = rig.simulator.ledger.jobs(kind=KIND, name="nightly")
        assert (entry.sequence, entry.at, entry.account, entry.region) == (1, NOON + 0.25, ACCOUNT, REGION)
        assert (entry.operation, entry.effect, entry.arn) == ("CreateModelInvocationJob", "create", arn)
        assert (entry.token, entry.foreign) == ("token-1", False)
        assert entry.usage == {"amazon.nova-lite-v1:0": 1}
        assert entry.parameters["roleArn"] == ROLE
        assert entry.parameters["tags"] == [{"key": "a", "value": "b"}]


def test_calls_are_counted_by_operation_and_outcome() -> None:
    with served() as rig:
        arn = rig.create()
        rig.status(arn)
        rig.status(arn)
        with pytest.raises(rig.bedrock.exceptions.ResourceNotFoundException):
            rig.status("abcdefghijkl")
        assert rig.simulator.ledger.calls == {
            "CreateModelInvocationJob": {"ok": 1},
            "GetModelInvocationJob": {"ok": 2, "ResourceNotFoundException": 1},
        }


def test_a_restart_finds_the_same_world(tmp_path: Path) -> None:
    path, clock = tmp_path / "world.jsonl", TurnedClock()
    options = {"rules": [{"name": "bad-*", "status": "Failed", "message": "why"}], "records": (10, 5000)}
    with served(path, clock, **options) as rig:
        for number in range(3):
            rig.create(f"bad-{number}", tags=[{"key": "k", "value": str(number)}])
            prompt = rig.bedrock.create_advanced_prompt_optimization_job(jobName=f"p-{number}", **PROMPTS)["jobArn"]
            rig.personalize.create_batch_inference_job(jobName=f"m-{number}", **RECOMMENDATIONS)
            rig.automation.invoke_blueprint_optimization_async(**BLUEPRINT, tags=[{"key": "k", "value": "x"}])
            clock.at += 37
        rig.bedrock.stop_model_invocation_job(jobIdentifier=rig.simulator.ledger.jobs()[8].arn)
        clock.at += 60
        first = rig.simulator.ledger.jobs(kind="bedrock.AdvancedPromptOptimizationJob")[0].arn
        rig.bedrock.batch_delete_advanced_prompt_optimization_job(jobIdentifiers=[first])
        before, entries = everything(rig), list(rig.simulator.ledger.entries)
        again = rig.create("bad-0", tags=[{"key": "k", "value": "0"}])
        clock.at += 5
        later = everything(rig)
    clock.at -= 5
    with served(path, clock, speed=3, seed=99) as rig:
        assert list(rig.simulator.ledger.entries) == entries
        assert everything(rig) == before
        assert rig.create("bad-0", tags=[{"key": "k", "value": "0"}]) == again
        clock.at += 5
        assert everything(rig) == later
        assert rig.bedrock.get_advanced_prompt_optimization_job(jobIdentifier=prompt)["jobName"] == "p-2"
        rig.create("new")
        assert len(rig.listed()) == len(rig.simulator.ledger.jobs(kind=KIND)) == 4
        assert rig.simulator.ledger.sequence == entries[-1].sequence + 1


def test_a_restart_keeps_jobs_waiting_for_their_slot(tmp_path: Path) -> None:
    path, clock = tmp_path / "world.jsonl", TurnedClock()
    options = {"quotas": {KIND: {"*": 1}}, "over_quota": "queue"}
    with served(path, clock, **options) as rig:
        arns = [rig.create(f"job-{number}") for number in range(3)]
    with served(path, clock, **options) as rig:
        clock.at += 165
        assert [rig.status(arn) for arn in arns] == ["Completed", "Submitted", "Submitted"]
        clock.at += 5
        assert [rig.status(arn) for arn in arns] == ["Completed", "Validating", "Submitted"]


def test_the_same_seed_after_a_restart_draws_no_id_twice(tmp_path: Path) -> None:
    arns: list[str] = []
    for life in range(2):
        chance = random.Random(7)
        with Simulator(
            SimulatorOptions(), now=lambda: NOON, random=chance, ledger_path=tmp_path / "world.jsonl"
        ) as simulator:
            arns += simulator.plant(KIND, {**BATCH, "jobName": f"job-{life}"}, region=REGION)
            assert [job.arn for job in simulator.world.jobs()] == arns
    assert len(set(arns)) == 2


def test_a_torn_last_line_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "world.jsonl"
    with served(path) as rig:
        arn = rig.create("a")
    with path.open("ab") as file:
        file.write(b'{"entry": {"sequence": 2, "at"')
    with served(path) as rig:
        assert rig.status(arn) == "Submitted"
        rig.create("b")
    with served(path) as rig:
        assert sorted(rig.listed()) == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"hello\n", "is not a simulator ledger", id="no-ledger"),
        pytest.param(b'{"ledger": "ferryman-simulator", "format": 2}\n', "is not a simulator ledger", id="newer"),
        pytest.param(b'{"ledger":"ferryman-simulator","format":1}\nx\n{}\n', "line 2 is damaged", id="damaged"),
        pytest.param(b'{"ledger":"ferryman-simulator","format":1}\n{"entry":{}}\n', "line 2 is damaged", id="foreign"),
    ],
)
def test_a_file_that_is_no_ledger_is_refused_and_left_alone(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "world.jsonl"
    path.write_bytes(content)
    with pytest.raises(LedgerError, match=words):
        Simulator(SimulatorOptions(), now=lambda: NOON, random=random.Random(1), ledger_path=path)
    assert path.read_bytes() == content


def test_a_file_has_one_simulator_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "world.jsonl"
    with served(path), pytest.raises(LedgerError, match="in use by another simulator"):
        Simulator(SimulatorOptions(), now=lambda: NOON, random=random.Random(1), ledger_path=path)
    Simulator(SimulatorOptions(), now=lambda: NOON, random=random.Random(1), ledger_path=path).close()


def test_what_cannot_be_written_down_does_not_happen(tmp_path: Path) -> None:
    path = tmp_path / "world.jsonl"
    with served(path) as rig:
        rig.create("a")
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 100, before[1]))
        try:
            with pytest.raises(rig.bedrock.exceptions.InternalServerException, match="cannot be written"):
                rig.create("b")
            with pytest.raises(rig.bedrock.exceptions.InternalServerException, match="cannot be written"):
                rig.create("b")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert rig.listed() == ["a"]
        rig.create("c")
    with served(path) as rig:
        assert sorted(rig.listed()) == ["a", "c"]


def test_the_file_is_json_lines_behind_a_header(tmp_path: Path) -> None:
    path = tmp_path / "world.jsonl"
    with served(path) as rig:
        rig.create("a")
        lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    assert lines[0] == {"ledger": "ferryman-simulator", "format": 1}
    assert lines[1]["entry"]["name"] == "a"


async def test_tests_can_wait_for_facts() -> None:
    simulator = Simulator(SimulatorOptions(), now=lambda: NOON, random=random.Random(1))
    ledger = simulator.ledger
    async with anyio.create_task_group() as group:
        with anyio.fail_after(5):
            group.start_soon(ledger.wait_until, lambda: len(ledger.jobs(foreign=None)) == 2)
            for _ in range(2):
                await anyio.lowlevel.checkpoint()
                simulator.plant(KIND, {**BATCH, "jobName": "a"}, region=REGION)


def test_memory_keeps_the_newest_entries() -> None:
    with served(ledger_kept_max=2) as rig:
        for number in range(3):
            rig.create(f"job-{number}")
        assert [entry.sequence for entry in rig.simulator.ledger.entries] == [2, 3]
        assert [entry.sequence for entry in rig.simulator.ledger.since(0, 10)] == [2, 3]
        assert [entry.sequence for entry in rig.simulator.ledger.since(2, 10)] == [3]
