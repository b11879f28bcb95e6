"""From an object to a document: every member, every rule, every kind."""

import copy
import json
import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.documents import (
    Policy,
    Rejection,
    canonical_json,
    digest_of,
    from_json,
    read_document,
    reject,
    spec_digest,
    to_json,
)
from controller.kinds import KINDS
from controller.model import (
    Desired,
    Document,
    FailReason,
    Identity,
    OnSpecChange,
    OnUncertain,
    Partial,
    Retry,
    Wishes,
)

POLICY = Policy(scopes={"default": frozenset(), "eu": frozenset({"personalize.BatchInferenceJob"})})
ROLE = "arn:aws:iam::123456789012:role/batch"
PROFILE = "arn:aws:bedrock:us-east-1:123456789012:data-automation-profile/us.data-automation-v1"
BLUEPRINT = "arn:aws:bedrock:us-east-1:123456789012:blueprint/0123456789ab"

EXAMPLES: dict[str, dict[str, Any]] = {
    "ModelInvocationJob": {
        "kind": "bedrock.ModelInvocationJob",
        "name": "nightly-20261121-0001",
        "spec": {
            "jobName": "nightly",
            "roleArn": ROLE,
            "modelId": "amazon.nova-lite-v1:0",
            "inputDataConfig": {"s3InputDataConfig": {"s3Uri": "s3://bucket/in/0001.jsonl", "s3InputFormat": "JSONL"}},
            "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": "s3://bucket/out/"}},
            "vpcConfig": {"subnetIds": ["subnet-1"], "securityGroupIds": ["sg-1"]},
            "timeoutDurationInHours": 24,
            "tags": [{"key": "team", "value": "a"}],
            "modelInvocationType": "InvokeModel",
        },
        "desired": "Completed",
        "scope": "default",
        "generation": 7,
        "priority": 0,
        "group": "team-a",
        "labels": {"run": "nightly"},
        "retry": {"attempts": 3, "reasons": ["JobFailed", "Expired", "ServiceError"], "backoffSeconds": 60},
        "partial": "success",
        "deadlineSeconds": 86400,
        "onUncertain": "hold",
        "onSpecChange": "reject",
    },
    "AdvancedPromptOptimizationJob": {
        "kind": "AdvancedPromptOptimizationJob",
        "name": "prompts",
        "spec": {
            "inputConfig": {"s3Uri": "s3://bucket/prompts.jsonl"},
            "outputConfig": {"s3Uri": "s3://bucket/out/"},
            "modelConfigurations": [
                {
                    "modelId": "amazon.nova-lite-v1:0",
                    "inferenceConfig": {"maxTokens": 100, "temperature": 0.5, "topP": 1, "stopSequences": ["END"]},
                    "additionalModelRequestFields": {"any": [1, None, {"json": True}]},
                }
            ],
        },
    },
    "BlueprintOptimization": {
        "kind": "bedrock-data-automation.BlueprintOptimization",
        "name": "invoices",
        "spec": {
            "blueprint": {"blueprintArn": BLUEPRINT, "stage": "LIVE"},
            "samples": [
                {
                    "assetS3Object": {"s3Uri": "s3://bucket/1.pdf"},
                    "groundTruthS3Object": {"s3Uri": "s3://bucket/1.json"},
                }
            ],
            "outputConfiguration": {"s3Object": {"s3Uri": "s3://bucket/out"}},
            "dataAutomationProfileArn": PROFILE,
            "encryptionConfiguration": {"kmsKeyId": "alias/key", "kmsEncryptionContext": {"a": "b"}},
            "tags": [{"key": "team", "value": ""}],
        },
    },
    "BatchInferenceJob": {
        "kind": "personalize.BatchInferenceJob",
        "name": "recommendations",
        "spec": {
            "solutionVersionArn": "arn:aws:personalize:us-east-1:123456789012:solution/a/1",
            "numResults": 25,
            "jobInput": {"s3DataSource": {"path": "s3://bucket/users.json"}},
            "jobOutput": {"s3DataDestination": {"path": "s3://bucket/out/"}},
            "roleArn": ROLE,
            "batchInferenceJobConfig": {
                "itemExplorationConfig": {"explorationWeight": "0.3"},
                "rankingInfluence": {"POPULARITY": 0.5},
            },
            "tags": [{"tagKey": "équipe", "tagValue": "a"}],
            "batchInferenceJobMode": "THEME_GENERATION",
            "themeGenerationConfig": {"fieldsForThemeGeneration": {"itemName": "TITLE"}},
        },
    },
}
"""A document of each kind in which every rule of its spec has something to break."""

