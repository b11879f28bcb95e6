"""Rows of the host and the queue, with real processes: P24, P25, P27, P28, P42, P44, P46."""

import json
import random
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import anyio
import httpx
import pytest

from tests.documents import BATCH, document, mixed, spec_of
from tests.harness import Aws, Ferryman, check_sequences, simulated_aws, write_documents
from tests.journeys.test_queue import boto, ended, waiting
from tests.moto_peer import running_moto
from tests.reliability.lives import Life, template, until

Record = Callable[[str, object], None]
PATIENT = {
    "FERRYMAN_AWS__TIMEOUT_S": "2",
    "FERRYMAN_AWS__CONNECT_TIMEOUT_S": "1",
    "FERRYMAN_RECONCILE__LIST_LAG_S": "1",
}
PAUSE_S = 4.0


def settled(home: Ferryman) -> dict[str, int]:
    with sqlite3.connect(f"file:{home.folder}/ferryman.db?mode=ro", uri=True) as store:
        return dict(store.execute("SELECT phase, count(*) FROM jobs GROUP BY phase"))


def nothing_twice(aws: Aws, home: Ferryman) -> None:
    assert aws.created_twice() == []
    check_sequences(home.events())


async def test_p24_the_process_is_paused(tmp_path: Path, record_property: Record) -> None:
    """Twice for longer than every deadline, with creates on their way: nothing twice, all end."""
    async with simulated_aws() as aws:
        home = Ferryman(tmp_path, aws.url, PATIENT)
        write_documents(tmp_path / "jobs.jsonl", list(mixed(80)))
        async with template().life(home, "jobs.jsonl") as life:
            for wanted in (8, 30):
                await life.until(lambda wanted=wanted: len(aws.creates()) >= wanted)  # type: ignore[misc]
                life.send(signal.SIGSTOP)
                begun = time.monotonic()
                await until(lambda begun=begun: time.monotonic() - begun > PAUSE_S)  # type: ignore[misc]
                life.send(signal.SIGCONT)
            await life.until(
                lambda: sum(settled(home).values()) == 80 and set(settled(home)) <= {"Succeeded", "Uncertain"}
            )
            assert await life.end() == 0
        nothing_twice(aws, home)
        record_property("row", f"P24: paused twice for {PAUSE_S:g} s, {len(aws.creates())} creates, {settled(home)}")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of eight megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


async def test_p25_the_disk_is_full(small_disk: Path, record_property: Record) -> None:
    """Intake refuses, readiness says no, no create leaves without its intent; freed, it goes on by itself."""
    async with simulated_aws(speed=1800.0) as aws:
        home = Ferryman(small_disk, aws.url, {"FERRYMAN_STORE__URL": f"sqlite:///{small_disk}/ferryman.db"})
        async with template().life(home) as life:
            first = await life.post("/v1/documents", list(mixed(20, "first")), wait="5")
            assert first.status_code == 202
            await life.until(lambda: len(aws.creates()) >= 5)
            ballast = small_disk / "ballast"
            fill(ballast)
            await until_async(lambda: status_is(life, 503), 20)
            refused = await life.post("/v1/documents", list(mixed(200, "refused")))
            assert refused.status_code == 503, refused.text
            made = len(aws.creates())
            known = known_attempts(home)
            assert made <= known
            ballast.unlink()
            begun = time.monotonic()
            await until_async(lambda: status_is(life, 200), 30)
            back_s = time.monotonic() - begun
            taken = await life.post("/v1/documents", list(mixed(20, "second")), wait="5")
            assert taken.status_code == 202, taken.text
            await life.until(lambda: len(aws.creates()) == 40, 60)
            await life.until(lambda: ended(home) == 40, 60)
            assert await life.end() == 0
        nothing_twice(aws, home)
        record_property("row", f"P25: refused with 503, ready again {back_s:.1f} s after room was made, 40 creates")


def fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return


