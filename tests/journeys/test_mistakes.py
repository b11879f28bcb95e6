"""What a user can get wrong: one clear sentence, the right exit code, never a traceback."""

import json
import os
import sqlite3
from pathlib import Path

import pytest

from tests.documents import BATCH, document
from tests.harness import Ferryman, simulated_aws, write_documents


@pytest.mark.parametrize(
    ("settings", "arguments", "code", "said"),
    [
        pytest.param({"FERRYMAN_HTTP__PORT": "abc"}, ["run"], 2, "http.port", id="wrong setting"),
        pytest.param({"FERRYMAN_COLOUR": "red"}, ["run"], 2, "FERRYMAN_COLOUR is not a setting", id="unknown variable"),
        pytest.param({}, ["run", "--config", "none.toml"], 2, "cannot read the settings file", id="no settings file"),
        pytest.param({}, ["run", "none.yaml"], 2, "none.yaml", id="no such file"),
        pytest.param({}, ["run", "--colour"], 2, "--colour", id="unknown option"),
        pytest.param({}, ["frobnicate"], 2, "frobnicate", id="unknown command"),
        pytest.param({"FERRYMAN_STORE__URL": "mysql://x"}, ["run"], 2, "sqlite:///", id="unknown store"),
        pytest.param({"FERRYMAN_STORE__URL": "sqlite:////proc/x/f.db"}, ["run"], 7, "/proc/x", id="store elsewhere"),
        pytest.param({"FERRYMAN_EVENTS__SINKS": '["carrier-pigeon:"]'}, ["run"], 2, "is not a sink", id="unknown sink"),
        pytest.param({"FERRYMAN_QUEUE__SOURCES": '["ftp:x"]'}, ["run"], 2, "is not a source", id="unknown source"),
        pytest.param({"FERRYMAN_QUEUE__SOURCES": '["dir:/proc/none"]'}, ["run"], 2, "/proc/none", id="no spool"),
        pytest.param({"FERRYMAN_HTTP__HOST": "0.0.0.0"}, ["run"], 2, "token", id="open address without token"),
        pytest.param(
            {"FERRYMAN_LIMITS": '{"bedrock.Nothing": {}}'}, ["run"], 2, "bedrock.Nothing", id="limits of no kind"
        ),
        pytest.param({"AWS_REGION": ""}, ["run"], 2, "Region", id="no region"),
        pytest.param(
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, ["run"], 2, "credentials", id="no credentials"
        ),
        pytest.param(
            {"FERRYMAN_SCOPES": '{"a": {"region": "us-east-1"}, "b": {"region": "us-east-1"}}'},
            ["run"],
            2,
            "same account",
            id="two scopes, one place",
        ),
        pytest.param({"FERRYMAN_SERVER": "http://127.0.0.1:1"}, ["get"], 5, "no daemon answers", id="no daemon"),
        pytest.param({}, ["run", "--simulate", "--until-settled"], 2, "simulat", id="real source with --simulate"),
    ],
)
async def test_one_sentence(
    tmp_path: Path, settings: dict[str, str], arguments: list[str], code: int, said: str
) -> None:
    if "--simulate" in arguments:
        settings = {"FERRYMAN_QUEUE__SOURCES": '["sqs:https://sqs.us-east-1.amazonaws.com/123456789012/q"]'}
    async with simulated_aws() as aws:
        done = await Ferryman(tmp_path, aws.url, settings).arun(*arguments, timeout_s=40)
    assert done.code == code, done.plain()
    assert said.lower() in done.plain().lower()


async def test_another_account_is_refused_and_nothing_is_lost(tmp_path: Path) -> None:
    write_documents(tmp_path / "jobs.jsonl", [document(BATCH, "one")])
    async with simulated_aws(accounts={"AKIAEXAMPLE": "111111111111", "AKIAOTHER": "222222222222"}) as aws:
        assert (await Ferryman(tmp_path, aws.url).arun("run", "jobs.jsonl", "--until-settled")).code == 0
        other = Ferryman(tmp_path, aws.url, {"AWS_ACCESS_KEY_ID": "AKIAOTHER"})
        refused = await other.arun("run", "jobs.jsonl", "--until-settled")
        assert refused.code == 2
        assert "account 111111111111" in refused.plain()
        assert (await Ferryman(tmp_path, aws.url).arun("run", "--until-settled")).code == 0
        assert len(aws.creates()) == 1


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 100, b"SQLite format 3\x00" + os.urandom(8000)])
async def test_a_broken_store(tmp_path: Path, content: bytes) -> None:
    store = tmp_path / "ferryman.db"
    store.write_bytes(content)
    async with simulated_aws() as aws:
        done = await Ferryman(tmp_path, aws.url).arun("run", "--until-settled")
    assert done.code == (7 if content else 0), done.plain()
    if content:
        assert str(store) in done.plain()
        assert store.read_bytes() == content


async def test_a_newer_store(tmp_path: Path) -> None:
    async with simulated_aws() as aws:
        home = Ferryman(tmp_path, aws.url)
        assert (await home.arun("run", "--until-settled")).code == 0
        with sqlite3.connect(tmp_path / "ferryman.db") as store:
            store.execute("UPDATE alembic_version SET version_num = '9999'")
        done = await home.arun("run", "--until-settled")
    assert done.code == 7
    assert "was written by ferryman" in done.plain()


async def test_nothing_secret_is_printed(tmp_path: Path) -> None:
    """Canaries in credentials, URLs and tokens."""
    async with simulated_aws() as aws:
        settings = {
            "AWS_SECRET_ACCESS_KEY": "canary-secret-key",
            "AWS_SESSION_TOKEN": "canary-session-token",
            "FERRYMAN_HTTP__TOKEN": "canary-api-token",
            "FERRYMAN_EVENTS__SINKS": json.dumps(
                [
                    f"file:{tmp_path}/events.jsonl",
                    {
                        "url": "webhook:http://user:canary-password@127.0.0.1:1/x",
                        "secret": "whsec_Y2FuYXJ5LXNlY3JldA==",
                        "allow_private": True,
                    },
                ]
            ),
        }
        home = Ferryman(tmp_path, aws.url, settings)
        write_documents(tmp_path / "jobs.jsonl", [document(BATCH, "one")])
        async with home.daemon("jobs.jsonl") as daemon:
            await daemon.until(lambda: len(aws.creates()) == 1)
            refused = await daemon.post("/v1/shutdown")
            assert refused.status_code == 401
            got = await daemon.acommand("get")
            assert got.code == 0, got.plain()
            assert await daemon.end() == 0
            text = daemon.text() + got.plain() + json.dumps(home.events())
    assert "canary" not in text
    assert "Y2FuYXJ5" not in text
