"""Every operation, through boto3, over a socket."""

import datetime as dt
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.simulator.simulated import (
    ACCOUNT,
    BATCH,
    BLUEPRINT,
    NOON,
    PROMPTS,
    RECOMMENDATIONS,
    REGION,
    SOLUTION,
    refusal,
    served,
)


def test_model_invocation_job_lives_through_all_its_statuses() -> None:
    with served() as rig:
        arn = rig.create("nightly", tags=[{"key": "run", "value": "1"}])
        assert arn.startswith(f"arn:aws:bedrock:{REGION}:{ACCOUNT}:model-invocation-job/")
        seen = []
        for seconds in (0, 10, 30, 60, 159.9, 160):
            rig.clock.at = NOON + seconds
            seen.append(rig.status(arn))
        assert seen == ["Submitted", "Validating", "Scheduled", "InProgress", "InProgress", "Completed"]
        shown = rig.bedrock.get_model_invocation_job(jobIdentifier=arn.rsplit("/", 1)[-1])
        assert {member: shown[member] for member in BATCH} == BATCH
        assert shown["submitTime"] == dt.datetime.fromtimestamp(NOON, dt.UTC)
        assert shown["endTime"] == dt.datetime.fromtimestamp(NOON + 160, dt.UTC)
        assert shown["jobExpirationTime"] == dt.datetime.fromtimestamp(NOON + 24 * 3600, dt.UTC)
        assert "message" not in shown


def test_record_counts_are_zero_until_work_begins_and_grow_to_the_total() -> None:
    with served(rules=[{"records": 200, "error_share": 0.1}]) as rig:
        arn = rig.create()
        counts = []
        for seconds in (20, 60, 110, 160, 10_000):
            rig.clock.at = NOON + seconds
            shown = rig.bedrock.get_model_invocation_job(jobIdentifier=arn)
            kinds = ("total", "processed", "success", "error")
            counts.append(tuple(shown[f"{kind}RecordCount"] for kind in kinds))
        assert counts == [(0, 0, 0, 0), (200, 0, 0, 0), (200, 100, 90, 10), (200, 200, 180, 20), (200, 200, 180, 20)]


def test_list_shows_what_get_shows() -> None:
    with served() as rig:
        arn = rig.create("a")
        shown = rig.bedrock.get_model_invocation_job(jobIdentifier=arn)
        (listed,) = rig.bedrock.list_model_invocation_jobs()["invocationJobSummaries"]
        del shown["ResponseMetadata"]
        assert listed == shown


def test_stop_passes_through_stopping_and_keeps_the_counts() -> None:
    with served(rules=[{"records": 100}]) as rig:
        arn = rig.create()
        rig.clock.at = NOON + 110
        rig.bedrock.stop_model_invocation_job(jobIdentifier=arn)
        assert rig.status(arn) == "Stopping"
        rig.bedrock.stop_model_invocation_job(jobIdentifier=arn)
        rig.clock.at += 5
        shown = rig.bedrock.get_model_invocation_job(jobIdentifier=arn)
        assert (shown["status"], shown["processedRecordCount"]) == ("Stopped", 50)
        assert [entry.effect for entry in rig.simulator.ledger.entries] == ["create", "stop"]
        with pytest.raises(ClientError) as raised:
            rig.bedrock.stop_model_invocation_job(jobIdentifier=arn)
        assert refusal(raised.value) == ("ConflictException", 400)


def test_prompt_optimization_create_get_list_stop() -> None:
    with served() as rig:
        arn = rig.bedrock.create_advanced_prompt_optimization_job(jobName="p", clientToken="t", **PROMPTS)["jobArn"]
        shown = rig.bedrock.get_advanced_prompt_optimization_job(jobIdentifier=arn)
        assert (shown["jobStatus"], shown["inputConfig"]) == ("InProgress", PROMPTS["inputConfig"])
        assert shown["modelConfigurations"] == PROMPTS["modelConfigurations"]
        (summary,) = rig.bedrock.list_advanced_prompt_optimization_jobs()["jobSummaries"]
        assert set(summary) == {"jobArn", "jobName", "jobStatus", "creationTime", "lastModifiedTime"}
        rig.bedrock.stop_advanced_prompt_optimization_job(jobIdentifier=arn)
        rig.clock.at += 5
        assert rig.bedrock.get_advanced_prompt_optimization_job(jobIdentifier=arn)["jobStatus"] == "Stopped"


