"""Serving: the socket, the simulator's own interface, and use in the same process on a clock of one's own."""

import random
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import aiobotocore.session
import anyio
import botocore.exceptions
import httpx
import pytest
from aiobotocore.config import AioConfig

from controller.simulator import (
    IN_PROCESS_ENDPOINT,
    Delay,
    Fault,
    Hang,
    LoseReply,
    Simulator,
    SimulatorOptions,
    Throttle,
    in_process_session,
    serve,
)
from tests.simulator.simulated import BATCH, DURATIONS, NOON, REGION, TurnedClock, served

KIND = "bedrock.ModelInvocationJob"


def fresh(clock: TurnedClock | None = None, **rest: Any) -> Simulator:
    options = SimulatorOptions.model_validate({"durations": DURATIONS})
    return Simulator(options, now=(clock or TurnedClock()).now, random=random.Random(7), **rest)


def client(simulator: Simulator, endpoint: str = IN_PROCESS_ENDPOINT, **config: Any) -> Any:
    """An aiobotocore client; in the same process unless an endpoint is given."""
    if endpoint == IN_PROCESS_ENDPOINT:
        config["http_session_cls"] = in_process_session(simulator)
    return aiobotocore.session.get_session().create_client(
        "bedrock",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id="AK",
        aws_secret_access_key="secret",
        config=AioConfig(retries={"total_max_attempts": 1}, read_timeout=5, **config),
    )


async def test_leaving_ends_the_server_at_once_whatever_is_under_way() -> None:
    simulator = fresh()
    simulator.faults.add(Fault(effect=Hang(when="before")))
    async with anyio.create_task_group() as group, serve(simulator) as url:

        async def hang() -> None:
            async with client(simulator, url) as bedrock:
                with pytest.raises(botocore.exceptions.BotoCoreError):
                    await bedrock.list_model_invocation_jobs()

        group.start_soon(hang)
        with anyio.fail_after(5):
            await simulator.ledger.wait_until(lambda: bool(simulator.ledger.calls))
        left_at = anyio.current_time()
    assert anyio.current_time() - left_at < 0.5
    with closing(socket.socket()) as probe, pytest.raises(ConnectionRefusedError):
        probe.connect(("127.0.0.1", int(url.rsplit(":", 1)[1])))


async def test_a_cancelled_user_of_the_server_leaves_it_at_once() -> None:
    with anyio.move_on_after(0.2) as scope:
        async with serve(fresh()) as url:
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    async with httpx.AsyncClient() as http:
        with pytest.raises(httpx.ConnectError):
            await http.get(url)


async def test_the_user_s_own_error_comes_out_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        async with serve(fresh()):
            _ = 1 / 0


async def test_an_address_in_use_is_an_os_error() -> None:
    async with serve(fresh()) as url:
        with pytest.raises(OSError, match="in use"):
            async with serve(fresh(), port=int(url.rsplit(":", 1)[1])):
                pass


async def test_it_serves_on_ipv6() -> None:
    try:
        async with serve(fresh(), "::1") as url:
            assert url.startswith("http://[::1]:")
            async with httpx.AsyncClient() as http:
                assert (await http.get(f"{url}/_simulator/calls")).json() == {}
    except OSError:
        pytest.skip("this host has no IPv6 loopback")


async def test_in_process_calls_need_no_socket_and_no_real_time() -> None:
    clock, slept = TurnedClock(), list[float]()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.at += seconds

    simulator = fresh(clock, sleep=sleep)
    simulator.faults.add(Fault(effect=Delay(seconds=3600, when="before"), operation="List*"))
    async with client(simulator) as bedrock:
        arn = (await bedrock.create_model_invocation_job(jobName="a", **BATCH))["jobArn"]
        (job,) = (await bedrock.list_model_invocation_jobs())["invocationJobSummaries"]
        assert (job["jobArn"], job["status"], slept) == (arn, "Completed", [3600])


@pytest.mark.parametrize(
    ("then", "error"),
    [
        # aiobotocore's name for a reset, though the request was sent.
        ("reset", botocore.exceptions.EndpointConnectionError),
        ("close", botocore.exceptions.ConnectionClosedError),
        ("truncate", botocore.exceptions.ConnectionClosedError),
    ],
)
@pytest.mark.parametrize("in_process", [True, False], ids=["in-process", "socket"])
async def test_aiobotocore_sees_a_lost_reply_alike(then: Any, error: type[Exception], in_process: bool) -> None:
    simulator = fresh()
    simulator.faults.add(Fault(effect=LoseReply(then=then)))
    async with serve(simulator) as url, client(simulator, IN_PROCESS_ENDPOINT if in_process else url) as bedrock:
        with pytest.raises(error):
            await bedrock.create_model_invocation_job(jobName="a", **BATCH)
    assert len(simulator.ledger.jobs()) == 1


async def test_in_process_hangs_end_with_the_client_s_read_timeout() -> None:
    simulator = fresh()
    simulator.faults.add(Fault(effect=Hang(when="after")))
    session = in_process_session(simulator)
    config = AioConfig(http_session_cls=session, read_timeout=0.05, retries={"total_max_attempts": 1})
    keys = {"aws_access_key_id": "AK", "aws_secret_access_key": "secret"}
    create_client = aiobotocore.session.get_session().create_client
    async with create_client(
        "bedrock", endpoint_url=IN_PROCESS_ENDPOINT, region_name=REGION, config=config, **keys
    ) as bedrock:
        with pytest.raises(botocore.exceptions.ReadTimeoutError):
            await bedrock.create_model_invocation_job(jobName="a", **BATCH)
    assert len(simulator.ledger.jobs()) == 1


