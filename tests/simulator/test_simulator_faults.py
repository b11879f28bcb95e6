"""Every fault, as a client sees it, and what the ledger says about it."""

import contextlib
import socket
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import botocore.exceptions
import httpx
import pytest
from botocore.exceptions import ClientError

from controller.simulator import (
    Delay,
    DropConnection,
    EmptyPage,
    ExpiredPageToken,
    Fault,
    Hang,
    LoseReply,
    Missed,
    Refuse,
    RefuseCredentials,
    RepeatedPageToken,
    Reshape,
    SeenTwice,
    StaleList,
    Throttle,
)
from tests.simulator.simulated import BATCH, BLUEPRINT, NOON, PROMPTS, RECOMMENDATIONS, Rig, refusal, served

CREATE = "CreateModelInvocationJob"
LIST = "ListModelInvocationJobs"


def made(rig: Rig) -> int:
    return len(rig.simulator.ledger.jobs())


@pytest.mark.parametrize(
    ("effect", "expected"),
    [
        (Refuse(code="AccessDeniedException"), ("AccessDeniedException", 403)),
        (Refuse(code="InternalServerException"), ("InternalServerException", 500)),
        (Refuse(code="ServiceUnavailableException"), ("ServiceUnavailableException", 503)),
        (Refuse(code="ConflictException", status=409), ("ConflictException", 409)),
        (Throttle(), ("ThrottlingException", 429)),
        (RefuseCredentials(), ("ExpiredTokenException", 403)),
        (RefuseCredentials(reason="unknown_key"), ("UnrecognizedClientException", 403)),
        (RefuseCredentials(reason="bad_signature"), ("InvalidSignatureException", 403)),
    ],
)
def test_refusals_happen_before_the_effect(effect: Any, expected: tuple[str, int]) -> None:
    with served() as rig:
        rig.fault(effect, operation=CREATE)
        with pytest.raises(ClientError) as raised:
            rig.create()
        assert refusal(raised.value) == expected
        assert made(rig) == 0
        rig.create()
        assert rig.simulator.ledger.calls[CREATE] == {expected[0]: 1, "ok": 1}


@pytest.mark.parametrize(
    ("then", "error"),
    [
        ("reset", botocore.exceptions.ConnectionClosedError),
        ("close", botocore.exceptions.ConnectionClosedError),
        (500, ClientError),
        (502, ClientError),
        (503, ClientError),
        (504, ClientError),
    ],
)
def test_a_lost_reply_leaves_the_job_behind(then: Any, error: type[Exception]) -> None:
    with served() as rig:
        rig.fault(LoseReply(then=then), operation=CREATE)
        with pytest.raises(error) as raised:
            rig.create()
        if isinstance(raised.value, ClientError):
            assert refusal(raised.value) == (str(then), then)
        assert made(rig) == 1
        assert rig.simulator.ledger.calls[CREATE] == {f"lost:{then}": 1}
        assert rig.create() == rig.simulator.ledger.jobs()[0].arn


def test_a_truncated_reply_holds_no_arn() -> None:
    with served() as rig:
        rig.fault(LoseReply(then="truncate"), operation=CREATE)
        # boto3 takes half a JSON document for an answer without members; other SDKs raise.
        answer = rig.bedrock.create_model_invocation_job(jobName="job", **BATCH)
        assert "jobArn" not in answer
        assert made(rig) == 1


def test_a_dropped_connection_has_no_effect() -> None:
    with served() as rig:
        rig.fault(DropConnection(), operation=CREATE)
        with pytest.raises(botocore.exceptions.ConnectionClosedError):
            rig.create()
        assert made(rig) == 0


