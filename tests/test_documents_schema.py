"""The JSON Schema of documents, as other programs read it."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # its types are a package of their own
import pytest
from playwright._impl._driver import compute_driver_executable
from ruamel.yaml import YAML

from controller.documents import json_schema, json_schema_of_all
from controller.documents.schema_patterns import portable
from controller.kinds import KINDS
from controller.validation.patterns import compile_pattern
from tests.documents import BATCH, PROMPT, RECOMMENDATION, document, spec_of
from tests.documents import KINDS as NAMES

SCHEMA = json_schema_of_all(KINDS)
EXAMPLES = sorted((Path(__file__).parent.parent / "config" / "examples").glob("*.yaml"))
JOB_NAME = r"[a-zA-Z0-9]{1,63}(-*[a-zA-Z0-9\+\-\.]){0,63}"
TAG = r"^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$"


def problems(value: Any, schema: Mapping[str, Any] = SCHEMA) -> list[str]:
    """Where the value is wrong, by an engine of another make."""
    found = jsonschema.Draft202012Validator(schema).iter_errors(value)
    return sorted(
        {".".join(map(str, leaf.absolute_path)) for error in found for leaf in (error, *(error.context or ()))}
    )


def patterns(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        if isinstance(schema.get("pattern"), str):
            yield schema["pattern"]
        schema = list(schema.values())
    if isinstance(schema, list):
        for value in schema:
            yield from patterns(value)


def test_the_schemas_are_schemas() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for kind in KINDS.values():
        jsonschema.Draft202012Validator.check_schema(json_schema(kind))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_shipped_examples_are_valid(path: Path) -> None:
    documents = list(YAML(typ="safe", pure=True).load_all(path))
    assert documents
    assert [problems(each) for each in documents] == [[]] * len(documents)


@pytest.mark.parametrize("kind", NAMES)
def test_documents_of_every_kind_are_valid(kind: str) -> None:
    assert problems(document(kind, "job", labels={"run": "nightly"}, retry={"attempts": 3})) == []
    assert problems(document(kind, "job"), json_schema(KINDS[kind])) == []


@pytest.mark.parametrize(
    ("kind", "members", "where"),
    [
        pytest.param(BATCH, {"nmae": 1}, "", id="unknown member"),
        pytest.param(BATCH, {"name": "a b"}, "name", id="name"),
        pytest.param(BATCH, {"priority": "high"}, "priority", id="type"),
        pytest.param(BATCH, {"desired": "completed"}, "desired", id="enum"),
        pytest.param(BATCH, {"spec": spec_of(PROMPT)}, "spec", id="another kind's spec"),
        pytest.param(
            BATCH,
            {"spec": {**spec_of(BATCH), "timeoutDurationInHours": 12}},
            "spec.timeoutDurationInHours",
            id="minimum",
        ),
        pytest.param(BATCH, {"spec": {**spec_of(BATCH), "jobName": "-nightly"}}, "spec.jobName", id="pattern"),
        pytest.param(BATCH, {"spec": {**spec_of(BATCH), "clientRequestToken": "t"}}, "spec", id="token"),
        pytest.param(
            RECOMMENDATION,
            {"spec": {**spec_of(RECOMMENDATION), "tags": [{"tagKey": "k", "tagValue": "no!"}]}},
            "spec.tags.0.tagValue",
            id="tag",
        ),
        pytest.param("Nonsense", {"spec": {}}, "kind", id="kind"),
    ],
)
def test_wrong_documents_are_told_where(kind: str, members: dict[str, Any], where: str) -> None:
    right = document(kind, "job") if kind in KINDS else {"kind": kind, "name": "job"}
    assert where in problems({**right, **members})


def test_tags_beyond_ascii_stay_valid() -> None:
    spec = {**spec_of(RECOMMENDATION), "tags": [{"tagKey": "Größe", "tagValue": "数 \U0001d538"}]}
    assert problems(document(RECOMMENDATION, "job", spec=spec)) == []


@pytest.mark.parametrize("text", ["a", "a-", "nightly-1.0+x", "-a", "", "a b", "a--.-", "ä", "a" * 63])
def test_a_portable_pattern_allows_what_the_modelled_one_allows(text: str) -> None:
    """Within the length that the model bounds besides, just the same."""
    for modelled in (JOB_NAME, TAG):
        ours, theirs = compile_pattern(portable(modelled) or ""), compile_pattern(modelled)
        assert ours is not None
        assert theirs is not None
        assert ours(text) == theirs(text)


def test_what_is_not_understood_is_left_out() -> None:
    assert portable(r"\p{L}+") is None
    assert portable("(") is None


def test_patterns_work_in_the_engine_of_editors() -> None:
    """With and without the flag for Unicode, and without exponential time."""
    script = """
        const [patterns, hard] = JSON.parse(require("fs").readFileSync(0, "utf8"));
        for (const pattern of patterns) for (const flag of ["u", ""]) {
            const compiled = new RegExp(pattern, flag);
            for (const text of hard) compiled.test(text);
        }
        console.log(patterns.length);
    """
    found = sorted(set(patterns(SCHEMA)))
    hard = [f"{start}{middle * 60}!" for start in ("a", "arn:aws:", "s3://") for middle in ("-", "a", ".", "a-", "/")]
    node, _ = compute_driver_executable()
    if not Path(node).exists():
        pytest.skip("the browser's driver brings no engine here")
    ended = subprocess.run(
        [node, "-e", script], input=json.dumps([found, hard]), capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) == len(found) > 20