LEFT_OUT = object()


def changed(example: str, path: str, value: Any) -> dict[str, Any]:
    """A copy of an example with the member at `path` set, or taken out."""
    document = copy.deepcopy(EXAMPLES[example])
    holder: Any = document
    *steps, last = [int(step) if step.isdigit() else step for step in path.split("/")]
    for step in steps:
        holder = holder[step]
    if value is LEFT_OUT:
        del holder[last]
    else:
        holder[last] = value
    return document


def read(raw: object, policy: Policy = POLICY) -> Document | Rejection:
    return read_document(raw, KINDS, policy)


def accepted(raw: object, policy: Policy = POLICY) -> Document:
    document = read(raw, policy)
    assert isinstance(document, Document), document
    return document


def problems(raw: object, policy: Policy = POLICY) -> list[str]:
    outcome = read(raw, policy)
    return list(outcome.problems) if isinstance(outcome, Rejection) else []


def test_every_member_is_read() -> None:
    raw = EXAMPLES["ModelInvocationJob"] | {
        "desired": "Stopped",
        "priority": -1000,
        "retry": {"attempts": 5, "reasons": ["ServiceError", "Partial", "ServiceError"], "backoffSeconds": 0.5},
        "partial": "failure",
        "onUncertain": "retry",
        "onSpecChange": "replace",
    }
    document = accepted(raw)
    assert replace(document, digest="") == Document(
        identity=Identity(scope="default", kind="bedrock.ModelInvocationJob", name="nightly-20261121-0001"),
        desired=Desired.STOPPED,
        spec=raw["spec"],
        wishes=Wishes(
            priority=-1000,
            group="team-a",
            labels={"run": "nightly"},
            retry=Retry(attempts=5, reasons=(FailReason.SERVICE_ERROR, FailReason.PARTIAL), backoff_s=0.5),
            partial=Partial.FAILURE,
            deadline_s=86400,
            on_uncertain=OnUncertain.RETRY,
        ),
        generation=7,
        on_spec_change=OnSpecChange.REPLACE,
        digest="",
    )


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_valid_document_of_each_kind(example: str) -> None:
    document = accepted(EXAMPLES[example])
    assert document.spec == EXAMPLES[example]["spec"]
    assert document.identity.kind in KINDS
    assert from_json(json.loads(json.dumps(to_json(document)))) == document


def test_defaults() -> None:
    document = accepted({"kind": "ModelInvocationJob", "name": "a", "desired": "Absent"})
    assert document.wishes == Wishes()
    assert (document.spec, document.generation, document.on_spec_change) == (None, None, OnSpecChange.REJECT)
    assert document.identity == Identity(scope="default", kind="bedrock.ModelInvocationJob", name="a")


@pytest.mark.parametrize("desired", ["Stopped", "Absent"])
def test_a_spec_is_checked_where_it_may_be_left_out(desired: str) -> None:
    raw = changed("ModelInvocationJob", "spec/timeoutDurationInHours", 12) | {"desired": desired}
    assert problems(raw) == ["spec.timeoutDurationInHours: 12 is below the minimum 24"]


