"""Bad input: a clear rejection each, kept as a dead letter; good neighbours and the loop unaffected."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.documents import BATCH, PROMPT, document
from tests.harness import Ferryman, simulated_aws

GOOD = document(BATCH, "good")


def spec(**changes: Any) -> dict[str, Any]:
    wrong = document(BATCH, "bad")
    wrong["spec"].update(changes)
    return wrong


def text(value: Any) -> bytes:
    return json.dumps(value).encode()


BODIES: dict[str, bytes] = {
    "empty": b"",
    "brace": b"{",
    "null": b"null",
    "junk list": b'[1, "a", null, [], {}]',
    "unknown kind": text({**GOOD, "kind": "bedrock.Nothing"}),
    "missing spec": text({"kind": BATCH, "name": "bad"}),
    "unknown field": text({**GOOD, "colour": "red"}),
    "wrong type": text({**GOOD, "priority": "high"}),
    "nesting": b'{"kind": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    "a megabyte of text": b'"' + b"x" * (1 << 20) + b'"',
    "long name": text({**GOOD, "name": "n" * 5000}),
    "path in name": text({**GOOD, "name": "../../etc/passwd"}),
    "huge number": b'{"kind": "' + BATCH.encode() + b'", "name": "bad", "spec": {"timeoutDurationInHours": 1e400}}',
    "10^400": b'{"kind": "' + BATCH.encode() + b'", "name": "bad", "generation": 1' + b"0" * 400 + b"}",
    "NaN": b'{"kind": "' + BATCH.encode() + b'", "name": "bad", "priority": NaN}',
    "lone surrogate": b'{"kind": "' + BATCH.encode() + b'", "name": "\\ud800"}',
    "exploding jobName": text(spec(jobName="-" * 60 + "!")),
    "below minimum": text(spec(timeoutDurationInHours=12)),
    "above maximum": text(spec(timeoutDurationInHours=1000)),
    "pattern": text(spec(roleArn="not-an-arn")),
    "unknown member": text(spec(colour="red")),
    "token given": text(spec(clientRequestToken="mine")),
    "union": text(spec(inputDataConfig={})),
    "enum": text(spec(modelInvocationType="Shout")),
    "too many": text({**document(PROMPT, "bad"), "spec": {**document(PROMPT, "x")["spec"], "modelConfigurations": []}}),
}


def dead_letters(home: Ferryman) -> list[tuple[str, bytes]]:
    with sqlite3.connect(home.folder / "ferryman.db") as store:
        return list(store.execute("SELECT reason, body FROM dead_letters ORDER BY id"))


async def test_each_is_rejected_and_nothing_else_suffers(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    for number, body in enumerate(BODIES.values()):
        (spool / f"{number:02d}-bad.json").write_bytes(body)
        (spool / f"{number:02d}-good.json").write_bytes(text(document(BATCH, f"good-{number}", number)))
    async with simulated_aws() as aws:
        home = Ferryman(tmp_path, aws.url, {"FERRYMAN_QUEUE__SOURCES": json.dumps([f"dir:{spool}"])})
        done = await home.arun("run", "--until-settled")
        assert done.code == 4, done.plain()
        assert len(aws.creates()) == len(BODIES)
    rejected = [event for event in home.events() if event["type"] == "ferryman.document.rejected"]
    letters = dead_letters(home)
    assert len(letters) == len(rejected) >= len(BODIES)
    assert all(reason and "Traceback" not in reason for reason, _ in letters)
    assert len(list((spool / "done").iterdir())) == len(BODIES)
    reasons = {path.name for path in (spool / "rejected").iterdir()}
    assert {f"{number:02d}-bad.json" for number in range(len(BODIES))} <= reasons


@pytest.mark.parametrize("name", BODIES)
async def test_over_http_each_is_told_why(name: str, over_http: "Posts") -> None:
    answer = over_http.answers[name]
    assert answer.status_code in {413, 422, 400}, answer.text
    told = answer.text
    assert "Traceback" not in told
    assert len(told) < 100_000


class Posts:
    answers: dict[str, httpx.Response]


@pytest.fixture(scope="module")
def over_http(tmp_path_factory: pytest.TempPathFactory) -> Posts:
    """Every body once to one daemon, a good document after each."""
    posts = Posts()
    posts.answers = {}

    async def post_all() -> None:
        async with simulated_aws() as aws:
            home = Ferryman(tmp_path_factory.mktemp("http"), aws.url)
            async with home.daemon() as daemon, httpx.AsyncClient(trust_env=False, timeout=30) as client:
                url = f"{daemon.url}/v1/documents"
                headers = {"Content-Type": "application/json"}
                for number, (name, body) in enumerate(BODIES.items()):
                    posts.answers[name] = await client.post(url, content=body, headers=headers)
                    good = await client.post(url, json=document(BATCH, f"good-{number}", number), params={"wait": "10"})
                    assert good.status_code == 202, (name, good.text)
                await daemon.until(lambda: len(aws.creates()) == len(BODIES))
                assert await daemon.end() == 0

    anyio.run(post_all)
    return posts