def _raw_create(rig: Rig) -> bytes:
    """The bytes of one create, sent over a plain socket; what came back until the end, or the reset."""
    host, port = urlsplit(rig.url).netloc.split(":")
    body = httpx.Request("POST", rig.url, json={**BATCH, "jobName": "raw"}).content
    head = (
        f"POST /model-invocation-job HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n"
        "Authorization: AWS4-HMAC-SHA256 Credential=AK/20261121/us-west-2/bedrock/aws4_request, Signature=0\r\n\r\n"
    )
    with closing(socket.create_connection((host, int(port)), timeout=5)) as connection:
        connection.sendall(head.encode() + body)
        received = b""
        while part := connection.recv(65536):
            received += part
        return received


def test_reset_close_and_truncation_on_the_wire() -> None:
    with served() as rig:
        rig.fault(LoseReply(then="reset"))
        with pytest.raises(ConnectionResetError):
            _raw_create(rig)
        rig.fault(LoseReply(then="close"))
        assert _raw_create(rig) == b""
        rig.fault(LoseReply(then="truncate"))
        head, body = _raw_create(rig).split(b"\r\n\r\n")
        promised = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        assert 0 < len(body) < promised
        assert made(rig) == 3


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_hang_ends_when_the_client_leaves(when: Any) -> None:
    with served() as rig:
        rig.fault(Hang(when=when), operation=CREATE)
        impatient = httpx.Client(base_url=rig.url, timeout=0.2)
        headers = {"authorization": "AWS4-HMAC-SHA256 Credential=AK/1/us-west-2/bedrock/aws4_request, Signature=0"}
        with impatient, pytest.raises(httpx.ReadTimeout):
            impatient.post("/model-invocation-job", json={**BATCH, "jobName": "x"}, headers=headers)
        assert made(rig) == (when == "after")


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_delay_waits_and_then_answers(when: Any) -> None:
    with served() as rig:
        rig.fault(Delay(seconds=0.05, when=when), operation=CREATE)
        rig.create()
        assert made(rig) == 1


def test_a_delay_of_one_call_holds_up_no_other() -> None:
    with served() as rig:
        rig.fault(Delay(seconds=30, when="before"), operation=LIST)
        client = rig.client("bedrock")

        def ask() -> None:
            with contextlib.suppress(botocore.exceptions.BotoCoreError):
                client.list_model_invocation_jobs()

        slow = threading.Thread(target=ask, daemon=True)
        slow.start()
        rig.create()
        assert made(rig) == 1
    slow.join(5)
    assert not slow.is_alive(), "leaving the server ends the calls that hang"


@pytest.mark.parametrize(
    ("fault", "hit"),
    [
        pytest.param(Fault(effect=Throttle()), [True, False, False, False], id="once"),
        pytest.param(Fault(effect=Throttle(), skip=2), [False, False, True, False], id="third-call"),
        pytest.param(Fault(effect=Throttle(), times=2, skip=1), [False, True, True, False], id="two-after-one"),
        pytest.param(Fault(effect=Throttle(), times=None), [True, True, True, True], id="always"),
        pytest.param(Fault(effect=Throttle(), probability=0), [False, False, False, False], id="never"),
        pytest.param(Fault(effect=Throttle(), operation="Get*"), [False, False, False, False], id="other-operation"),
        pytest.param(Fault(effect=Throttle(), name="job-2"), [False, False, True, False], id="by-name"),
        pytest.param(Fault(effect=Throttle(), role="*/batch"), [True, False, False, False], id="by-role"),
        pytest.param(Fault(effect=Throttle(), account="1*", region="eu-*"), [False] * 4, id="other-region"),
        pytest.param(Fault(effect=Throttle(), access_key="AKIDEXAMPLE"), [True, False, False, False], id="by-key"),
        pytest.param(Fault(effect=Throttle(), times=None, for_s=15), [True, True, False, False], id="for-a-while"),
    ],
)
def test_which_calls_are_hit(fault: Fault, hit: list[bool]) -> None:
    with served() as rig:
        rig.simulator.faults.add(fault, now=NOON)
        seen = []
        for number in range(4):
            rig.clock.at = NOON + 10 * number
            try:
                rig.create(f"job-{number}")
            except ClientError:
                seen.append(True)
            else:
                seen.append(False)
        assert seen == hit


