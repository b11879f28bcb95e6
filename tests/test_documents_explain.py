"""What is said about a document agrees with what validation does."""

import copy
from typing import Any

import jsonschema_rs
import pytest

from controller.documents import (
    Explanation,
    Policy,
    Rejection,
    explain,
    json_schema,
    json_schema_of_all,
    read_document,
    split_kind_and_path,
)
from controller.documents.plain_text import first_sentence, plain_text
from controller.errors import NotFoundError
from controller.kinds import KINDS
from tests.test_documents import EXAMPLES, LEFT_OUT, changed


def explained(text: str) -> Explanation:
    return explain(*split_kind_and_path(text, KINDS))


@pytest.mark.parametrize(
    ("text", "path", "type_", "required", "constraints"),
    [
        pytest.param("ModelInvocationJob", "", "object", True, (), id="document"),
        pytest.param(
            "bedrock.ModelInvocationJob.name",
            "name",
            "string",
            True,
            ("matches ^[A-Za-z0-9][A-Za-z0-9-]{0,62}$",),
            id="name",
        ),
        pytest.param(
            "ModelInvocationJob.priority",
            "priority",
            "integer",
            False,
            ("at least -1000", "at most 1000", "0 by default"),
            id="priority",
        ),
        pytest.param(
            "ModelInvocationJob.retry.attempts",
            "retry.attempts",
            "integer",
            False,
            ("at least 1", "at most 100", "1 by default"),
            id="retry",
        ),
        pytest.param(
            "ModelInvocationJob.partial",
            "partial",
            "string",
            False,
            ("one of success, failure", "'success' by default"),
            id="choice",
        ),
        pytest.param("ModelInvocationJob.spec", "spec", "object", True, (), id="spec"),
        pytest.param(
            "ModelInvocationJob.spec.inputDataConfig",
            "spec.inputDataConfig",
            "object",
            True,
            ("exactly one member",),
            id="union",
        ),
        pytest.param(
            "ModelInvocationJob.spec.timeoutDurationInHours",
            "spec.timeoutDurationInHours",
            "integer",
            False,
            ("24..168",),
            id="range",
        ),
        pytest.param(
            "ModelInvocationJob.spec.jobName",
            "spec.jobName",
            "string",
            False,
            (
                "1..63 characters",
                r"matches [a-zA-Z0-9]{1,63}(-*[a-zA-Z0-9\+\-\.]){0,63}",
                "only a prefix: Ferryman adds a suffix that is unique for each attempt",
            ),
            id="job-name",
        ),
        pytest.param(
            "ModelInvocationJob.spec.tags[0].key",
            "spec.tags.key",
            "string",
            True,
            ("1..128 characters", r"matches [a-zA-Z0-9\s._:/=+@-]*"),
            id="item",
        ),
        pytest.param(
            "BlueprintOptimization.spec.tags",
            "spec.tags",
            "list of object",
            False,
            ("0..200 items", "1 item less than that, for a tag that Ferryman adds"),
            id="tags",
        ),
        pytest.param(
            "BatchInferenceJob.spec.batchInferenceJobConfig.rankingInfluence",
            "spec.batchInferenceJobConfig.rankingInfluence",
            "map of number",
            False,
            ("keys: one of POPULARITY, FRESHNESS",),
            id="map",
        ),
        pytest.param(
            "BatchInferenceJob.spec.batchInferenceJobConfig.rankingInfluence.FRESHNESS",
            "spec.batchInferenceJobConfig.rankingInfluence.FRESHNESS",
            "number",
            False,
            ("0..1",),
            id="map-value",
        ),
        pytest.param(
            "AdvancedPromptOptimizationJob.spec.modelConfigurations.additionalModelRequestFields",
            "spec.modelConfigurations.additionalModelRequestFields",
            "map of any JSON",
            False,
            ("keys: 1..100 characters",),
            id="any-json",
        ),
    ],
)
def test_explain(text: str, path: str, type_: str, required: bool, constraints: tuple[str, ...]) -> None:
    found = explained(text)
    assert (found.path, found.type, found.required, found.constraints) == (path, type_, required, constraints)
    assert found.kind in KINDS


def test_members_are_one_level_down_and_the_users_alone() -> None:
    members = {member.name: member for member in explained("ModelInvocationJob.spec").members}
    assert "clientRequestToken" not in members
    assert (members["roleArn"].type, members["roleArn"].required) == ("string", True)
    assert not members["jobName"].required
    assert members["tags"].type == "list of object"
    assert [member.name for member in explained("ModelInvocationJob.retry").members] == [
        "attempts",
        "reasons",
        "backoffSeconds",
    ]