JOB = "ModelInvocationJob"
PROMPT = "AdvancedPromptOptimizationJob"
BLUE = "BlueprintOptimization"
PERSONALIZE = "BatchInferenceJob"
NAME_RULE = "must be 1 to 63 letters, digits and hyphens, the first a letter or digit"
KNOWN_KINDS = (
    "known are bedrock.ModelInvocationJob, bedrock.AdvancedPromptOptimizationJob, "
    "bedrock-data-automation.BlueprintOptimization, personalize.BatchInferenceJob"
)
RETRIABLE = "JobFailed, Expired, ServiceError, ClientError, Partial, AccessDenied"
LABEL_RULE = "a label's name must be 1 to 128 letters, digits and . _ / : @ + -, the first a letter or digit"


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        pytest.param("kind", LEFT_OUT, "kind: is required", id="kind-missing"),
        pytest.param("kind", None, "kind: null is not a string", id="kind-null"),
        pytest.param("kind", "Foo", f'kind: "Foo" is not a known kind, {KNOWN_KINDS}', id="kind-unknown"),
        pytest.param(
            "kind",
            "bedrock.ModelInvocationJobs",
            'kind: "bedrock.ModelInvocationJobs" is not a known kind, did you mean bedrock.ModelInvocationJob?',
            id="kind-near",
        ),
        pytest.param("name", LEFT_OUT, "name: is required", id="name-missing"),
        pytest.param("name", "", f'name: "" {NAME_RULE}', id="name-empty"),
        pytest.param("name", "-a", f'name: "-a" {NAME_RULE}', id="name-hyphen"),
        pytest.param("name", "../etc", f'name: "../etc" {NAME_RULE}', id="name-path"),
        pytest.param("name", "a\n", f'name: "a\\n" {NAME_RULE}', id="name-newline"),
        pytest.param("name", "é", f'name: "é" {NAME_RULE}', id="name-unicode"),
        pytest.param("name", "a" * 5000, f'name: "{"a" * 57}..." {NAME_RULE}', id="name-long"),
        pytest.param("name", 10, f"name: 10 {NAME_RULE}", id="name-number"),
        pytest.param("spec", LEFT_OUT, "spec: is required", id="spec-missing"),
        pytest.param("spec", None, "spec: null is not an object", id="spec-null"),
        pytest.param("spec", [], "spec: a list is not an object", id="spec-list"),
        pytest.param("desired", "Done", 'desired: "Done" is not one of Completed, Stopped, Absent', id="desired"),
        pytest.param(
            "desired",
            "stopped",
            'desired: "stopped" is not one of Completed, Stopped, Absent, did you mean Stopped?',
            id="desired-near",
        ),
        pytest.param(
            "desired", ["Stopped"], "desired: a list is not one of Completed, Stopped, Absent", id="desired-list"
        ),
        pytest.param("scope", "us", 'scope: "us" is not a scope here; known are default, eu', id="scope-unknown"),
        pytest.param("scope", 1, "scope: 1 is not a string", id="scope-number"),
        pytest.param(
            "scope",
            "eu",
            'kind: bedrock.ModelInvocationJob is not allowed in the scope "eu"; allowed are '
            "personalize.BatchInferenceJob",
            id="kind-not-in-scope",
        ),
        pytest.param("generation", "7", 'generation: "7" is not an integer', id="generation-text"),
        pytest.param("generation", 7.0, "generation: 7.0 is not an integer", id="generation-float"),
        pytest.param("generation", True, "generation: true is not an integer", id="generation-boolean"),
        pytest.param(
            "generation",
            2**63,
            "generation: 9223372036854775808 is above the maximum 9223372036854775807",
            id="generation-huge",
        ),
        pytest.param("priority", 1001, "priority: 1001 is above the maximum 1000", id="priority-high"),
        pytest.param("priority", -1001, "priority: -1001 is below the minimum -1000", id="priority-low"),
        pytest.param("group", "a" * 129, "group: has 129 characters, the maximum is 128", id="group-long"),
        pytest.param("group", "a\x1b", 'group: "a\\u001b" holds characters that cannot be printed', id="group-escape"),
        pytest.param("labels", ["a"], "labels: a list is not an object", id="labels-list"),
        pytest.param("labels", {"a": 1}, "labels.a: 1 is not a string: write it in quotes", id="label-number"),
        pytest.param("labels", {"a=b": "c"}, f'labels["a=b"]: {LABEL_RULE}', id="label-key"),
        pytest.param("labels", {"": "c"}, f'labels[""]: {LABEL_RULE}', id="label-key-empty"),
        pytest.param("labels", {"a": "x" * 257}, "labels.a: has 257 characters, the maximum is 256", id="label-long"),
        pytest.param(
            "labels", {"a": "\x00"}, 'labels.a: "\\u0000" holds characters that cannot be printed', id="label-nul"
        ),
        pytest.param(
            "labels", {f"l{n}": "" for n in range(65)}, "labels: has 65 entries, the maximum is 64", id="labels-many"
        ),
        pytest.param("retry", 3, "retry: 3 is not an object", id="retry-number"),
        pytest.param("retry", {"attempts": 0}, "retry.attempts: 0 is below the minimum 1", id="attempts-low"),
        pytest.param("retry", {"attempts": 101}, "retry.attempts: 101 is above the maximum 100", id="attempts-high"),
        pytest.param(
            "retry", {"attemps": 2}, "retry.attemps: unknown member, did you mean attempts?", id="retry-unknown"
        ),
        pytest.param("retry", {"reasons": "JobFailed"}, 'retry.reasons: "JobFailed" is not a list', id="reasons-text"),
        pytest.param("retry", {"reasons": ["Lost"]}, 'retry.reasons[0]: "Lost" is never retried', id="reason-never"),
        pytest.param(
            "retry",
            {"reasons": ["Expired", {}]},
            f"retry.reasons[1]: an object is not one of {RETRIABLE}",
            id="reason-object",
        ),
        pytest.param("retry", {"backoffSeconds": -1}, "retry.backoffSeconds: -1 is below the minimum 0", id="backoff"),
        pytest.param(
            "retry", {"backoffSeconds": float("nan")}, "retry.backoffSeconds: nan is not a number", id="backoff-nan"
        ),
        pytest.param("partial", "ok", 'partial: "ok" is not one of success, failure', id="partial"),
        pytest.param("deadlineSeconds", 0, "deadlineSeconds: 0 is below the minimum 1", id="deadline-low"),
        pytest.param(
            "deadlineSeconds",
            float("inf"),
            "deadlineSeconds: inf is above the maximum 34560000",
            id="deadline-infinite",
        ),
        pytest.param("onUncertain", "fail", 'onUncertain: "fail" is not one of hold, retry', id="on-uncertain"),
        pytest.param("onSpecChange", 1, "onSpecChange: 1 is not one of reject, replace", id="on-spec-change"),
        pytest.param("lables", {}, "lables: unknown member, did you mean labels?", id="unknown-near"),
        pytest.param("retries", 3, "retries: unknown member, did you mean retry?", id="unknown-plural"),
        pytest.param(
            "deadline_seconds", 1, "deadline_seconds: unknown member, did you mean deadlineSeconds?", id="snake"
        ),
    ],
)
def test_envelope(path: str, value: Any, problem: str) -> None:
    assert problems(changed(JOB, path, value)) == [problem]


