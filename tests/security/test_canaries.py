"""Canaries in every secret: whatever happens, none of them is in anything that a person or a program is shown."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from controller.http.dashboard import FILES
from tests.documents import BATCH, PROMPT, RECOMMENDATION, document, spec_of
from tests.harness import Daemon, Ferryman, simulated_aws, write_documents
from tests.reliability.lives import template
from tests.sinks.webhook_receiver import answer, receiving

SIGNED = (
    "https://bucket.s3.us-east-1.amazonaws.com/in.json?X-Amz-Credential=canary-key&X-Amz-Signature=canary-signature"
)
SECRET = base64.b64encode(b"canary-webhook-secret!!!").decode()
ANSWERS = (
    *("/v1/jobs?limit=100", "/v1/events?limit=1000", "/v1/deadletters?limit=100", "/v1/lanes", "/v1/summary"),
    *("/v1/history", "/metrics", "/openapi.json", f"/v1/jobs/default/{RECOMMENDATION}/presigned", *FILES),
)
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("events", "-o", "json"),
    ("describe", f"{RECOMMENDATION}/presigned"),
    ("doctor",),
    ("apply", "-f", "bad.jsonl", "--dry-run"),
    ("validate", "-f", "bad.jsonl"),
)


def clean(text: str, where: str) -> None:
    for canary in ("canary", "Y2FuYXJ5", SECRET):
        at = text.find(canary)
        assert at < 0, f"{where}: {text[max(0, at - 200) : at + 100]}"


def good_documents() -> list[dict[str, Any]]:
    presigned = spec_of(RECOMMENDATION)
    presigned["jobInput"]["s3DataSource"]["path"] = SIGNED
    presigned["jobOutput"]["s3DataDestination"]["path"] = SIGNED
    return [
        document(BATCH, "plain"),
        document(BATCH, "refused", 1),
        document(PROMPT, "failing"),
        {**document(RECOMMENDATION, "presigned"), "spec": presigned},
    ]


def bad_documents() -> list[Any]:
    return [
        {**document(BATCH, "unknown"), "source": SIGNED},
        {**document(BATCH, "named"), SIGNED: 1},
        {"kind": SIGNED, "name": SIGNED, "scope": SIGNED},
        {**document(BATCH, "wrong"), "spec": {**spec_of(BATCH), "roleArn": SIGNED, "modelId": SIGNED}},
        {**document(BATCH, "list"), "priority": SIGNED, "desired": SIGNED},
        SIGNED,
    ]


async def shown(daemon: Daemon) -> None:
    """Everything that the API answers and the command line prints."""
    token = {"authorization": "Bearer canary-api-token"}
    async with httpx.AsyncClient(base_url=daemon.url, headers=token, trust_env=False, timeout=30) as client:
        for path in ANSWERS:
            found = await client.get(path)
            assert found.status_code == 200, path
            clean(found.text + str(found.headers), path)
        for body in (SIGNED, json.dumps(bad_documents()), f'{{"{SIGNED}": 1}}'):
            for path in ("/v1/documents", "/v1/jobs:stop", "/v1/lanes:pause", "/v1/deadletters:requeue"):
                clean((await client.post(path, content=body)).text, f"{path} {body[:40]}")
        ids = [letter["id"] for letter in (await client.get("/v1/deadletters")).json()["items"]]
        clean((await client.post("/v1/deadletters:requeue", json={"ids": ids})).text, "requeue")
        clean((await client.get(f"/v1/jobs?kind={SIGNED}")).text, "a kind that is none")
    async with httpx.AsyncClient(base_url=daemon.url, trust_env=False, timeout=30) as client:
        clean((await client.get("/v1/jobs", headers={"authorization": "Bearer canary-wrong-token"})).text, "401")
    for command in COMMANDS:
        done = await daemon.acommand(*command)
        clean(done.plain(), " ".join(command))


async def test_a_life_with_successes_and_every_failure(tmp_path: Path) -> None:
    rules = [
        {"kind": BATCH, "name": "refused-*", "refuse": {"code": "ValidationException", "message": f"no {SIGNED}"}},
        {"kind": PROMPT, "status": "Failed", "message": f"cannot read {SIGNED}"},
    ]
    async with simulated_aws(speed=20_000.0, rules=rules) as aws, receiving(answer(500, body=SIGNED.encode())) as hook:
        (tmp_path / "spool").mkdir()
        host = hook.url().removeprefix("http://").partition("/")[0]
        webhook = f"webhook:http://user:canary-password@{host}/canary-path?token=canary-query"
        sinks = [
            "log:",
            f"file:{tmp_path}/events.jsonl",
            {"url": webhook, "secret": f"whsec_{SECRET}", "allow_private": True},
        ]
        settings = {
            "AWS_SECRET_ACCESS_KEY": "canary-secret-key",
            "AWS_SESSION_TOKEN": "canary-session-token",
            "FERRYMAN_HTTP__TOKEN": "canary-api-token",
            "FERRYMAN_EVENTS__SINKS": json.dumps(sinks),
            "FERRYMAN_QUEUE__SOURCES": json.dumps([f"dir:{tmp_path}/spool"]),
            "FERRYMAN_LOG__LEVEL": "debug",
        }
        home = Ferryman(tmp_path, aws.url, settings)
        write_documents(tmp_path / "jobs.jsonl", good_documents())
        write_documents(tmp_path / "bad.jsonl", bad_documents())
        async with home.daemon("jobs.jsonl") as daemon:
            write_documents(tmp_path / "spool" / "bad.jsonl", bad_documents())
            await daemon.until(lambda: _ended(home) >= 4 and "publish.failed" in daemon.text())
            await daemon.until((tmp_path / "spool" / "rejected" / "bad.jsonl").exists)
            await shown(daemon)
            assert await daemon.end() == 0
        # What AWS answers for is what the canaries were for: it was called with them.
        assert len(aws.creates()) >= 3
        assert hook.requests
        assert "canary-query" in hook.requests[0].line
        for path in (
            tmp_path / "events.jsonl",
            tmp_path / "daemon.log",
            *(tmp_path / "spool" / "rejected").glob("*.txt"),
        ):
            clean(path.read_text(encoding="utf-8"), path.name)


def _ended(home: Ferryman) -> int:
    return sum(event["type"].endswith((".succeeded", ".failed")) for event in home.events())


@dataclass(frozen=True)
class Wrong:
    """Settings that no daemon starts with."""

    settings: dict[str, str]
    arguments: Sequence[str]
    id: str


WRONG: tuple[Wrong, ...] = (
    Wrong({"FERRYMAN_STORE__URL": "postgresql://u:canary-pw@127.0.0.1:1/d"}, [], id="no server"),
    Wrong({"FERRYMAN_STORE__URL": "mysql://u:canary-pw@h/d"}, [], id="no store"),
    Wrong({"FERRYMAN_EVENTS__SINKS": '["webhok:https://hooks/canary/x?a=canary"]'}, [], id="no sink"),
    Wrong({"FERRYMAN_EVENTS__SINKS": '["webhook:https://u:canary@/x"]'}, [], id="no host"),
    Wrong(
        {"FERRYMAN_EVENTS__SINKS": '[{"url": "webhook:https://example.com/canary", "secret": "whsec_"}]'},
        [],
        id="no secret",
    ),
    Wrong({"FERRYMAN_EVENTS__SINKS": '[{"url": "webhook:http://127.0.0.1/canary?a=canary"}]'}, [], id="private"),
    Wrong({"FERRYMAN_EVENTS__SINKS": '[{"url": "log:", "secrets": "canary"}]'}, [], id="unknown key"),
    Wrong({"FERRYMAN_EVENTS__SINKS": '[{"secret": "canary"'}, [], id="no JSON"),
    Wrong({"FERRYMAN_QUEUE__SOURCES": '["ftp://u:canary@h/x?a=canary"]'}, [], id="no source"),
    Wrong({"FERRYMAN_QUEUE__SOURCES": '["sqs:https://u:canary@h"]'}, [], id="no queue"),
    Wrong({"FERRYMAN_QUEUE__SOURCES": '["sqs:https://u:c/canary@h/1/q"]'}, [], id="no path"),
    Wrong({"FERRYMAN_HTTP__TOKEN": "canary with spaces"}, [], id="no token"),
    Wrong({"FERRYMAN_HTTP__PORT": "canary"}, [], id="no port"),
    Wrong({}, ["--config", "canary.toml"], id="no TOML"),
    Wrong({"FERRYMAN_HTTP__TOKEN": "canary\u00e9"}, [], id="no ASCII"),
)


async def test_wrong_settings(tmp_path: Path) -> None:
    """Each ends in a sentence, which says nothing of what was set."""
    texts: dict[str, str] = {}

    async def start(wrong: Wrong, endpoint: str) -> None:
        folder = anyio.Path(tmp_path / wrong.id.replace(" ", "-"))
        await folder.mkdir()
        await (folder / "canary.toml").write_text('[http]\ntoken = "canary-in-a-file\n', encoding="utf-8")
        settings = {"AWS_SECRET_ACCESS_KEY": "canary-secret", **wrong.settings}
        life = await template().start(Ferryman(Path(folder), endpoint, settings), *wrong.arguments)
        assert await life.wait() in {2, 7}, life.text()
        texts[wrong.id] = life.text()

    async with simulated_aws() as aws, anyio.create_task_group() as tasks:
        for wrong in WRONG:
            tasks.start_soon(start, wrong, aws.url)
    for id_, text in texts.items():
        assert "Traceback" not in text, id_
        assert "ferryman: " in text, id_
        clean(text.replace("canary.toml", ""), id_)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"FERRYMAN_HTTP__TOKEN": "canary-t", "FERRYMAN_SERVER": "http://u:canary@h"}, id="server"),
        pytest.param({"FERRYMAN_HTTP__TOKEN": "canary\u00e9"}, id="token"),
    ],
)
async def test_wrong_settings_of_the_command_line(tmp_path: Path, settings: dict[str, str]) -> None:
    done = await Ferryman(tmp_path, "http://127.0.0.1:1", settings).arun("get")
    assert done.code in {2, 5}, done.plain()
    clean(done.plain(), "the sentence")
