"""Credentials that cannot be had: no call is made, no job is to blame, and what a program wrote is not repeated."""

import datetime as dt
import logging
import shlex
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiohttp import web
from botocore import exceptions as sdk

from controller import world
from controller.cli.doctor.scopes import _clock as check_clock
from controller.errors import NoAnswerError, ScopeUnavailableError, SettingsError
from controller.kinds.aws import AwsClients, open_clients
from controller.kinds.credentials import unavailable
from controller.queue_urls import parse_queue_url
from controller.queues.sqs import open_queue_clients
from controller.seams import SystemClock, no_failpoint
from controller.settings import AwsSettings, Scope
from controller.sinks.aws_batch import open_sink_clients
from tests.web_peer import listening

WAIT_S = 60.0
CANARY = "hunter2-canary"
ROLE = "arn:aws:iam::123456789012:role/r"
Call = tuple[str, str, dict[str, Any]]
CREATE: Call = ("bedrock", "CreateModelInvocationJob", {"jobName": "a", "clientRequestToken": "t"})
"""Of a prepared operation."""
LIST: Call = ("bedrock", "ListModelInvocationJobs", {})
"""Which the SDK makes, and for which it fetches credentials itself."""
JOB = "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/abcdefghijkl"
Answer = Callable[[int], Awaitable[web.Response]]


@dataclass
class Services:
    """STS, and the service that calls are for."""

    sts: Answer
    """Given how often STS has been asked, this time included."""
    date: Callable[[], dt.datetime] = field(default=lambda: dt.datetime.now(dt.UTC))
    asked: int = 0
    keys: list[str] = field(default_factory=list)
    """With which the calls that reached the service were signed."""

    async def handle(self, request: web.Request) -> web.Response:
        said = (await request.read()).decode()
        if "AssumeRole" in said:
            self.asked += 1
            return await self.sts(self.asked)
        self.keys.append(request.headers["Authorization"].partition("Credential=")[2].partition("/")[0])
        date = {"Date": format_datetime(self.date(), usegmt=True)}
        if "GetCallerIdentity" in said:
            text = "<R><GetCallerIdentityResult><Account>123456789012</Account></GetCallerIdentityResult></R>"
            return web.Response(content_type="text/xml", text=text, headers=date)
        return web.json_response({"jobArn": JOB}, headers=date)