def known_attempts(home: Ferryman) -> int:
    with sqlite3.connect(f"file:{home.folder}/ferryman.db?mode=ro", uri=True) as store:
        return int(store.execute("SELECT count(*) FROM attempts").fetchone()[0])


async def status_is(life: Life, status: int) -> bool:
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        return (await client.get(f"{life.url}/readyz")).status_code == status


async def until_async(fact: Callable[[], object], timeout_s: float) -> None:
    with anyio.fail_after(timeout_s):
        while not await fact():  # type: ignore[misc]
            await anyio.sleep(0.1)  # a probe that asks


async def test_p27_a_corrupt_page(tmp_path: Path, record_property: Record) -> None:
    async with simulated_aws() as aws:
        home = Ferryman(tmp_path, aws.url)
        write_documents(tmp_path / "jobs.jsonl", list(mixed(40)))
        life = await template().start(home, "jobs.jsonl", "--until-settled")
        assert await life.wait() == 0
        with (tmp_path / "ferryman.db").open("r+b") as file:
            file.seek(8192)
            file.write(b"\xa5" * 65_536)
        life = await template().start(home)
        assert await life.wait() == 7
        assert "restore a backup or move the file away" in life.text()
        assert "Traceback" not in life.text()
        assert len(aws.creates()) == 40
        record_property("row", "P27: leaves with 7 and says what to do")


async def test_p28_redelivered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Record) -> None:
    """Five copies of each message in any order, many receivers; then all of them once more."""
    with running_moto(monkeypatch) as moto:
        sqs = boto("sqs", moto)
        url = sqs.create_queue(QueueName="jobs")["QueueUrl"]
        bodies = [json.dumps(item) for item in mixed(40) for _ in range(5)]
        random.Random(3).shuffle(bodies)
        await anyio.to_thread.run_sync(send, sqs, url, bodies)
        async with simulated_aws() as aws:
            settings = {
                "AWS_ENDPOINT_URL_SQS": moto,
                "FERRYMAN_QUEUE__SOURCES": json.dumps([f"sqs:{url}"]),
                "FERRYMAN_QUEUE__WAIT_S": "1",
            }
            home = Ferryman(tmp_path, aws.url, settings)
            async with template().life(home) as life:
                await life.until(lambda: ended(home) == 40)
                await anyio.to_thread.run_sync(send, sqs, url, bodies[:100])
                while await anyio.to_thread.run_sync(waiting, sqs, url):
                    await anyio.sleep(0.1)  # the fact is an empty queue at another server
                assert await life.end() == 0
            nothing_twice(aws, home)
            assert len(aws.creates()) == 40
            accepted = [event["subject"] for event in home.events() if event["type"] == "ferryman.job.accepted"]
            assert len(accepted) == len(set(accepted)) == 40
            record_property("row", "P28: 300 deliveries of 40 documents, 40 creates")


def send(sqs: object, url: str, bodies: list[str]) -> None:
    for begin in range(0, len(bodies), 10):
        entries = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies[begin : begin + 10])]
        sqs.send_message_batch(QueueUrl=url, Entries=entries)  # type: ignore[attr-defined]


async def test_p42_a_newer_store(tmp_path: Path, record_property: Record) -> None:
    async with simulated_aws() as aws:
        home = Ferryman(tmp_path, aws.url)
        life = await template().start(home, "--until-settled")
        assert await life.wait() == 0
        with closing(sqlite3.connect(tmp_path / "ferryman.db", isolation_level=None)) as store:
            store.execute("UPDATE alembic_version SET version_num = '9999'")
            store.execute("UPDATE facts SET value = '9.9.9' WHERE key = 'program'")
        before = (tmp_path / "ferryman.db").read_bytes()
        life = await template().start(home)
        assert await life.wait() == 7
        assert "9.9.9" in life.text()
        assert (tmp_path / "ferryman.db").read_bytes() == before
        record_property("row", "P42: leaves with 7, names the version that can open it, file untouched")