JOB_NAME = r"[a-zA-Z0-9]{1,63}(-*[a-zA-Z0-9\+\-\.]){0,63}"
BEDROCK_ROLE = "arn:aws(-[^:]+)?:iam::([0-9]{12})?:role/.+"
TOKEN_RULE = "Ferryman sets the idempotency token; leave this member out"


@pytest.mark.parametrize(
    ("example", "path", "value", "problem"),
    [
        pytest.param(JOB, "jobName", "a_b", f'jobName: "a_b" does not match the pattern {JOB_NAME}', id="job-name"),
        pytest.param(JOB, "jobName", "a" * 64, "jobName: has 64 characters, the maximum is 63", id="job-name-long"),
        pytest.param(
            JOB, "roleArn", "role", f'roleArn: "role" does not match the pattern {BEDROCK_ROLE}', id="job-role"
        ),
        pytest.param(JOB, "roleArn", LEFT_OUT, "roleArn: is required", id="job-role-missing"),
        pytest.param(JOB, "clientRequestToken", "t", f"clientRequestToken: {TOKEN_RULE}", id="job-token"),
        pytest.param(
            JOB, "inputDataConfig", {}, "inputDataConfig: needs exactly one of s3InputDataConfig, has 0", id="job-union"
        ),
        pytest.param(
            JOB,
            "inputDataConfig/s3InputDataConfig/s3InputFormat",
            "CSV",
            'inputDataConfig.s3InputDataConfig.s3InputFormat: "CSV" is not one of JSONL',
            id="job-enum",
        ),
        pytest.param(
            JOB, "timeoutDurationInHours", 12, "timeoutDurationInHours: 12 is below the minimum 24", id="job-min"
        ),
        pytest.param(
            JOB, "timeoutDurationInHours", 200, "timeoutDurationInHours: 200 is above the maximum 168", id="job-max"
        ),
        pytest.param(
            JOB, "timeoutDurationInHours", "24", 'timeoutDurationInHours: "24" is not an integer', id="job-type"
        ),
        pytest.param(
            JOB, "vpcConfig/subnetIds", [], "vpcConfig.subnetIds: has 0 items, the minimum is 1", id="job-items"
        ),
        pytest.param(JOB, "modelID", "m", "modelID: unknown member, did you mean modelId?", id="job-unknown"),
        pytest.param(PROMPT, "clientToken", "t", f"clientToken: {TOKEN_RULE}", id="prompt-token"),
        pytest.param(
            PROMPT, "modelConfigurations", [], "modelConfigurations: has 0 items, the minimum is 1", id="prompt-items"
        ),
        pytest.param(
            PROMPT,
            "modelConfigurations/0/inferenceConfig/temperature",
            1.5,
            "modelConfigurations[0].inferenceConfig.temperature: 1.5 is above the maximum 1",
            id="prompt-float",
        ),
        pytest.param(
            PROMPT,
            "modelConfigurations/0/additionalModelRequestFields/any",
            float("nan"),
            "modelConfigurations[0].additionalModelRequestFields.any: nan is not a finite number",
            id="prompt-document",
        ),
        pytest.param(
            PROMPT,
            "outputConfig/s3Uri",
            "s3://bucket/out",
            'outputConfig.s3Uri: "s3://bucket/out" does not match the pattern s3://[a-z0-9][-.a-z0-9]{1,61}[a-z0-9]'
            "(?:/[-!_*'().a-z0-9A-Z]+(?:/[-!_*'().a-z0-9A-Z]+)*)?/",
            id="prompt-folder",
        ),
        pytest.param(
            BLUE,
            "samples/0/assetS3Object",
            LEFT_OUT,
            "samples[0].assetS3Object: is required",
            id="blueprint-required",
        ),
        pytest.param(
            BLUE,
            "blueprint/stage",
            "live",
            'blueprint.stage: "live" is not one of DEVELOPMENT, LIVE, did you mean LIVE?',
            id="blueprint-enum",
        ),
        pytest.param(
            BLUE,
            "encryptionConfiguration/kmsEncryptionContext",
            {},
            "encryptionConfiguration.kmsEncryptionContext: has 0 entries, the minimum is 1",
            id="blueprint-map",
        ),
        pytest.param(
            BLUE,
            "tags",
            [{"key": "k", "value": "v"}] * 200,
            "tags: has 200 items, the maximum is 199, since Ferryman adds 1 of its own",
            id="blueprint-room-for-the-mark",
        ),
        pytest.param(
            BLUE,
            "tags/0/key",
            "ferryman:token",
            'tags[0].key: "ferryman:token" is Ferryman\'s own tag',
            id="blueprint-mark",
        ),
        pytest.param(
            PERSONALIZE,
            "jobName",
            "a.b",
            r'jobName: "a.b" does not match the pattern ^[a-zA-Z0-9][a-zA-Z0-9\-_]*',
            id="personalize-name-has-no-dot",
        ),
        pytest.param(
            PERSONALIZE,
            "batchInferenceJobConfig/rankingInfluence",
            {"FAME": 0.5},
            'batchInferenceJobConfig.rankingInfluence.FAME (key): "FAME" is not one of POPULARITY, FRESHNESS',
            id="personalize-key",
        ),
        pytest.param(
            PERSONALIZE,
            "batchInferenceJobConfig/rankingInfluence",
            {"FRESHNESS": 2},
            "batchInferenceJobConfig.rankingInfluence.FRESHNESS: 2 is above the maximum 1",
            id="personalize-value",
        ),
        pytest.param(
            PERSONALIZE, "numResults", 2**31, "numResults: 2147483648 does not fit 32 bits", id="personalize-overflow"
        ),
        pytest.param(
            PERSONALIZE,
            "tags/0/tagKey",
            "a!",
            r'tags[0].tagKey: "a!" does not match the pattern ^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$',
            id="personalize-tag",
        ),
    ],
)
def test_spec(example: str, path: str, value: Any, problem: str) -> None:
    assert problems(changed(example, f"spec/{path}", value)) == [f"spec.{problem}"]


