"""The description and the service agree: a generator of requests made from the one finds no fault in the other."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import anyio
import jsonschema  # type: ignore[import-untyped]  # its types are a package of their own
import pytest

from controller.http.problems import MEDIA_TYPE
from tests.http.rig import batch, serving
from tests.http.sockets import listening

EXAMPLES = "5"
SETTINGS = """\
[[operations]]
include-path = "/v1/shutdown"
enabled = false
"""


async def test_generated_requests_are_answered_as_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
    (tmp_path / "schemathesis.toml").write_text(SETTINGS)
    async with serving(tmp_path) as service, listening(service.app) as port:
        await service.send(*(batch(f"job-{number}") for number in range(5)))
        ran = await anyio.run_process(
            [
                str(Path(sys.executable).with_name("schemathesis")),
                "run",
                f"http://127.0.0.1:{port}/openapi.json",
                "--checks=all",
                # Rules between members (one filter or `all`) and AWS's model of a spec are beyond the description.
                "--exclude-checks=positive_data_acceptance",
                f"--max-examples={EXAMPLES}",
                "--seed=1",
                "--request-timeout=20",
                "--no-color",
            ],
            check=False,
            cwd=tmp_path,
            stderr=subprocess.STDOUT,
        )
    assert ran.returncode == 0, ran.stdout.decode(errors="replace")[-6000:]


Described = Mapping[str, Any]


async def described(path: Path, **settings: Any) -> dict[str, Any]:
    async with serving(path, **settings) as service:
        return service.app.openapi()


def operations(description: Described) -> Iterator[tuple[str, Described]]:
    for path, item in description["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


def contents(operation: Described) -> Iterator[tuple[str, Described]]:
    """Everything that goes over the wire, with where it stands."""
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"request {media_type}", content
    for status, response in operation["responses"].items():
        for media_type, content in response.get("content", {}).items():
            yield f"{status} {media_type}", content


def examples(description: Described, content: Described) -> list[Any]:
    """Examples of a content or of its schema, or of one of the alternatives."""
    if "example" in content:
        return [content["example"]]
    if "examples" in content:
        listed = content["examples"]
        return [each["value"] for each in listed.values()] if isinstance(listed, Mapping) else list(listed)
    schema = content.get("schema", content)
    if "$ref" in schema:
        schema = description["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    found = [schema["example"]] if "example" in schema else list(schema.get("examples", ()))
    return found or [value for part in schema.get("anyOf", ()) for value in examples(description, part)]


async def test_every_operation_says_what_it_does_and_takes(tmp_path: Path) -> None:
    description = await described(tmp_path)
    silent = [name for name, operation in operations(description) if not operation.get("description")]
    silent += [
        f"{name} {parameter['name']}"
        for name, operation in operations(description)
        for parameter in operation.get("parameters", ())
        if not parameter.get("description")
    ]
    assert not silent
    ids = [operation["operationId"] for _, operation in operations(description)]
    assert len(ids) == len(set(ids)) > 20


async def test_every_body_has_examples_which_its_schema_allows(tmp_path: Path) -> None:
    description = await described(tmp_path)
    missing, wrong = [], []
    for name, operation in operations(description):
        for place, content in contents(operation):
            found = examples(description, content)
            # Generators of requests cannot write JSON Lines from an example.
            missing += [f"{name} {place}"] if not found and not place.endswith("ndjson") else []
            schema = {**content.get("schema", {}), "components": description["components"]}
            validator = jsonschema.Draft202012Validator(schema)
            wrong += [f"{name} {place}: {error.message}" for value in found for error in validator.iter_errors(value)]
    assert not missing
    assert not wrong


async def test_every_operation_has_its_errors_as_problems(tmp_path: Path) -> None:
    description = await described(tmp_path, http={"token": "a-token-for-the-test"})
    for name, operation in operations(description):
        errors = {status: answer for status, answer in operation["responses"].items() if not status.startswith("2")}
        assert {"401", "421", "default"} <= set(errors), name
        assert name.startswith("GET") or {"403", "408", "413"} <= set(errors), name
        assert all(list(answer["content"]) == [MEDIA_TYPE] for answer in errors.values()), name
        for status, answer in errors.items():
            example = answer["content"][MEDIA_TYPE]["example"]
            assert status in {str(example["status"]), "default"}
            assert example["detail"]