@pytest.mark.parametrize("limits", [{"NOFILE": 48}, {"AS": 1 << 30}], ids=["files", "memory"])
async def test_p44_little_of_everything(tmp_path: Path, record_property: Record, limits: dict[str, int]) -> None:
    async with simulated_aws() as aws:
        home = Ferryman(tmp_path, aws.url)
        write_documents(tmp_path / "jobs.jsonl", list(mixed(120)))
        async with template().life(home, "jobs.jsonl", limits=limits) as life:
            await life.until(lambda: ended(home) + settled(home).get("Uncertain", 0) == 120, 150)
            assert await life.end() == 0
            assert "Traceback" not in life.text()
        nothing_twice(aws, home)
        record_property("row", f"P44 {limits}: {settled(home)}")


KNOWN, RUNNING = 100_000, 10_000


async def test_p46_a_restart_with_a_long_history(tmp_path: Path, record_property: Record) -> None:
    """Rows are put straight into the store; the running ones exist at AWS."""
    async with simulated_aws(speed=1.0, quotas={BATCH: {"*": 100_000}}) as aws:
        limits = {BATCH: {"jobs": 100_000}}
        home = Ferryman(tmp_path, aws.url, {"FERRYMAN_LIMITS": json.dumps(limits)})
        write_documents(tmp_path / "jobs.jsonl", [document(BATCH, "pattern", 0)])
        async with template().life(home, "jobs.jsonl") as life:
            await life.until(lambda: settled(home).get("Running") == 1)
            assert await life.end() == 0
        arns = aws.simulator.plant(BATCH, {**spec_of(BATCH, 0), "jobName": "theirs"}, region="us-east-1", count=RUNNING)
        await anyio.to_thread.run_sync(multiply, tmp_path / "ferryman.db", arns)
        lists, gets = aws.calls("ListModelInvocationJobs"), aws.calls("GetModelInvocationJob")
        begun = time.monotonic()
        async with template().life(home) as life:
            ready_s = time.monotonic() - begun
            memory_mb = resident_mb(life.pid)
            await life.until(lambda: aws.calls("ListModelInvocationJobs") >= lists + RUNNING // 1000, 60)
            assert await life.end() == 0
        assert aws.calls("GetModelInvocationJob") == gets
        assert len(aws.creates()) == 1
        record_property(
            "row", f"P46: ready after {ready_s:.1f} s with {KNOWN} known, {RUNNING} running; {memory_mb} MB"
        )
        assert ready_s < 15


def resident_mb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) // 1024
    return 0


def multiply(path: Path, arns: list[str]) -> None:
    """One running job becomes many: with a remote id each they run, without one they have ended."""
    with sqlite3.connect(path) as store:
        store.row_factory = sqlite3.Row
        job = dict(store.execute("SELECT * FROM jobs").fetchone())
        attempt = dict(store.execute("SELECT * FROM attempts").fetchone())
        base = job["id"]
        jobs, attempts = [], []
        for number in range(1, KNOWN):
            runs = number <= len(arns)
            remote = arns[number - 1] if runs else f"{job['remote_id'][:-12]}{number:012d}"
            change = {"id": base + number, "name": f"job-{number}", "uid": f"{number:016d}", "remote_id": remote}
            attempts.append({**attempt, "job_id": base + number, "remote_id": remote, "token": f"{number:016d}-1"})
            attempts[-1]["remote_name"] = f"theirs-{number}"
            if not runs:
                change |= {"phase": "Succeeded", "live": 0, "todo": None, "ended_at": job["accepted_at"]}
                attempts[-1] |= {"phase": "Succeeded", "ended_at": job["accepted_at"]}
            jobs.append({**job, **change})
        for table, rows in (("jobs", jobs), ("attempts", attempts)):
            columns = ", ".join(rows[0])
            places = ", ".join(f":{name}" for name in rows[0])
            store.executemany(f"INSERT INTO {table} ({columns}) VALUES ({places})", rows)  # noqa: S608 - names of its own schema
        store.execute("UPDATE lanes SET last_job = ? WHERE lane = ?", (base + KNOWN, job["lane"]))