def test_all_problems_at_once() -> None:
    raw = changed(JOB, "spec/roleArn", LEFT_OUT) | {"name": "?", "priority": "high", "labels": {"a": None}, "x": 1}
    assert problems(raw) == [
        f"x: unknown member, known are {', '.join(EXAMPLES[JOB])}",
        f'name: "?" {NAME_RULE}',
        "spec.roleArn: is required",
        'priority: "high" is not an integer',
        "labels.a: null is not a string",
    ]


def test_a_spec_is_not_longer_than_a_message() -> None:
    raw = changed(PROMPT, "spec/modelConfigurations/0/additionalModelRequestFields/any", "x" * 1_100_000)
    assert problems(raw) == ["spec: has 1100286 bytes as JSON, the maximum is 1048576"]


@pytest.mark.parametrize(
    ("example", "path", "value", "problem"),
    [
        pytest.param(JOB, "jobName", "ok", None, id="allowed"),
        pytest.param(
            JOB,
            "roleArn",
            "arn:aws:iam::123456789012:role/admin",
            'roleArn: the role "arn:aws:iam::123456789012:role/admin" is not allowed; '
            "allowed are arn:aws:iam::*:role/batch*",
            id="role",
        ),
        pytest.param(
            JOB,
            "inputDataConfig/s3InputDataConfig/s3Uri",
            "s3://other/in",
            'inputDataConfig.s3InputDataConfig.s3Uri: the bucket of "s3://other/in" is not allowed; '
            "allowed are bucket, team-*",
            id="bucket",
        ),
        pytest.param(JOB, "outputDataConfig/s3OutputDataConfig/s3Uri", "s3://team-a", None, id="bucket-pattern"),
        pytest.param(
            PERSONALIZE,
            "jobInput/s3DataSource/path",
            "https://bucket.s3.amazonaws.com/users.json",
            'jobInput.s3DataSource.path: the bucket of "https://bucket.s3.amazonaws.com/users.json" is not allowed; '
            "allowed are bucket, team-*",
            id="bucket-behind-https",
        ),
        pytest.param(
            PROMPT,
            "modelConfigurations/0/additionalModelRequestFields/any",
            ["S3://Other/x"],
            'modelConfigurations[0].additionalModelRequestFields.any[0]: the bucket of "S3://Other/x" is not allowed; '
            "allowed are bucket, team-*",
            id="bucket-in-any-json",
        ),
        pytest.param(
            BLUE,
            "samples/0/groundTruthS3Object/s3Uri",
            "s3://bucket2/x",
            'samples[0].groundTruthS3Object.s3Uri: the bucket of "s3://bucket2/x" is not allowed; '
            "allowed are bucket, team-*",
            id="bucket-in-a-list",
        ),
    ],
)
def test_policy(example: str, path: str, value: Any, problem: str | None) -> None:
    policy = replace(POLICY, role_arns=("arn:aws:iam::*:role/batch*",), buckets=("bucket", "team-*"))
    raw = changed(example, f"spec/{path}", value)
    assert problems(raw, policy) == ([f"spec.{problem}"] if problem else [])
    assert problems(raw) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param({}, {"desired": "Completed", "priority": 0, "labels": {}, "group": ""}, id="written-defaults"),
        pytest.param({}, {"scope": "default"}, id="default-scope"),
        pytest.param({}, {"kind": "ModelInvocationJob"}, id="short-kind"),
        pytest.param({"labels": {"a": "1", "b": "2"}}, {"labels": {"b": "2", "a": "1"}}, id="order-of-members"),
        pytest.param({"deadlineSeconds": 60}, {"deadlineSeconds": 60.0}, id="whole-numbers"),
        pytest.param({}, {"retry": {"attempts": 1}}, id="default-retry"),
        pytest.param(
            {"retry": {"reasons": ["Partial", "JobFailed"]}},
            {"retry": {"reasons": ["JobFailed", "Partial", "JobFailed"]}},
            id="order-of-reasons",
        ),
    ],
)
def test_documents_that_mean_the_same_have_one_digest(one: dict[str, Any], other: dict[str, Any]) -> None:
    bare = {name: EXAMPLES[JOB][name] for name in ("kind", "name", "spec")}
    assert accepted(bare | one).digest == accepted(bare | other).digest


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"name": "b"}, id="name"),
        pytest.param({"generation": 8}, id="generation"),
        pytest.param({"priority": 1}, id="priority"),
        pytest.param({"labels": {"run": "daily"}}, id="label"),
        pytest.param({"desired": "Stopped"}, id="desired"),
        pytest.param({"onSpecChange": "replace"}, id="on-spec-change"),
        pytest.param({"retry": {"attempts": 4}}, id="retry"),
        pytest.param({"deadlineSeconds": 1}, id="deadline"),
        pytest.param({"spec": changed(JOB, "spec/timeoutDurationInHours", 25)["spec"]}, id="spec"),
    ],
)
def test_documents_that_differ_have_two_digests(change: dict[str, Any]) -> None:
    assert accepted(EXAMPLES[JOB]).digest != accepted(EXAMPLES[JOB] | change).digest