async def gives(count: int) -> web.Response:
    """Other keys each time, which last so short that they are fetched anew for each call."""
    until = (dt.datetime.now(dt.UTC) + dt.timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    keys = f"<AccessKeyId>KEY{count}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>"
    given = f"<Credentials>{keys}<Expiration>{until}</Expiration></Credentials>"
    results = "".join(f"<{name}Result>{given}</{name}Result>" for name in ("AssumeRole", "AssumeRoleWithWebIdentity"))
    return web.Response(content_type="text/xml", text=f"<Response>{results}</Response>")


def refuses(code: str, message: str = "no") -> Answer:
    async def answer(_count: int) -> web.Response:
        error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
        return web.Response(status=400, content_type="text/xml", text=f"<ErrorResponse>{error}</ErrorResponse>")

    return answer


async def hangs(_count: int) -> web.Response:
    await anyio.sleep_forever()
    raise AssertionError


def after_the_first(then: Answer) -> Answer:
    async def answer(count: int) -> web.Response:
        return await (gives if count == 1 else then)(count)

    return answer


@asynccontextmanager
async def serving(sts: Answer, patch: pytest.MonkeyPatch, environment: dict[str, str]) -> AsyncIterator[Services]:
    """The services on a socket, and the SDK's configuration: these variables and no others."""
    services = Services(sts)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", services.handle)
    async with listening(app) as url:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
            patch.delenv(name, raising=False)
        defaults = {
            "AWS_ENDPOINT_URL": url,
            "AWS_REGION": "us-east-1",
            "AWS_CONFIG_FILE": "/nonexistent",
            "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        for name, value in (defaults | environment).items():
            patch.setenv(name, value.format(url=url))
        yield services


@asynccontextmanager
async def clients_of(scope: Scope | None = None, timeout_s: float = WAIT_S) -> AsyncIterator[AwsClients]:
    settings = AwsSettings(timeout_s=timeout_s)
    made = open_clients("default", scope or Scope(), settings, clock=SystemClock(), failpoint=no_failpoint)
    with anyio.fail_after(2 * WAIT_S):
        async with made as clients:
            yield clients


def web_identity(folder: Path, said: str = "jwt-of-a-pod") -> dict[str, str]:
    path = folder / "token"
    path.write_text(said)
    return {"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": str(path)}


def process(folder: Path, script: str) -> dict[str, str]:
    (folder / "program").write_text(script)
    (folder / "config").write_text(
        f"[default]\ncredential_process = /bin/sh {shlex.quote(str(folder / 'program'))}\n"
        f"[profile chained]\nrole_arn = {ROLE}\nsource_profile = nobody\n"
    )
    return {"AWS_CONFIG_FILE": str(folder / "config")}


def keys(expiration: str) -> str:
    return f'{{"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "{CANARY}", "Expiration": "{expiration}"}}'


SOURCES = [
    pytest.param(lambda at: web_identity(at) | {"AWS_WEB_IDENTITY_TOKEN_FILE": "/none"}, id="token file gone"),
    pytest.param(lambda at: web_identity(at, ""), id="token file empty"),
    pytest.param(lambda at: process(at, "") | {"PATH": "", "AWS_CONFIG_FILE": gone(at)}, id="program gone"),
    pytest.param(lambda at: process(at, f"echo {CANARY}"), id="program prints no JSON"),
    pytest.param(lambda at: process(at, f"echo '[\"{CANARY}\"]'"), id="program prints a list"),
    pytest.param(lambda at: process(at, f'echo \'{{"Version": "{CANARY}"}}\''), id="program of another version"),
    pytest.param(lambda at: process(at, f"echo '{keys(CANARY)}'"), id="program prints no date"),
    pytest.param(lambda at: process(at, f"echo '{keys('2020-01-01T00:00:00Z')}'"), id="program gives expired ones"),
    pytest.param(lambda at: process(at, f"echo token {CANARY} refused >&2; exit 1"), id="program fails"),
    pytest.param(lambda _: {"AWS_ACCESS_KEY_ID": "A"}, id="half of a pair"),
    pytest.param(lambda _: {}, id="none"),
]


def gone(folder: Path) -> str:
    (folder / "config").write_text("[default]\ncredential_process = /nonexistent/program\n")
    return str(folder / "config")


@pytest.mark.parametrize("source", SOURCES)
async def test_a_source_that_gives_none(
    source: Callable[[Path], dict[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(gives, monkeypatch, source(tmp_path)) as services, clients_of() as clients:
        for call in (CREATE, LIST, CREATE):
            with pytest.raises(ScopeUnavailableError, match="no usable AWS credentials: ") as caught:
                await clients.call(*call)
            assert (caught.value.definite, caught.value.code) == (True, "")
            assert CANARY not in repr(caught.value)
            assert (caught.value.__cause__, caught.value.__suppress_context__) == (None, True), (
                "a traceback would show what the program wrote"
            )
    assert services.keys == []
    assert CANARY not in caplog.text


@pytest.mark.parametrize("by", ["web identity", "role_arn"])
@pytest.mark.parametrize("code", ["AccessDenied", "InvalidIdentityToken", "ValidationError", "ExpiredTokenException"])
async def test_a_refusal_by_sts_is_not_the_answer_of_the_service(
    by: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "x"}
    given = by == "web identity"
    environment, scope = (web_identity(tmp_path), Scope()) if given else (own, Scope(role_arn=ROLE))
    async with serving(refuses(code, "why"), monkeypatch, environment) as services, clients_of(scope) as clients:
        for call in (CREATE, LIST):
            with pytest.raises(ScopeUnavailableError, match=f"is refused .{code}: why.") as caught:
                await clients.call(*call)
            assert (caught.value.definite, caught.value.code) == (True, code)
        assert services.keys == []
        services.sts = gives
        await clients.call(*CREATE)
        await clients.call(*LIST)
    assert len(services.keys) == 2


async def test_credentials_that_are_others_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(gives, monkeypatch, web_identity(tmp_path)) as services, clients_of() as clients:
        for _ in range(3):
            await clients.call(*CREATE)
        assert clients._prepared[CREATE[:2]] is not None
    assert services.keys == ["KEY1", "KEY2", "KEY3"]
    assert services.asked == 3, "the SDK asked as well"


async def test_a_refusal_while_the_sdk_signs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The credentials that were fetched for the call have run out since; the operation tells whose error it is."""
    sts = after_the_first(refuses("InvalidIdentityToken"))
    async with serving(sts, monkeypatch, web_identity(tmp_path)) as services, clients_of() as clients:
        with pytest.raises(ScopeUnavailableError, match="AssumeRoleWithWebIdentity is refused"):
            await clients.call(*LIST)
        assert (services.asked, services.keys) == (2, [])


async def test_a_token_file_that_goes_away_while_the_sdk_signs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def takes_it_away(count: int) -> web.Response:
        await anyio.Path(tmp_path / "token").unlink()
        return await gives(count)

    async with serving(takes_it_away, monkeypatch, web_identity(tmp_path)) as services, clients_of() as clients:
        with pytest.raises(NoAnswerError, match="No such file"):
            await clients.call(*LIST)
    assert services.keys == []


@pytest.mark.parametrize("call", [CREATE, LIST], ids=["prepared", "by the SDK"])
async def test_sts_that_hangs(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(hangs, monkeypatch, web_identity(tmp_path)) as services, clients_of(timeout_s=WAIT_S) as clients:
        await clients.open("bedrock")
        clients._settings = AwsSettings(timeout_s=0.2)
        with pytest.raises(ScopeUnavailableError, match=r"no AWS credentials within 0\.2 s") as caught:
            await clients.call(*call)
        assert (caught.value.definite, services.keys) == (True, [])
        services.sts = gives
        clients._settings = AwsSettings(timeout_s=WAIT_S)
        await clients.call(*call)


async def test_a_container_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for the first time, it holds up nothing for longer than a call may take."""
    environment = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "{url}/AssumeRole"}
    del tmp_path
    async with serving(hangs, monkeypatch, environment), clients_of(timeout_s=0.2) as clients:
        with pytest.raises(ScopeUnavailableError, match="takes too long"):
            await clients.open("bedrock")
        with pytest.raises(ScopeUnavailableError):
            await clients.call(*CREATE)


async def test_what_only_other_settings_can_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = process(tmp_path, f"echo {CANARY} >&2; exit 1")
    async with serving(gives, monkeypatch, environment):
        for scope in (Scope(profile="nobody"), Scope(profile="chained"), Scope(role_arn=ROLE)):
            with pytest.raises(SettingsError) as caught:
                async with clients_of(scope) as clients:
                    await clients.open("bedrock")
            assert CANARY not in repr(caught.value)
        queue = parse_queue_url("https://sqs.us-east-1.amazonaws.com/123456789012/queue")
        with pytest.raises(SettingsError, match="custom-process gives none"):
            async with open_queue_clients(queue, pool=1, environment={}, timeout_s=WAIT_S, clock=SystemClock()):
                pass
        with pytest.raises(SettingsError, match="custom-process gives none"):
            async with open_sink_clients("sns", "sns", Scope(), timeout_s=WAIT_S, clock=SystemClock()):
                pass


def answer(code: str, message: str) -> Any:
    return {"Error": {"Code": code, "Message": message}}


@pytest.mark.parametrize(
    ("error", "said", "code"),
    [
        pytest.param(
            sdk.ClientError(answer("SignatureDoesNotMatch", CANARY), "AssumeRole"),
            "AssumeRole is refused (SignatureDoesNotMatch)",
            "SignatureDoesNotMatch",
            id="a signature",
        ),
        pytest.param(
            sdk.CredentialRetrievalError(provider="custom-process", error_msg=CANARY),
            "custom-process gives none; run it by hand to see why",
            "",
            id="a program",
        ),
        pytest.param(
            sdk.TokenRetrievalError(provider="sso", error_msg=CANARY),
            "sso gives none; run it by hand to see why",
            "",
            id="a token",
        ),
        pytest.param(
            sdk.MetadataRetrievalError(error_msg=CANARY),
            "the metadata service gives none",
            "",
            id="the metadata service",
        ),
        pytest.param(
            sdk.EndpointConnectionError(endpoint_url="https://sts.example.org"),
            'Could not connect to the endpoint URL: "https://sts.example.org"',
            "EndpointConnectionError",
            id="the network, which gets better by itself",
        ),
        pytest.param(TimeoutError(), "what should give them takes too long", "", id="a timeout"),
        pytest.param(RuntimeError(CANARY), "those that are given have expired", "", id="expired ones"),
        pytest.param(KeyError(CANARY), "what should give them gives something else (KeyError)", "", id="a shape"),
    ],
)
def test_what_is_told(error: Exception, said: str, code: str) -> None:
    found = unavailable(error)
    assert (found.message, found.code) == (f"no usable AWS credentials: {said}", code)


async def test_the_sdk_says_that_it_failed_and_not_what_it_heard(caplog: pytest.LogCaptureFixture) -> None:
    error = sdk.CredentialRetrievalError(provider="custom-process", error_msg=CANARY)
    async with clients_of():
        logging.getLogger("aiobotocore.credentials").warning("Refreshing failed.", exc_info=error)
    assert "Refreshing failed." in caplog.text
    assert CANARY not in caplog.text


@pytest.mark.parametrize("wrong", [dt.timedelta(0), dt.timedelta(days=1)], ids=["right", "a day off"])
async def test_the_clock_is_settled_before_a_lane_reads_it(
    wrong: dt.timedelta, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host whose clock is wrong goes by AWS's from the beginning."""
    monkeypatch.setattr(world, "_NEXT_DATE_S", 0.0)
    monkeypatch.setattr(world, "ASK_S", WAIT_S)
    async with serving(gives, monkeypatch, web_identity(tmp_path)) as services, clients_of() as clients:
        began = dt.datetime.now(dt.UTC) - wrong
        services.date = lambda: began + dt.timedelta(seconds=len(services.keys))
        place = await world.find_place(clients)
        now = clients.aws_now()
    assert place.account == "123456789012"
    assert len(services.keys) == (3 if wrong else 1)
    assert now is not None
    assert abs(now - began.timestamp()) < 2 * WAIT_S


async def test_the_doctor_names_a_clock_that_is_off_by_one_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(gives, monkeypatch, web_identity(tmp_path)) as services, clients_of() as clients:
        services.date = lambda: dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
        await clients.call("sts", "GetCallerIdentity", {})
        assert clients.aws_now() is None
        found = check_clock("clock", clients, SystemClock())
    assert "this host's clock is +864" in found.detail
