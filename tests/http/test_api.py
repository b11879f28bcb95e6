"""The routes, over a real service: statuses, shapes and problems."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from pydantic import TypeAdapter

from controller.errors import NotFoundError
from controller.http import schemas
from controller.model import Phase, Todo
from controller.publish import SinkStatus
from tests.documents import BATCH, PROMPT, document
from tests.http.rig import Service, asking, batch, names, serving, until

ONE = f"/v1/jobs/default/{BATCH}/one"


@asynccontextmanager
async def api(path: Path, **settings: Any) -> AsyncIterator[tuple[Service, httpx.AsyncClient]]:
    async with serving(path, **settings) as service, asking(service) as client:
        yield service, client


def conforms(model: type[Any], answer: httpx.Response) -> dict[str, Any]:
    """The body, which must have the documented shape and no member beyond it."""
    body: dict[str, Any] = answer.json()
    shown = TypeAdapter(model).validate_python(body, strict=False).model_dump(mode="json")
    assert shown == body
    return body


def is_problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    return body


async def test_documents_are_taken_one_by_one_and_in_lists(tmp_path: Path) -> None:
    async with api(tmp_path) as (_, client):
        one = await client.post("/v1/documents?wait=10", json=batch("one"))
        assert one.status_code == 202
        assert conforms(schemas.DocumentResults, one)["items"][0]["answer"] == "accepted"
        both = await client.post("/v1/documents?wait=10", json=[batch("one"), batch("two")])
        assert [item["answer"] for item in both.json()["items"]] == ["unchanged", "accepted"]
        pending = await client.post("/v1/documents", json=batch("three"))
        assert pending.json()["items"][0]["answer"] in {"pending", "accepted"}


YAML = """\
kind: ModelInvocationJob
name: first
desired: Stopped
---
kind: ModelInvocationJob
name: second
desired: Stopped
"""
LINES = b"\n".join(orjson.dumps(batch(name)) for name in ("first", "second"))


@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        pytest.param("application/yaml", YAML.encode(), id="yaml"),
        pytest.param("text/yaml; charset=utf-8", YAML.encode(), id="yaml with a parameter"),
        pytest.param("application/x-ndjson", LINES, id="json lines"),
        pytest.param("application/json", b"[" + LINES.replace(b"\n", b",") + b"]", id="json"),
        pytest.param("", b"[" + LINES.replace(b"\n", b",") + b"]", id="no type"),
    ],
)
async def test_a_body_is_read_by_its_media_type(tmp_path: Path, media_type: str, body: bytes) -> None:
    async with api(tmp_path) as (_, client):
        headers = {"content-type": media_type} if media_type else {}
        answer = await client.post("/v1/documents?wait=10", content=body, headers=headers)
        assert answer.status_code == 202
        assert [item["job"]["name"] for item in answer.json()["items"]] == ["first", "second"]
        assert {item["answer"] for item in answer.json()["items"]} == {"accepted"}


async def test_an_unknown_media_type_is_refused(tmp_path: Path) -> None:
    async with api(tmp_path) as (_, client):
        headers = {"content-type": "text/plain"}
        is_problem(await client.post("/v1/documents", content=b"{}", headers=headers), 415)


async def test_an_invalid_document_is_422_and_its_valid_neighbours_are_taken(tmp_path: Path) -> None:
    async with api(tmp_path) as (_, client):
        answer = await client.post(
            "/v1/documents?wait=10", json=[batch("good"), {"kind": BATCH, "name": "bad"}, batch("fine")]
        )
        body = is_problem(answer, 422)
        assert [item["answer"] for item in body["items"]] == ["accepted", "rejected", "accepted"]
        assert body["items"][1]["problems"] == ["spec: missing"] or body["items"][1]["problems"]
        assert "1 of 3 documents" in body["detail"]
        assert (await client.get(f"/v1/jobs/default/{BATCH}/good")).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="cut off"),
        pytest.param(b"null", id="null"),
        pytest.param(b'[1, "a", null]', id="a list of junk"),
        pytest.param(b"[" * 5000, id="deep"),
        pytest.param(b"\xff\xfe", id="not UTF-8"),
        pytest.param(b'{"kind": "\\ud800"}', id="lone surrogate"),
        pytest.param(b'{"generation": 1e400}', id="huge number"),
        pytest.param(b'{"generation": NaN}', id="NaN"),
    ],
)
async def test_junk_is_422(tmp_path: Path, body: bytes) -> None:
    async with api(tmp_path) as (_, client):
        problem = is_problem(await client.post("/v1/documents", content=body), 422)
        assert all(item["answer"] == "rejected" and item["problems"] for item in problem["items"])


async def test_a_dry_run_answers_200_and_changes_nothing(tmp_path: Path) -> None:
    async with api(tmp_path) as (_, client):
        answer = await client.post("/v1/documents?dryRun=true", json=[batch("one")])
        assert answer.status_code == 200
        assert conforms(schemas.DocumentResults, answer)["dryRun"] is True
        is_problem(await client.get(ONE), 404)
        assert is_problem(await client.post("/v1/documents?dryRun=true", json={}), 422)["dryRun"] is True


async def test_a_job_has_the_promised_shape_whatever_its_phase(tmp_path: Path) -> None:
    async with api(tmp_path) as (service, client):
        await service.send(batch("one", labels={"run": "a"}, group="g", priority=3, generation=4))
        job = conforms(schemas.JobView, await client.get(ONE))
        assert job["spec"] == batch("one")["spec"]
        assert job["queue"]["position"] == 1
        assert (job["labels"], job["group"], job["priority"], job["generation"]) == ({"run": "a"}, "g", 3, 4)
        short = await client.get("/v1/jobs/default/ModelInvocationJob/one")
        assert short.json()["uid"] == job["uid"]
        await service.move("one", Phase.RUNNING, remote_status="InProgress", started_at=1.0)
        running = conforms(schemas.JobView, await client.get(ONE))
        assert running["queue"] == {"position": None, "etaSeconds": None}
        assert running["remoteStatus"] == "InProgress"
        assert running["attempts"][0]["token"] == f"{job['uid']}-1"


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(f"/v1/jobs/default/{BATCH}/none", id="no such job"),
        pytest.param("/v1/jobs/default/Nonsense/one", id="no such kind"),
        pytest.param(f"/v1/jobs/default/{BATCH}/..%00", id="a name that cannot be"),
        pytest.param(f"/v1/jobs/d%20f/{BATCH}/one", id="a scope that cannot be"),
        pytest.param("/v1/nothing", id="no such path"),
    ],
)
async def test_what_is_not_there_is_404(tmp_path: Path, path: str) -> None:
    async with api(tmp_path) as (_, client):
        is_problem(await client.get(path), 404)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        pytest.param("", ["p", "failed", "c", "b", "a"], id="all"),
        pytest.param("kind=ModelInvocationJob", ["failed", "c", "b", "a"], id="short kind"),
        pytest.param(f"kind={PROMPT}&scope=default", ["p"], id="full kind and scope"),
        pytest.param("scope=elsewhere", [], id="other scope"),
        pytest.param("label=run%3D1", ["b", "a"], id="label"),
        pytest.param("label=run%3D1&label=team%3Dx", ["b"], id="both labels"),
        pytest.param("group=g", ["c"], id="group"),
        pytest.param("text=ai", ["failed"], id="text"),
        pytest.param("name=a", ["a"], id="name"),
        pytest.param("phase=Failed", ["failed"], id="phase"),
        pytest.param("phase=Failed&phase=Pending&kind=ModelInvocationJob", ["failed", "c", "b", "a"], id="phases"),
        pytest.param("reason=JobFailed", ["failed"], id="reason"),
        pytest.param("reason=Queued&kind=ModelInvocationJob", ["c", "b", "a"], id="derived reason"),
        pytest.param("reason=Paused", [], id="another derived reason"),
    ],
)
async def test_filters(tmp_path: Path, query: str, found: list[str]) -> None:
    async with api(tmp_path) as (service, client):
        await service.send(
            batch("a", labels={"run": "1"}),
            batch("b", labels={"run": "1", "team": "x"}),
            batch("c", group="g"),
            batch("failed"),
        )
        await service.send(document(PROMPT, "p"))
        await service.move("failed", Phase.FAILED, reason="JobFailed", ended_at=1.0, todo=None)
        page = conforms(schemas.JobPage, await client.get(f"/v1/jobs?{query}"))
        assert sorted(names(page["items"])) == sorted(found)
        assert page["next"] is None


async def test_pages_follow_each_other(tmp_path: Path) -> None:
    async with api(tmp_path) as (service, client):
        await service.send(*(batch(f"job-{number}") for number in range(5)))
        first = (await client.get("/v1/jobs?limit=3")).json()
        second = (await client.get("/v1/jobs", params={"limit": 3, "after": first["next"]})).json()
        assert names(first["items"] + second["items"]) == [f"job-{number}" for number in (4, 3, 2, 1, 0)]
        assert second["next"] is None


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("phase=Nonsense", id="phase"),
        pytest.param("reason=Nonsense", id="reason"),
        pytest.param("label=nothing", id="label without a value"),
        pytest.param("kind=Nonsense", id="kind"),
        pytest.param("limit=0", id="limit too small"),
        pytest.param("limit=1001", id="limit too large"),
        pytest.param("after=abc", id="cursor"),
        pytest.param("text=%00", id="NUL"),
    ],
)
async def test_a_wrong_filter_is_422_and_says_which(tmp_path: Path, query: str) -> None:
    async with api(tmp_path) as (_, client):
        body = is_problem(await client.get(f"/v1/jobs?{query}"), 422)
        assert query.partition("=")[0] in body["detail"]


async def test_commands_answer_with_their_verdict(tmp_path: Path) -> None:
    async with api(tmp_path) as (service, client):
        await service.send(batch("one"))
        stopped = await client.post(f"{ONE}:stop")
        assert stopped.status_code == 200
        assert conforms(schemas.CommandResult, stopped)["message"] == "stopping"
        assert (await client.post(f"{ONE}:stop", json={})).json()["answer"] == "unchanged"
        assert (await client.post(f"{ONE}:retry")).json()["answer"] == "accepted"
        conflict = is_problem(await client.post(f"{ONE}:retry"), 409)
        assert conflict["answer"] == "rejected"
        assert "cannot be retried" in conflict["detail"]
        deleted = await client.post("/v1/jobs/default/ModelInvocationJob/one:delete")
        assert deleted.json()["answer"] == "accepted"
        assert (await client.get(ONE)).json()["phase"] == "Deleted"
        is_problem(await client.post(f"/v1/jobs/default/{BATCH}/none:stop"), 404)
        is_problem(await client.post(f"{ONE}:explode"), 405)
        is_problem(await client.post(f"{ONE}:stop", json={"force": True}), 422)


async def test_resolve_takes_exactly_one_of_three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
    async with api(tmp_path) as (service, client):
        await service.send(batch("one"))
        is_problem(await client.post(f"{ONE}:resolve", json={}), 422)
        is_problem(await client.post(f"{ONE}:resolve", json={"retry": True, "fail": True}), 422)
        is_problem(await client.post(f"{ONE}:resolve", json={"retry": True}), 409)
        await service.move("one", Phase.UNCERTAIN)
        other = is_problem(await client.post(f"{ONE}:resolve", json={"remoteId": "arn:none"}), 409)
        assert "arn:none is not the ARN of a ModelInvocationJob" in other["detail"]
        arn = "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/abcdefghijkl"
        unknown = is_problem(await client.post(f"{ONE}:resolve", json={"remoteId": arn}), 409)
        assert f"AWS does not show {arn}" in unknown["detail"]
        assert (await client.post(f"{ONE}:resolve", json={"retry": True})).json()["message"] == "runs again"


async def test_bulk_commands(tmp_path: Path) -> None:
    async with api(tmp_path) as (service, client):
        await service.send(*(batch(f"job-{number}", labels={"run": str(number % 2)}) for number in range(6)))
        is_problem(await client.post("/v1/jobs:stop"), 422)
        is_problem(await client.post("/v1/jobs:stop", json={}), 422)
        looked = conforms(schemas.BulkResult, await client.post("/v1/jobs:stop?label=run%3D1&dryRun=true"))
        assert (looked["counts"]["accepted"], looked["dryRun"]) == (3, True)
        done = conforms(schemas.BulkResult, await client.post("/v1/jobs:stop", json={"label": {"run": "1"}}))
        assert (done["counts"]["accepted"], done["dryRun"], done["next"]) == (3, False, None)
        part = (await client.post("/v1/jobs:delete", json={"all": True, "limit": 4})).json()
        rest = (await client.post("/v1/jobs:delete", json={"all": True, "after": part["next"]})).json()
        assert (len(part["items"]), len(rest["items"])) == (4, 2)
        is_problem(await client.post("/v1/jobs:resolve", json={"all": True}), 422)
        is_problem(await client.post("/v1/jobs:stop", json={"all": True, "fail": True}), 422)
        none = (await client.post("/v1/jobs:resolve", json={"phase": ["Uncertain"], "retry": True})).json()
        assert none["items"] == []


async def test_lanes_by_plain_and_encoded_name(tmp_path: Path) -> None:
    async with api(tmp_path) as (_, client):
        page = conforms(schemas.LanePage, await client.get("/v1/lanes"))
        assert len(page["items"]) == 4
        paused = await client.post(f"/v1/lanes/default/{BATCH}:pause", json={"reason": "why not"})
        assert conforms(schemas.LaneResult, paused)["answer"] == "accepted"
        again = await client.post(f"/v1/lanes/default%2F{BATCH}:pause")
        assert again.json()["answer"] == "unchanged"
        lane = next(lane for lane in (await client.get("/v1/lanes")).json()["items"] if lane["kind"] == BATCH)
        assert (lane["paused"], lane["pauseReason"]) == (True, "why not")
        everywhere = conforms(schemas.LaneResults, await client.post("/v1/lanes:resume"))
        assert sorted(item["answer"] for item in everywhere["items"]) == ["accepted"] + ["unchanged"] * 3
        is_problem(await client.post("/v1/lanes/nothing:pause"), 404)


async def test_summary_events_and_dead_letters_have_the_promised_shape(tmp_path: Path) -> None:
    async with api(tmp_path) as (service, client):
        await service.send(batch("one"), {"kind": "nonsense"})

        async def kept() -> bool:
            return bool((await client.get("/v1/deadletters")).json()["items"])

        await until(kept)
        assert conforms(schemas.Summary, await client.get("/v1/summary"))["phases"]["Pending"] == 1
        events = conforms(schemas.EventPage, await client.get("/v1/events"))
        assert {event["type"] for event in events["items"]} == {"ferryman.job.accepted", "ferryman.document.rejected"}
        after = await client.get("/v1/events", params={"after": events["next"]})
        assert after.json()["items"] == []
        is_problem(await client.get("/v1/events?after=nonsense!"), 422)
        latest = await client.get("/v1/events", params={"subject": f"default/{BATCH}/one", "latest": "true"})
        assert len(latest.json()["items"]) == 1
        is_problem(await client.get("/v1/events?latest=true"), 422)
        letters = conforms(schemas.DeadLetterPage, await client.get("/v1/deadletters"))
        ids = [letter["id"] for letter in letters["items"]]
        requeued = await client.post("/v1/deadletters:requeue", json={"ids": ids})
        assert conforms(schemas.RequeueResults, requeued)["items"][0]["answer"] == "rejected"
        is_problem(await client.post("/v1/deadletters:requeue", json={"ids": []}), 422)


async def test_a_presigned_url_in_a_rejected_document_is_not_shown(tmp_path: Path) -> None:
    secret = "https://bucket.s3.amazonaws.com/key?X-Amz-Signature=canary"
    async with api(tmp_path) as (_, client):
        answer = await client.post("/v1/documents", json={"kind": BATCH, "name": "x", "spec": {"modelId": secret}})

        async def kept() -> bool:
            return bool((await client.get("/v1/deadletters")).json()["items"])

        await until(kept)
        shown = answer.text + (await client.get("/v1/deadletters")).text + (await client.get("/v1/events")).text
        assert "canary" not in shown


async def test_a_waiting_job_shows_why_and_for_how_long(tmp_path: Path) -> None:
    async with api(tmp_path) as (service, client):
        await service.send(batch("one"))
        await service.move("one", Phase.PENDING, reason="Backoff", message="AWS is busy", todo=Todo.DELAY, due_at=9e9)
        job = (await client.get(ONE)).json()
        assert (job["reason"], job["message"], job["queue"]["position"]) == ("Backoff", "AWS is busy", None)


async def test_a_disabled_sink_is_shown_and_let_go_on(tmp_path: Path) -> None:
    def resume(name: str) -> bool:
        if name != "webhook:x":
            raise NotFoundError(f"{name!r} is no sink")
        return bool(disabled.pop())

    disabled = [False, True]
    async with api(tmp_path) as (service, client):
        service.control._sinks = lambda: [SinkStatus("webhook:x", 7, 1.0, 0, 0, 0, 0, "410 Gone", disabled=True)]
        service.control._resume_sink = resume
        (shown,) = conforms(schemas.Summary, await client.get("/v1/summary"))["sinks"]
        assert (shown["disabled"], shown["problem"], shown["depth"]) == (True, "410 Gone", 7)
        for answer_ in ("accepted", "unchanged"):
            said = await client.post("/v1/sinks:resume", json={"sink": "webhook:x"})
            assert conforms(schemas.SinkResult, said)["answer"] == answer_
        is_problem(await client.post("/v1/sinks:resume", json={"sink": "log"}), 404)
        is_problem(await client.post("/v1/sinks:resume", json={}), 422)


async def test_shutdown(tmp_path: Path) -> None:
    async with api(tmp_path) as (service, client):
        answer = await client.post("/v1/shutdown")
        assert answer.status_code == 202
        assert service.state.stopped.is_set()
        assert (await client.get("/v1/summary")).json()["stopping"] is True


async def test_a_full_inbox_is_503_and_says_when_to_come_back(tmp_path: Path) -> None:
    async with serving(tmp_path, orders=False, queue={"inbox_max": 1}) as service, asking(service) as client:
        assert (await client.post("/v1/documents", json=batch("a"))).status_code == 202
        answer = await client.post("/v1/documents", json=batch("b"))
        assert "inbox is full" in is_problem(answer, 503)["detail"]
        assert int(answer.headers["retry-after"]) > 0


async def test_the_description_is_complete(tmp_path: Path) -> None:
    async with api(tmp_path) as (_, client):
        described = (await client.get("/openapi.json")).json()
        paths = {(method.upper(), path) for path, methods in described["paths"].items() for method in methods}
        job = "/v1/jobs/{scope}/{kind}/{name}"
        assert paths >= {
            ("POST", "/v1/documents"),
            ("GET", "/v1/schema"),
            ("GET", "/v1/jobs"),
            ("GET", job),
            *(("POST", f"{job}:{verb}") for verb in ("stop", "delete", "retry", "resolve")),
            *(("POST", f"/v1/jobs:{verb}") for verb in ("stop", "delete", "retry", "resolve")),
            *(("GET", f"/v1/{noun}") for noun in ("summary", "events", "lanes", "deadletters")),
            ("POST", "/v1/deadletters:requeue"),
            *(("POST", f"/v1/lanes:{verb}") for verb in ("pause", "resume")),
            *(("POST", "/v1/lanes/{lane}:" + verb) for verb in ("pause", "resume")),
            ("POST", "/v1/shutdown"),
            *(("GET", path) for path in ("/livez", "/readyz", "/startupz", "/metrics")),
        }
        problem = {"$ref": "#/components/schemas/Problem"}
        operations = [operation for methods in described["paths"].values() for operation in methods.values()]
        others = [operation["responses"]["default"]["content"] for operation in operations]
        assert all(content["application/problem+json"]["schema"] == problem for content in others)
        assert all(operation["summary"] for operation in operations)
        assert len({operation["operationId"] for operation in operations}) == len(operations)
        assert "HTTPValidationError" not in described["components"]["schemas"]


async def test_the_schema_of_documents_is_served(tmp_path: Path) -> None:
    async with api(tmp_path) as (_, client):
        answer = await client.get("/v1/schema")
        assert answer.headers["content-type"] == "application/schema+json"
        assert "$defs" in answer.json()
