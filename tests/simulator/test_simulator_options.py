"""Every answer that can be turned, each way."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError
from pydantic import ValidationError

from controller.simulator import SimulatorOptions
from tests.simulator.simulated import (
    ACCOUNT,
    BATCH,
    BLUEPRINT,
    NOON,
    PROMPTS,
    RECOMMENDATIONS,
    REGION,
    Rig,
    refusal,
    served,
)

KIND = "bedrock.ModelInvocationJob"


def refused(rig: Rig, name: str, **parameters: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as raised:
        rig.create(name, **parameters)
    return refusal(raised.value)


def test_repeated_token_gives_the_same_arn() -> None:
    with served() as rig:
        assert rig.create("a", "token") == rig.create("a", "token")
        assert len(rig.simulator.ledger.jobs()) == 1
        assert rig.create("a", "other") != rig.create("a", "token")


def test_repeated_token_of_prompt_optimization_gives_the_same_arn() -> None:
    with served() as rig:
        create = rig.bedrock.create_advanced_prompt_optimization_job
        arns = {create(jobName="p", clientToken="t", **PROMPTS)["jobArn"] for _ in range(2)}
        assert len(arns) == 1


def test_repeated_token_can_conflict() -> None:
    with served(repeated_token="conflict") as rig:
        rig.create("a", "token")
        assert refused(rig, "a", token="token") == ("ConflictException", 400)
        assert len(rig.simulator.ledger.jobs()) == 1


def test_token_can_be_forgotten() -> None:
    with served(token_lifetime_s=60) as rig:
        first = rig.create("a", "token")
        rig.clock.at += 60
        assert rig.create("a", "token") == first
        rig.clock.at += 1
        assert rig.create("a", "token") != first


@pytest.mark.parametrize(
    ("answer", "code"), [("conflict", "ConflictException"), ("validation", "ValidationException"), ("same_arn", None)]
)
def test_changed_parameters_under_a_token(answer: str, code: str | None) -> None:
    with served(changed_token=answer) as rig:
        first = rig.create("a", "token")
        if code is None:
            assert rig.create("b", "token") == first
        else:
            assert refused(rig, "b", token="token") == (code, 400)
        assert len(rig.simulator.ledger.jobs()) == 1


def test_names_may_repeat_unless_they_must_be_unique() -> None:
    with served() as rig:
        assert rig.create("a", "one") != rig.create("a", "two")
        rig.personalize.create_batch_inference_job(jobName="movies", **RECOMMENDATIONS)
        with pytest.raises(ClientError) as raised:
            rig.personalize.create_batch_inference_job(jobName="movies", **RECOMMENDATIONS)
        assert refusal(raised.value) == ("ResourceAlreadyExistsException", 400)
        rig.simulator.configure(unique_names=[KIND])
        assert refused(rig, "a", token="three") == ("ValidationException", 400)
        rig.personalize.create_batch_inference_job(jobName="movies", **RECOMMENDATIONS)
        assert len(rig.simulator.ledger.jobs(kind="personalize.BatchInferenceJob")) == 2


def test_profile_ids_can_come_back_as_arns() -> None:
    with served(profile_arns=True) as rig:
        profile = rig.create("a", modelId="us.amazon.nova-lite-v1:0")
        base = rig.create("b")
        models = [rig.bedrock.get_model_invocation_job(jobIdentifier=arn)["modelId"] for arn in (profile, base)]
        assert models == [
            f"arn:aws:bedrock:{REGION}:{ACCOUNT}:inference-profile/us.amazon.nova-lite-v1:0",
            "amazon.nova-lite-v1:0",
        ]


def test_new_jobs_can_be_invisible_to_get_list_and_tagging() -> None:
    lags: dict[str, Any] = {"list_lag_s": (20, 20), "get_lag_s": (10, 10), "tag_lag_s": (30, 30)}
    with served(**lags, speed=2) as rig:
        arn = rig.create("a", tags=[{"key": "k", "value": "v"}])
        tagging = rig.client("resourcegroupstaggingapi")
        seen = []
        for seconds in (0, 5, 10, 15):
            rig.clock.at = NOON + seconds
            try:
                rig.status(arn)
                found = True
            except rig.bedrock.exceptions.ResourceNotFoundException:
                found = False
            seen.append((found, bool(rig.listed()), bool(tagging.get_resources()["ResourceTagMappingList"])))
        assert seen == [(False, False, False), (True, False, False), (True, True, False), (True, True, True)]


def test_speed_scales_lives_and_nothing_else() -> None:
    with served(speed=10) as rig:
        arn = rig.create()
        rig.clock.at += 16
        assert rig.status(arn) == "Completed"
        shown = rig.bedrock.get_model_invocation_job(jobIdentifier=arn)
        assert (shown["endTime"] - shown["submitTime"]).total_seconds() == 16


@pytest.mark.parametrize(
    ("rule", "statuses", "message"),
    [
        pytest.param({"status": "Failed"}, ("InProgress", "Failed"), "The job failed", id="failed"),
        pytest.param(
            {"stage": "Validating", "message": "bad record 7"},
            ("Failed", "Failed"),
            "bad record 7",
            id="failed-while-validating",
        ),
        pytest.param({"status": "PartiallyCompleted"}, ("InProgress", "PartiallyCompleted"), "Not all", id="partial"),
        pytest.param({"status": "Expired", "stage": "Scheduled"}, ("Expired", "Expired"), "expired", id="expired"),
        pytest.param({"durations": {"Submitted": (200, 200)}}, ("Submitted", "Submitted"), None, id="slow"),
    ],
)
def test_rules_decide_outcomes_by_name(rule: Mapping[str, Any], statuses: tuple[str, str], message: str | None) -> None:
    with served(rules=[{"name": "x-*", **rule}]) as rig:
        ruled, free = rig.create("x-1"), rig.create("y-1")
        seen = []
        for seconds in (100, 160):
            rig.clock.at = NOON + seconds
            seen.append(rig.status(ruled))
        assert tuple(seen) == statuses
        assert rig.status(free) == "Completed"
        shown = rig.bedrock.get_model_invocation_job(jobIdentifier=ruled)
        assert message is None or message in shown["message"]


def test_rules_refuse_creates_by_role_for_a_number_of_times() -> None:
    refuse = {"code": "AccessDeniedException", "message": "not authorized to perform: iam:PassRole"}
    with served(rules=[{"role": "*:role/bat*", "refuse": refuse, "times": 2}]) as rig:
        assert refused(rig, "a") == ("AccessDeniedException", 403)
        assert refused(rig, "a") == ("AccessDeniedException", 403)
        rig.create("a")
        rig.simulator.configure(rules=[{"account": "111122223333", "refuse": refuse}])
        rig.create("b")
        assert len(rig.simulator.ledger.jobs()) == 2


def test_outcomes_are_drawn_with_their_probability_and_from_the_seed() -> None:
    def finals(seed: int) -> list[str]:
        with served(seed=seed, outcomes={KIND: {"Failed": 0.5}}, enforce_quotas=False) as rig:
            arns = [rig.create(f"job-{number}") for number in range(40)]
            rig.clock.at += 1000
            return [rig.status(arn) for arn in arns]

    first = finals(1)
    assert 8 < first.count("Failed") < 32
    assert first == finals(1)
    assert first != finals(2)


def test_jobs_expire_at_their_timeout_whatever_they_do() -> None:
    with served(rules=[{"durations": {"InProgress": (1e6, 1e6)}, "records": 1000}]) as rig:
        arn = rig.create(timeoutDurationInHours=24)
        rig.clock.at = NOON + 24 * 3600 - 1
        assert rig.status(arn) == "InProgress"
        rig.clock.at += 1
        shown = rig.bedrock.get_model_invocation_job(jobIdentifier=arn)
        assert shown["status"] == "Expired"
        assert 0 < shown["processedRecordCount"] < 1000


QUOTA_ANSWERS = [
    pytest.param("bedrock", ("ServiceQuotaExceededException", 400), id="bedrock"),
    pytest.param("prompts", ("ServiceQuotaExceededException", 400), id="prompts"),
    pytest.param("automation", ("ServiceQuotaExceededException", 402), id="automation"),
    pytest.param("personalize", ("LimitExceededException", 400), id="personalize"),
]


@pytest.mark.parametrize(("family", "expected"), QUOTA_ANSWERS)
def test_the_job_above_the_quota_is_refused_in_the_service_s_words(family: str, expected: tuple[str, int]) -> None:
    kinds = (
        KIND,
        "bedrock.AdvancedPromptOptimizationJob",
        "bedrock-data-automation.BlueprintOptimization",
        "personalize.BatchInferenceJob",
    )
    with served(quotas={kind: {"*": 2} for kind in kinds}) as rig:
        creates: dict[str, Callable[[int], Any]] = {
            "bedrock": lambda i: rig.create(f"job-{i}"),
            "prompts": lambda i: rig.bedrock.create_advanced_prompt_optimization_job(jobName=f"p{i}", **PROMPTS),
            "automation": lambda _: rig.automation.invoke_blueprint_optimization_async(**BLUEPRINT),
            "personalize": lambda i: rig.personalize.create_batch_inference_job(jobName=f"m{i}", **RECOMMENDATIONS),
        }
        create = creates[family]
        create(1)
        create(2)
        with pytest.raises(ClientError) as raised:
            create(3)
        assert refusal(raised.value) == expected
        rig.clock.at += 200
        create(4)
        assert max(rig.simulator.ledger.peaks.values()) == 2


def test_quotas_count_by_base_model_and_custom_models_share_one() -> None:
    custom = f"arn:aws:bedrock:{REGION}:{ACCOUNT}:custom-model/amazon.nova-lite-v1:0/abcdefghijk"
    with served(quotas={KIND: {"*": 1, "custom-model": 2}}) as rig:
        rig.create("a")
        assert refused(rig, "b", modelId="us.amazon.nova-lite-v1:0")[0] == "ServiceQuotaExceededException"
        foundation = f"arn:aws:bedrock:{REGION}::foundation-model/amazon.nova-lite-v1:0"
        assert refused(rig, "c", modelId=foundation)[0] == "ServiceQuotaExceededException"
        rig.create("d", modelId="amazon.nova-pro-v1:0")
        rig.create("e", modelId=custom + "1")
        rig.create("f", modelId=custom + "2")
        assert refused(rig, "g", modelId=custom + "3")[0] == "ServiceQuotaExceededException"
        peaks = {slot[3]: peak for slot, peak in rig.simulator.ledger.peaks.items()}
        assert peaks == {"amazon.nova-lite-v1:0": 1, "amazon.nova-pro-v1:0": 1, "custom-model": 2}


def test_jobs_above_the_quota_can_wait_and_start_in_order() -> None:
    with served(quotas={KIND: {"*": 1}}, over_quota="queue") as rig:
        arns = [rig.create(f"job-{number}") for number in range(3)]
        rig.clock.at = NOON + 165
        assert [rig.status(arn) for arn in arns] == ["Completed", "Submitted", "Submitted"]
        rig.clock.at = NOON + 320
        assert [rig.status(arn) for arn in arns] == ["Completed", "Completed", "Submitted"]
        rig.bedrock.stop_model_invocation_job(jobIdentifier=arns[2])
        rig.clock.at = NOON + 325
        assert rig.status(arns[2]) == "Stopped"


def test_a_raised_quota_starts_waiting_jobs() -> None:
    with served(quotas={KIND: {"*": 1}}, over_quota="queue") as rig:
        arns = [rig.create(f"job-{number}") for number in range(3)]
        rig.simulator.configure(quotas={KIND: {"*": 2}})
        rig.clock.at += 10
        assert [rig.status(arn) for arn in arns] == ["Validating", "Validating", "Submitted"]


def test_quotas_can_be_measured_only() -> None:
    with served(quotas={KIND: {"*": 1}}, enforce_quotas=False) as rig:
        for number in range(3):
            rig.create(f"job-{number}")
        assert list(rig.simulator.ledger.peaks.values()) == [3]
        assert [entry.usage["amazon.nova-lite-v1:0"] for entry in rig.simulator.ledger.jobs()] == [1, 2, 3]


def test_foreign_jobs_take_slots_and_are_listed() -> None:
    with served(quotas={KIND: {"*": 3}}) as rig:
        rig.simulator.plant(KIND, {**BATCH, "jobName": "theirs"}, region=REGION, count=3)
        assert refused(rig, "mine")[0] == "ServiceQuotaExceededException"
        assert sorted(rig.listed()) == ["theirs-1", "theirs-2", "theirs-3"]
        assert rig.simulator.ledger.jobs() == []
        assert len(rig.simulator.ledger.jobs(foreign=True)) == 3


def test_a_lowered_quota_refuses_until_enough_have_ended() -> None:
    with served() as rig:
        for number in range(3):
            rig.create(f"job-{number}")
        rig.simulator.configure(quotas={KIND: {"*": 2}})
        assert refused(rig, "late")[0] == "ServiceQuotaExceededException"
        rig.clock.at += 160
        rig.create("late")


def test_blueprints_are_measured_each() -> None:
    with served() as rig:
        for _ in range(2):
            rig.automation.invoke_blueprint_optimization_async(**BLUEPRINT)
        peaks = {slot[3]: peak for slot, peak in rig.simulator.ledger.peaks.items()}
        assert peaks == {"*": 2, BLUEPRINT["blueprint"]["blueprintArn"]: 2}


THROTTLES = [
    pytest.param("bedrock", "ListModelInvocationJobs", ("ThrottlingException", 429), id="bedrock"),
    pytest.param("personalize", "ListBatchInferenceJobs", ("ThrottlingException", 400), id="personalize"),
    pytest.param("resourcegroupstaggingapi", "GetResources", ("ThrottledException", 400), id="tagging"),
    pytest.param("sts", "GetCallerIdentity", ("Throttling", 400), id="sts"),
]


@pytest.mark.parametrize(("service", "operation", "expected"), THROTTLES)
def test_throttles_are_buckets_per_operation(service: str, operation: str, expected: tuple[str, int]) -> None:
    with served(throttles={operation: {"rate": 2, "burst": 3}}) as rig:
        call = getattr(
            rig.client(service), "".join(f"_{c.lower()}" if c.isupper() else c for c in operation).strip("_")
        )
        for _ in range(3):
            call()
        with pytest.raises(ClientError) as raised:
            call()
        assert refusal(raised.value) == expected
        rig.clock.at += 0.5
        call()
        assert rig.simulator.ledger.calls[operation] == {"ok": 4, expected[0]: 1}
        getattr(rig.client(service, region="eu-west-1"), call.__name__)()


def test_options_round_trip_through_json() -> None:
    options = SimulatorOptions.model_validate(
        {
            "rules": [{"name": "x-*", "refuse": {"code": "AccessDeniedException"}}],
            "throttles": {"Create*": {"rate": 2, "burst": 4}},
            "quotas": {KIND: {"*": 5}},
            "list_lag_s": [0, 120],
        }
    )
    assert SimulatorOptions.model_validate_json(options.model_dump_json()) == options
    assert options.quota_limit("personalize.BatchInferenceJob", "*") == 5


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"speed": 0}, "greater than 0"),
        ({"quotas": {"bedrock.Nothing": {"*": 1}}}, "unknown kind 'bedrock.Nothing'"),
        ({"outcomes": {KIND: {"Succeeded": 0.5}}}, "no final status"),
        ({"outcomes": {KIND: {"Failed": 0.7, "Expired": 0.7}}}, "more than 1"),
        ({"rules": [{"kind": KIND, "status": "ACTIVE"}]}, "no final status"),
        ({"typo": 1}, "Extra inputs"),
    ],
)
def test_wrong_options_are_refused_with_a_reason(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        SimulatorOptions.model_validate(given)