def test_everything_can_be_done_over_http() -> None:
    with served() as rig, httpx.Client(base_url=f"{rig.url}/_simulator") as admin:
        planted = {"kind": KIND, "region": REGION, "parameters": {**BATCH, "jobName": "f"}, "count": 2}
        assert len(admin.post("/jobs", json=planted).json()["arns"]) == 2
        fault = {"operation": "Create*", "times": 1, "effect": {"effect": "throttle"}}
        number = admin.post("/faults", json=fault).json()["id"]
        (listed,) = admin.get("/faults").json()
        assert (listed["id"], listed["fired"], listed["effect"]) == (number, 0, {"effect": "throttle"})
        with pytest.raises(botocore.exceptions.ClientError):
            rig.create()
        assert admin.get("/faults").json() == []
        rig.create("mine")
        assert admin.get("/calls").json() == {"CreateModelInvocationJob": {"ThrottlingException": 1, "ok": 1}}
        first = admin.get("/ledger", params={"limit": 2}).json()
        assert [entry["name"] for entry in first["items"]] == ["f-1", "f-2"]
        rest = admin.get("/ledger", params={"after": first["next"]}).json()
        assert ([entry["name"] for entry in rest["items"]], rest["next"]) == (["mine"], None)
        (peak,) = admin.get("/peaks").json()
        assert (peak["kind"], peak["key"], peak["peak"], peak["active"]) == (KIND, "amazon.nova-lite-v1:0", 3, 3)
        assert admin.patch("/options", json={"repeated_token": "conflict"}).json()["repeated_token"] == "conflict"
        assert rig.simulator.options.repeated_token == "conflict"
        assert admin.get("/options").json()["repeated_token"] == "conflict"
        rig.fault(Throttle(), times=None)
        admin.delete("/faults")
        rig.create("again")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("GET", "/nothing", None, 404, "GET /_simulator/ledger"),
        ("POST", "/faults", {"effect": {"effect": "melt"}}, 400, "melt"),
        ("DELETE", "/faults/7", None, 400, "there is no fault 7"),
        ("PATCH", "/options", {"speed": -1}, 400, "greater than 0"),
        ("PATCH", "/options", [1], 400, "must be an object"),
        ("POST", "/jobs", {"kind": "other"}, 400, "kind must be one of"),
        ("POST", "/jobs", {"kind": KIND}, 400, "region and parameters"),
        ("POST", "/jobs", {"kind": KIND, "region": REGION, "parameters": {}}, 400, "modelId"),
        ("GET", "/ledger?limit=x", None, 400, "invalid literal"),
    ],
)
def test_wrong_requests_are_refused_with_a_reason(method: str, path: str, body: Any, status: int, words: str) -> None:
    with served() as rig:
        answer = httpx.request(method, f"{rig.url}/_simulator{path}", json=body)
        assert answer.status_code == status
        assert words in answer.json()["message"]


def test_a_process_of_its_own_survives_a_kill(tmp_path: Path) -> None:
    """`run`, killed without warning: everything that was answered is there again."""
    ledger = tmp_path / "world.jsonl"
    program = (
        "import anyio, pathlib, sys; from controller.simulator import SimulatorOptions, run\n"
        "options = SimulatorOptions(enforce_quotas=False)\n"
        "anyio.run(lambda: run(int(sys.argv[1]), options, ledger_path=pathlib.Path(sys.argv[2])))"
    )
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    headers = {"authorization": "AWS4-HMAC-SHA256 Credential=AK/1/us-west-2/bedrock/aws4_request, Signature=0"}
    arns: list[str] = []
    for life in range(2):
        process = subprocess.Popen([sys.executable, "-c", program, str(port), str(ledger)])
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers) as http:
                _wait_until_served(http)
                shown = {job["jobArn"] for job in http.get("/model-invocation-jobs").json()["invocationJobSummaries"]}
                assert shown == set(arns)
                for number in range(20):
                    made = http.post("/model-invocation-job", json={**BATCH, "jobName": f"j-{life}-{number}"})
                    arns.append(made.json()["jobArn"])
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(10)


def _wait_until_served(http: httpx.Client) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            http.get("/_simulator/calls")
        except httpx.ConnectError:
            continue
        return
    pytest.fail("the simulator did not begin to serve")


def test_the_clock_is_the_one_that_was_passed_in() -> None:
    with served() as rig:
        answer = httpx.get(f"{rig.url}/model-invocation-jobs")
        assert answer.headers["date"] == "Fri, 15 Jan 2027 08:00:00 GMT"
        assert rig.clock.at == NOON


def test_answers_are_not_held_back_by_the_network_stack() -> None:
    with served() as rig:
        rig.listed()
        began = time.perf_counter()
        for _ in range(20):
            rig.listed()
        assert time.perf_counter() - began < 0.6, "20 calls with delayed acknowledgements take 0.8 s, without 0.03 s"