def test_probability_is_drawn_from_the_seeded_source() -> None:
    def pattern() -> list[bool]:
        with served(enforce_quotas=False) as rig:
            rig.fault(Throttle(), times=None, probability=0.5)
            seen = []
            for number in range(30):
                try:
                    rig.create(f"job-{number}")
                except ClientError:
                    seen.append(True)
                else:
                    seen.append(False)
            return seen

    first = pattern()
    assert 5 < sum(first) < 25
    assert first == pattern()


def six(rig: Rig) -> None:
    for number in range(6):
        rig.create(f"job-{number}")
        rig.clock.at += 10


def pages(rig: Rig, count: int = 10) -> list[list[int]]:
    """The numbers of the jobs on each page of two, oldest first, until there is no token (or `count` pages)."""
    found: list[list[int]] = []
    query: dict[str, Any] = {}
    while len(found) < count:
        page = rig.bedrock.list_model_invocation_jobs(maxResults=2, sortOrder="Ascending", **query)
        found.append([int(job["jobName"][-1]) for job in page["invocationJobSummaries"]])
        if "nextToken" not in page:
            break
        query = {"nextToken": page["nextToken"]}
    return found


@pytest.mark.parametrize(
    ("effect", "match", "expected"),
    [
        pytest.param(None, {}, [[0, 1], [2, 3], [4, 5]], id="no-fault"),
        pytest.param(SeenTwice(), {}, [[0, 1], [1, 2], [3, 4], [5]], id="seen-twice"),
        pytest.param(SeenTwice(), {"skip": 2}, [[0, 1], [2, 3], [4, 5, 5]], id="seen-twice-on-the-last-page"),
        pytest.param(Missed(), {}, [[0, 1], [3, 4], [5]], id="missed"),
        pytest.param(Missed(count=2), {"skip": 1}, [[0, 1], [2, 3]], id="missed-at-the-end"),
        pytest.param(Missed(), {"skip": 2}, [[0, 1], [2, 3], [4]], id="missed-on-the-last-page"),
        pytest.param(EmptyPage(), {}, [[], [0, 1], [2, 3], [4, 5]], id="empty-first-page"),
        pytest.param(EmptyPage(), {"skip": 1, "times": 2}, [[0, 1], [], [], [2, 3], [4, 5]], id="empty-pages"),
        pytest.param(RepeatedPageToken(), {"skip": 1}, [[0, 1], [2, 3], [2, 3], [4, 5]], id="repeated-token"),
        pytest.param(RepeatedPageToken(), {}, [[0, 1], [0, 1], [2, 3], [4, 5]], id="repeated-first-token"),
        pytest.param(StaleList(age_s=25), {"times": None}, [[0, 1], [2, 3]], id="stale"),
        pytest.param(
            StaleList(age_s=25, from_page=3), {"times": None}, [[0, 1], [2, 3], []], id="older-view-on-a-later-page"
        ),
    ],
)
def test_faults_of_lists(effect: Any, match: dict[str, Any], expected: list[list[int]]) -> None:
    with served() as rig:
        six(rig)
        if effect is not None:
            rig.fault(effect, operation=LIST, **match)
        assert pages(rig) == expected


def test_a_stale_list_shows_statuses_counts_and_deleted_jobs_of_then() -> None:
    with served(rules=[{"records": 100}]) as rig:
        arn = rig.create("a")
        rig.clock.at = NOON + 200
        rig.fault(StaleList(age_s=90), operation=LIST)
        (old,) = rig.bedrock.list_model_invocation_jobs()["invocationJobSummaries"]
        assert (old["status"], old["processedRecordCount"], "endTime" in old) == ("InProgress", 50, False)
        assert rig.status(arn) == "Completed"
        rig.fault(StaleList(age_s=90), operation=LIST)
        assert rig.listed(statusEquals="InProgress") == ["a"]
        prompt = rig.bedrock.create_advanced_prompt_optimization_job(jobName="p", **PROMPTS)["jobArn"]
        rig.clock.at += 100
        rig.bedrock.batch_delete_advanced_prompt_optimization_job(jobIdentifiers=[prompt])
        rig.clock.at += 10
        assert rig.bedrock.list_advanced_prompt_optimization_jobs()["jobSummaries"] == []
        rig.fault(StaleList(age_s=20))
        (ghost,) = rig.bedrock.list_advanced_prompt_optimization_jobs()["jobSummaries"]
        assert ghost["jobStatus"] == "InProgress"