def test_batch_delete_answers_for_each_job_and_deletes_through_deleting() -> None:
    with served() as rig:
        create = rig.bedrock.create_advanced_prompt_optimization_job
        ended = create(jobName="a", **PROMPTS)["jobArn"]
        rig.clock.at += 100
        active = create(jobName="b", **PROMPTS)["jobArn"]
        answer = rig.bedrock.batch_delete_advanced_prompt_optimization_job(
            jobIdentifiers=[ended, active, "abcdefghijkl"]
        )
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
        assert answer["advancedPromptOptimizationJobs"] == [{"jobIdentifier": ended, "jobStatus": "Deleting"}]
        codes = {error["jobIdentifier"]: error["code"] for error in answer["errors"]}
        assert codes == {active: "ConflictException", "abcdefghijkl": "ResourceNotFoundException"}
        assert rig.bedrock.get_advanced_prompt_optimization_job(jobIdentifier=ended)["jobStatus"] == "Deleting"
        rig.clock.at += 3
        with pytest.raises(ClientError) as raised:
            rig.bedrock.get_advanced_prompt_optimization_job(jobIdentifier=ended)
        assert refusal(raised.value) == ("ResourceNotFoundException", 404)
        assert [entry.arn for entry in rig.simulator.ledger.effects("delete")] == [ended]


@pytest.mark.parametrize(
    ("final", "error_type"),
    [("Success", None), ("ServiceError", "InternalServerException"), ("ClientError", "ClientError")],
)
def test_blueprint_optimization_statuses(final: str, error_type: str | None) -> None:
    with served(rules=[{"status": final}]) as rig:
        arn = rig.automation.invoke_blueprint_optimization_async(**BLUEPRINT)["invocationArn"]
        seen = []
        for seconds in (0, 10, 110):
            rig.clock.at = NOON + seconds
            shown = rig.automation.get_blueprint_optimization_status(invocationArn=arn)
            seen.append(shown["status"])
        assert seen == ["Created", "InProgress", final]
        assert shown.get("errorType") == error_type
        assert ("errorMessage" in shown) == (error_type is not None)
        assert shown["outputConfiguration"] == BLUEPRINT["outputConfiguration"]


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [
        ("create", ["CREATE PENDING", "CREATE IN_PROGRESS", "ACTIVE"]),
        ("bare", ["PENDING", "IN PROGRESS", "ACTIVE"]),
    ],
)
def test_personalize_statuses_in_both_spellings(spelling: str, expected: list[str]) -> None:
    with served(personalize_statuses=spelling) as rig:
        made = rig.personalize.create_batch_inference_job(jobName="movies", **RECOMMENDATIONS)
        arn = made["batchInferenceJobArn"]
        assert arn == f"arn:aws:personalize:{REGION}:{ACCOUNT}:batch-inference-job/movies"
        described, listed = [], []
        for seconds in (0, 10, 110):
            rig.clock.at = NOON + seconds
            shown = rig.personalize.describe_batch_inference_job(batchInferenceJobArn=arn)["batchInferenceJob"]
            described.append(shown["status"])
            (summary,) = rig.personalize.list_batch_inference_jobs(solutionVersionArn=SOLUTION)["batchInferenceJobs"]
            listed.append(summary["status"])
        assert described == listed == expected
        assert shown["jobInput"] == RECOMMENDATIONS["jobInput"]
        assert shown["creationDateTime"] == dt.datetime.fromtimestamp(NOON, dt.UTC)


def test_tagging_finds_jobs_of_every_family_but_not_finished_batch_jobs() -> None:
    with served() as rig:
        tagging = rig.client("resourcegroupstaggingapi")
        tags = [{"key": "ferryman", "value": "u1"}]
        batch = rig.create(tags=tags)
        invocation = rig.automation.invoke_blueprint_optimization_async(**BLUEPRINT, tags=tags)["invocationArn"]
        rig.personalize.create_batch_inference_job(
            jobName="movies", tags=[{"tagKey": "ferryman", "tagValue": "u2"}], **RECOMMENDATIONS
        )

        def found(**query: Any) -> list[str]:
            return [mapping["ResourceARN"] for mapping in tagging.get_resources(**query)["ResourceTagMappingList"]]

        wanted = [{"Key": "ferryman", "Values": ["u1"]}]
        assert found(TagFilters=wanted) == [batch, invocation]
        kinds = ["bedrock:blueprint-optimization-invocation"]
        assert found(TagFilters=wanted, ResourceTypeFilters=kinds) == [invocation]
        assert len(found(TagFilters=[{"Key": "ferryman"}])) == 3
        assert len(found(ResourceTypeFilters=["personalize"])) == 1
        assert found(TagFilters=[{"Key": "ferryman", "Values": ["u3"]}]) == []
        rig.clock.at += 160
        assert found(TagFilters=wanted) == [invocation]
        rig.simulator.configure(tags_show_blueprint_optimizations=False)
        assert found(TagFilters=wanted) == []


def test_tagging_pages() -> None:
    with served() as rig:
        tagging = rig.client("resourcegroupstaggingapi")
        for number in range(5):
            rig.create(f"job-{number}", tags=[{"key": "a", "value": "b"}])
        pages = tagging.get_paginator("get_resources").paginate(ResourcesPerPage=2)
        assert [len(page["ResourceTagMappingList"]) for page in pages] == [2, 2, 1]
        with pytest.raises(ClientError) as raised:
            tagging.get_resources(PaginationToken="bm90IG91cnM=")
        assert refusal(raised.value) == ("PaginationTokenExpiredException", 400)