def test_canonical_json() -> None:
    assert canonical_json({"b": [1.0, -0.0, 1.5], "a": {"é": None, "Z": True}}) == (
        '{"a":{"Z":true,"é":null},"b":[1,0,1.5]}'.encode()
    )
    assert digest_of({"a": 1}) == "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"
    assert spec_digest(None) != spec_digest({})


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53).map(float))
def test_a_whole_number_has_one_form_in_canonical_json(number: float) -> None:
    alone, beside_a_text = canonical_json({"a": number}), canonical_json({"a": number, "b": "1.0"})
    assert beside_a_text == alone.removesuffix(b"}") + b',"b":"1.0"}'
    assert json.loads(alone) == {"a": number}
    if number.is_integer() and abs(number) <= 2**53:
        assert alone == b'{"a":%d}' % int(number)


def test_the_stored_form_is_what_a_user_would_write() -> None:
    assert to_json(accepted({"kind": "ModelInvocationJob", "name": "a", "desired": "Absent", "priority": 0})) == {
        "kind": "bedrock.ModelInvocationJob",
        "name": "a",
        "scope": "default",
        "desired": "Absent",
    }


def test_a_rejection_says_whose_it_is_and_keeps_the_body() -> None:
    outcome = read({"kind": "x" * 500, "name": 7, "scope": "a\x00", "spec": {}})
    assert isinstance(outcome, Rejection)
    assert outcome.identity.kind == "x" * 125 + "..."
    assert outcome.identity.name is None
    assert outcome.identity.scope == "a\\u0000"
    assert json.loads(outcome.body)["name"] == 7
    assert not outcome.body_cut