def test_the_models_own_documentation_is_shown_as_text() -> None:
    found = explained("BatchInferenceJob.spec.tags.tagKey")
    assert found.documentation.startswith("One part of a key-value pair that makes up a tag.")
    assert "<" not in found.documentation


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("Foo.spec", '"Foo.spec" names no kind; known are', id="kind"),
        pytest.param("ModelInvocationJob.spec.jobname", 'has no "spec.jobname": did you mean jobName?', id="near"),
        pytest.param("ModelInvocationJob.spec.clientRequestToken", 'has no "spec.clientRequestToken"', id="token"),
        pytest.param("ModelInvocationJob.name.x", 'has no "name.x": nothing stands below it', id="below-a-scalar"),
        pytest.param(
            "ModelInvocationJob.spec.modelId.x", 'has no "spec.modelId.x": nothing stands', id="below-a-string"
        ),
        pytest.param("ModelInvocationJob.labls", 'has no "labls": did you mean labels?', id="envelope"),
    ],
)
def test_what_cannot_be_explained(text: str, message: str) -> None:
    with pytest.raises(NotFoundError) as raised:
        explained(text)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("html", "text"),
    [
        pytest.param("<p>One <b>two</b>\n  three.</p>", "One two three.", id="running"),
        pytest.param("<p>A</p><ul> <li> <p>b</p> </li> <li>c</li> </ul>", "A\n- b\n- c", id="list"),
        pytest.param("a &lt;b&gt; &amp; c", "a <b> & c", id="references"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_plain_text(html: str, text: str) -> None:
    assert plain_text(html) == text


def test_first_sentence() -> None:
    assert first_sentence("One v1.0 thing. And more.\nMore.") == "One v1.0 thing."


def schema_of(example: str) -> jsonschema_rs.Draft202012Validator:
    kinds = [kind for kind in KINDS.values() if EXAMPLES[example]["kind"] in {kind.name, kind.short}]
    return jsonschema_rs.Draft202012Validator(json_schema(kinds[0]))


ALL = jsonschema_rs.Draft202012Validator(json_schema_of_all(KINDS))
POLICY = Policy(scopes={"default": frozenset()})


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_are_valid_by_their_schemas(example: str) -> None:
    assert list(schema_of(example).iter_errors(EXAMPLES[example])) == []
    assert list(ALL.iter_errors(EXAMPLES[example])) == []
    without_spec = {**EXAMPLES[example], "desired": "Absent"}
    del without_spec["spec"]
    assert ALL.is_valid(without_spec)


def test_a_schema_for_all_tells_kinds_apart() -> None:
    mixed = copy.deepcopy(EXAMPLES["ModelInvocationJob"])
    mixed["kind"] = "personalize.BatchInferenceJob"
    assert not ALL.is_valid(mixed)
    assert not ALL.is_valid({"kind": "Foo", "name": "a", "desired": "Absent"})


@pytest.mark.parametrize(
    ("example", "path", "value"),
    [
        ("ModelInvocationJob", "name", "a_b"),
        ("ModelInvocationJob", "spec", LEFT_OUT),
        ("ModelInvocationJob", "other", 1),
        ("ModelInvocationJob", "priority", 1001),
        ("ModelInvocationJob", "labels", {"a": 1}),
        ("ModelInvocationJob", "labels", {"a=b": "1"}),
        ("ModelInvocationJob", "retry", {"reasons": ["Lost"]}),
        ("ModelInvocationJob", "retry", {"attemps": 1}),
        ("ModelInvocationJob", "deadlineSeconds", 0),
        ("ModelInvocationJob", "spec/roleArn", LEFT_OUT),
        ("ModelInvocationJob", "spec/roleArn", "role"),
        ("ModelInvocationJob", "spec/clientRequestToken", "t"),
        ("ModelInvocationJob", "spec/jobName", "-"),
        ("ModelInvocationJob", "spec/inputDataConfig", {}),
        ("ModelInvocationJob", "spec/timeoutDurationInHours", 12),
        ("ModelInvocationJob", "spec/modelInvocationType", "x"),
        ("BlueprintOptimization", "spec/tags", [{"key": "k", "value": "v"}] * 200),
        ("BlueprintOptimization", "spec/samples/0/assetS3Object/s3Uri", "bucket"),
        ("BatchInferenceJob", "spec/batchInferenceJobConfig/rankingInfluence", {"FAME": 1}),
        ("BatchInferenceJob", "spec/batchInferenceJobConfig/rankingInfluence", {"FRESHNESS": 2}),
        ("BatchInferenceJob", "spec/tags/0/tagKey", "a!"),
    ],
)
def test_what_validation_refuses_is_invalid_by_the_schema(example: str, path: str, value: Any) -> None:
    document = changed(example, path, value)
    assert isinstance(read_document(document, KINDS, POLICY), Rejection)
    assert not schema_of(example).is_valid(document)
    assert not ALL.is_valid(document)