def test_service_quotas_tell_the_quotas_that_are_set() -> None:
    with served(quotas={"bedrock.ModelInvocationJob": {"*": 7, "custom-model": 2}}) as rig:
        quotas = rig.client("service-quotas")
        told = {
            q["QuotaName"]: (q["Value"], q["Adjustable"])
            for q in quotas.list_service_quotas(ServiceCode="bedrock")["Quotas"]
        }
        base = "Sum of in-progress and submitted batch inference jobs using a"
        assert told[f"{base} base model"] == (7, True)
        assert told[f"{base} custom model"] == (2, False)
        pages = quotas.get_paginator("list_service_quotas").paginate(ServiceCode="bedrock", MaxResults=3)
        assert [len(page["Quotas"]) for page in pages] == [3, 1]
        with pytest.raises(ClientError) as raised:
            quotas.list_service_quotas(ServiceCode="nothing")
        assert refusal(raised.value)[0] == "NoSuchResourceException"


def test_sts_identity_and_assumed_role() -> None:
    with served(accounts={"AKIDOTHER": "111122223333"}) as rig:
        assert rig.client("sts").get_caller_identity()["Account"] == ACCOUNT
        assert rig.client("sts", key="AKIDOTHER").get_caller_identity()["Account"] == "111122223333"
        role = "arn:aws:iam::210987654321:role/path/ferryman"
        given = rig.client("sts").assume_role(RoleArn=role, RoleSessionName="me", DurationSeconds=900)["Credentials"]
        assumed = {"key": given["AccessKeyId"], "token": given["SessionToken"]}
        identity = rig.client("sts", **assumed).get_caller_identity()
        assert identity["Account"] == "210987654321"
        assert identity["Arn"] == "arn:aws:sts::210987654321:assumed-role/ferryman/me"
        rig.client("bedrock", **assumed).create_model_invocation_job(jobName="j", **BATCH)
        assert rig.simulator.ledger.jobs()[0].account == "210987654321"
        rig.clock.at += 900
        with pytest.raises(ClientError) as raised:
            rig.client("bedrock", **assumed).list_model_invocation_jobs()
        assert refusal(raised.value) == ("ExpiredTokenException", 403)
        with pytest.raises(ClientError) as raised:
            rig.client("sts").assume_role(RoleArn="arn:aws:iam::nobody:role/x", RoleSessionName="me")
        assert refusal(raised.value) == ("ValidationError", 400)


def test_accounts_and_regions_do_not_see_each_other() -> None:
    with served(accounts={"AKIDOTHER": "111122223333"}) as rig:
        arn = rig.create("mine")
        others = (rig.client("bedrock", region="eu-west-1"), rig.client("bedrock", key="AKIDOTHER"))
        for other in others:
            assert other.list_model_invocation_jobs()["invocationJobSummaries"] == []
            with pytest.raises(ClientError) as raised:
                other.get_model_invocation_job(jobIdentifier=arn)
            assert refusal(raised.value) == ("ResourceNotFoundException", 404)


def test_operations_that_are_not_simulated_are_unknown() -> None:
    with served() as rig:
        with pytest.raises(ClientError) as raised:
            rig.bedrock.list_foundation_models()
        assert refusal(raised.value) == ("UnknownOperationException", 404)
        with pytest.raises(ClientError) as raised:
            rig.personalize.list_solutions()
        assert refusal(raised.value) == ("UnknownOperationException", 400)
        with pytest.raises(ClientError) as raised:
            rig.client("sts").get_session_token()
        assert refusal(raised.value) == ("InvalidAction", 400)


@pytest.mark.parametrize(
    ("change", "member"),
    [
        ({"timeoutDurationInHours": 169}, "timeoutDurationInHours"),
        ({"jobName": "-starts-with-a-dash"}, "jobName"),
        ({"roleArn": "not-an-arn"}, "roleArn"),
        ({"modelInvocationType": "Other"}, "modelInvocationType"),
        ({"tags": [{"key": "k", "value": "v" * 257}]}, "tags"),
    ],
)
def test_parameters_are_checked_against_the_whole_model(change: dict[str, Any], member: str) -> None:
    with served() as rig:
        with pytest.raises(ClientError) as raised:
            rig.bedrock.create_model_invocation_job(**{**BATCH, "jobName": "j", **change})
        assert refusal(raised.value) == ("ValidationException", 400)
        assert member in raised.value.response["Error"]["Message"]
        assert not rig.simulator.ledger.entries
        with pytest.raises(ClientError) as raised:
            rig.personalize.create_batch_inference_job(jobName="no.dots", **RECOMMENDATIONS)
        assert refusal(raised.value) == ("InvalidInputException", 400)