def _lists(rig: Rig) -> dict[str, tuple[str, Callable[..., Any]]]:
    return {
        "bedrock": ("ValidationException", rig.bedrock.list_model_invocation_jobs),
        "prompts": ("ValidationException", rig.bedrock.list_advanced_prompt_optimization_jobs),
        "personalize": ("InvalidNextTokenException", rig.personalize.list_batch_inference_jobs),
    }


@pytest.mark.parametrize("family", ["bedrock", "prompts", "personalize"])
def test_a_page_token_can_expire_in_the_middle(family: str) -> None:
    with served() as rig:
        for number in range(3):
            rig.create(f"job-{number}")
            rig.bedrock.create_advanced_prompt_optimization_job(jobName=f"p-{number}", **PROMPTS)
            rig.personalize.create_batch_inference_job(jobName=f"m-{number}", **RECOMMENDATIONS)
        code, call = _lists(rig)[family]
        rig.fault(ExpiredPageToken())
        token = call(maxResults=1)["nextToken"]
        with pytest.raises(ClientError) as raised:
            call(maxResults=1, nextToken=token)
        assert refusal(raised.value) == (code, 400)
        call(maxResults=1, nextToken=token)


def test_reshape_shows_unknown_statuses_missing_and_new_members() -> None:
    with served() as rig:
        arn = rig.create("odd")
        rig.create("even")
        change = Reshape(set={"status": "Rebalancing", "shard": {"n": 1}}, remove=frozenset({"modelId"}), name="odd")
        rig.fault(change, times=None)
        by_name = {job["jobName"]: job for job in rig.bedrock.list_model_invocation_jobs()["invocationJobSummaries"]}
        assert by_name["odd"]["status"] == "Rebalancing"
        assert "modelId" not in by_name["odd"]
        assert by_name["even"]["status"] == "Submitted"
        assert rig.status(arn) == "Rebalancing"
        answer = httpx.get(
            f"{rig.url}/model-invocation-jobs",
            headers={"authorization": "AWS4-HMAC-SHA256 Credential=AK/1/us-west-2/bedrock/aws4_request, Signature=0"},
        )
        assert [job.get("shard") for job in answer.json()["invocationJobSummaries"]] == [None, {"n": 1}]


def test_reshape_reaches_the_other_families() -> None:
    with served() as rig:
        invocation = rig.automation.invoke_blueprint_optimization_async(**BLUEPRINT)["invocationArn"]
        movie = rig.personalize.create_batch_inference_job(jobName="m", **RECOMMENDATIONS)["batchInferenceJobArn"]
        rig.fault(Reshape(set={"status": "NEW"}, add=False), times=None)
        assert rig.automation.get_blueprint_optimization_status(invocationArn=invocation)["status"] == "NEW"
        shown = rig.personalize.describe_batch_inference_job(batchInferenceJobArn=movie)["batchInferenceJob"]
        assert shown["status"] == "NEW"
        (listed,) = rig.personalize.list_batch_inference_jobs()["batchInferenceJobs"]
        assert listed["status"] == "NEW"


def test_faults_can_be_removed_and_are_counted() -> None:
    with served() as rig:
        number = rig.fault(Throttle(), times=None)
        with pytest.raises(ClientError):
            rig.create()
        assert rig.simulator.faults.fired == {number: 1}
        assert rig.simulator.faults.remove(number)
        assert not rig.simulator.faults.remove(number)
        rig.create()
        rig.fault(Throttle(), times=None)
        rig.simulator.faults.clear()
        rig.create("b")