def test_a_long_body_is_cut_at_a_character() -> None:
    outcome = reject(("é" * 40_000).encode(), "too long")
    assert outcome.body == "é" * 32_768
    assert outcome.body_cut


def test_a_message_is_one_short_line() -> None:
    outcome = read({f"member{number}": 1 for number in range(200)})
    assert isinstance(outcome, Rejection)
    assert len(outcome.problems) == 51
    assert outcome.problems[-1] == "and 153 more problems"
    assert outcome.message.endswith("; and 46 more problems")
    assert outcome.message.isprintable()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)
MEMBERS = st.fixed_dictionaries(
    {},
    optional={
        "kind": st.sampled_from([*KINDS, *EXAMPLES]) | JSON,
        "spec": st.sampled_from([example["spec"] for example in EXAMPLES.values()]) | JSON,
        **dict.fromkeys(("name", "desired", "scope", "generation", "priority", "group", "labels", "retry"), JSON),
        **dict.fromkeys(("partial", "deadlineSeconds", "onUncertain", "onSpecChange", "other"), JSON),
    },
)


@settings(max_examples=300, deadline=None)
@given(raw=JSON | MEMBERS)
def test_any_json_has_an_outcome_at_once(raw: Any) -> None:
    started = time.thread_time()
    outcome = read(raw)
    assert time.thread_time() - started < 0.05
    if isinstance(outcome, Rejection):
        assert outcome.problems
        assert all(problem.isprintable() for problem in outcome.problems)
        outcome.body.encode()
        assert "\x00" not in outcome.body
    else:
        assert from_json(json.loads(json.dumps(to_json(outcome)))) == outcome


def test_a_document_too_deep_to_be_written_is_rejected() -> None:
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"spec": deep}
    outcome = read(deep | {"kind": "ModelInvocationJob"})
    assert isinstance(outcome, Rejection)
    assert outcome.body == "(this value cannot be written as JSON)"
