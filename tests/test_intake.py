"""From queues to the inbox, with a real store."""

import json
import resource
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from random import Random
from typing import Any

import anyio
import orjson
import pytest
import structlog

from controller import intake as intake_module
from controller.documents import Policy
from controller.events import INTAKE_LANE
from controller.intake import InboxFullError, Intake
from controller.kinds import KINDS
from controller.queues import Source
from controller.queues.dead_letters import open_dead_letter_queue
from controller.queues.opening import open_source
from controller.rejections import EXCERPT_BYTES_MAX, IntakeLane, excerpt
from controller.seams import Failpoint, SystemClock, no_failpoint
from controller.settings import QueueSettings
from controller.store import EntryType, LaneWrite, Store
from controller.store.opening import open_store
from tests.documents import BATCH, PROMPT, spec_of
from tests.moto_peer import boto, running_moto

LANE = f"default/{BATCH}"
POLICY = Policy(scopes={"default": frozenset()})


class CrashError(Exception):
    """The process ends here."""


def document(name: str, kind: str = BATCH, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "name": name, "spec": spec_of(kind)} | more


def encoded(*documents: Any) -> bytes:
    return orjson.dumps(documents[0] if len(documents) == 1 else list(documents))


@asynccontextmanager
async def opened_store(tmp_path: Path, failpoint: Failpoint = no_failpoint) -> AsyncIterator[Store]:
    url = f"sqlite:///{tmp_path / 'ferryman.db'}"
    async with open_store(url, clock=SystemClock(), failpoint=failpoint, lock_wait_s=5) as store:
        yield store


def intake_of(
    store: Store, *, failpoint: Failpoint = no_failpoint, woken: set[str] | None = None, **settings: Any
) -> Intake:
    return Intake(
        store,
        KINDS,
        POLICY,
        clock=SystemClock(),
        failpoint=failpoint,
        settings=QueueSettings(**settings),
        on_received=(set() if woken is None else woken).update,
        chance=Random(1),
    )


@asynccontextmanager
async def reading(intake: Intake, url: str, **settings: Any) -> AsyncIterator[Source]:
    queue = QueueSettings(**({"poll_s": 0.01, "wait_s": 1} | settings))
    opened = open_source(url, queue, clock=SystemClock(), chance=Random(1))
    async with opened as source, anyio.create_task_group() as running:
        with anyio.fail_after(30):
            await running.start(intake.run, source)
            yield source
        running.cancel_scope.cancel()


async def until(fact: Callable[[], bool]) -> None:
    with anyio.fail_after(20):
        while not fact():
            await anyio.sleep(0.005)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_module, "_FULL_PAUSE_S", 0.01)
    monkeypatch.setattr(intake_module, "_SIZE_KNOWN_S", 0.0)
    monkeypatch.setattr(intake_module, "_BACKOFF_S", 0.01)


async def test_submitted_documents_are_in_the_inbox_of_their_lanes(tmp_path: Path) -> None:
    woken: set[str] = set()
    async with opened_store(tmp_path) as store:
        intake = intake_of(store, woken=woken)
        receipts = await intake.submit(encoded(document("a"), document("p", PROMPT), document("b")), "http")
        entries = await store.inbox(LANE, 10)
        prompts = await store.inbox(f"default/{PROMPT}", 10)
    assert [receipt.identity for receipt in receipts] == [f"{LANE}/a", f"default/{PROMPT}/p", f"{LANE}/b"]
    assert all(receipt.accepted for receipt in receipts)
    assert [receipts[0].entry_id, receipts[2].entry_id] == [entry.id for entry in entries]
    assert [(entry.type, entry.name, entry.source) for entry in entries] == [
        (EntryType.DOCUMENT, "a", "http"),
        (EntryType.DOCUMENT, "b", "http"),
    ]
    assert orjson.loads(entries[0].body) == document("a") | {"scope": "default"}
    assert [entry.name for entry in prompts] == ["p"]
    assert woken == {LANE, f"default/{PROMPT}"}


POISON = [
    pytest.param(b"", id="empty"),
    pytest.param(b"{", id="torn"),
    pytest.param(b"null", id="null"),
    pytest.param(b'[1, "x", null]', id="a list of junk"),
    pytest.param(b"[]", id="an empty list"),
    pytest.param(encoded(document("a", kind=BATCH) | {"kind": "x.Y"}), id="unknown kind"),
    pytest.param(b'{"kind": "bedrock.ModelInvocationJob"}', id="missing fields"),
    pytest.param(encoded(document("a", colour="red")), id="unknown field"),
    pytest.param(encoded(document("a", priority="high")), id="wrong type"),
    pytest.param(b"[" * 5000, id="deep"),
    pytest.param(b"x" * 1_048_576, id="a megabyte of text"),
    pytest.param(b"\xff\xfe{}", id="not utf-8"),
    pytest.param(b'{"name": "\\ud800"}', id="lone surrogate"),
    pytest.param(b'{"generation": 1' + b"0" * 400 + b"}", id="10^400"),
    pytest.param(b'{"generation": NaN}', id="NaN"),
    pytest.param(encoded(document("x" * 5000)), id="a long name"),
    pytest.param(encoded(document("../x")), id="a path as name"),
    pytest.param(encoded(document("a\x00b")), id="NUL"),
]


@pytest.mark.parametrize("body", POISON)
async def test_poison_is_rejected_kept_and_in_nobodys_way(tmp_path: Path, body: bytes) -> None:
    async with opened_store(tmp_path) as store:
        intake = intake_of(store)
        with anyio.fail_after(5):
            poisoned = await intake.submit(body, "test")
            good = await intake.submit(encoded(document("good")), "test")
        assert poisoned
        assert not any(receipt.accepted for receipt in poisoned)
        assert all(receipt.accepted for receipt in good)
        rejected = await store.inbox(INTAKE_LANE, 10)
        assert [entry.id for entry in rejected] == [receipt.entry_id for receipt in poisoned]
        assert [entry.type for entry in rejected] == [EntryType.REJECTED] * len(poisoned)


async def test_a_bad_document_does_not_touch_its_neighbours(tmp_path: Path) -> None:
    async with opened_store(tmp_path) as store:
        receipts = await intake_of(store).submit(encoded(document("a"), {"name": "b"}, document("c")), "test")
        assert [entry.name for entry in await store.inbox(LANE, 10)] == ["a", "c"]
    assert [receipt.accepted for receipt in receipts] == [True, False, True]
    assert receipts[1].identity == "default/?/b"
    assert any("spec" in problem for problem in receipts[1].problems)


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        pytest.param(
            ".yaml", "kind: {kind}\nname: a\nspec: {spec}\n---\nkind: {kind}\nname: b\nspec: {spec}\n", id="yaml"
        ),
        pytest.param(
            ".jsonl",
            '{{"kind":"{kind}","name":"a","spec":{spec}}}\n{{"kind":"{kind}","name":"b","spec":{spec}}}\n',
            id="lines",
        ),
        pytest.param(
            "",
            '[{{"kind":"{kind}","name":"a","spec":{spec}}},{{"kind":"{kind}","name":"b","spec":{spec}}}]',
            id="stdin",
        ),
    ],
)
async def test_files_are_read_by_their_suffix(tmp_path: Path, suffix: str, text: str) -> None:
    data = text.format(kind=BATCH, spec=json.dumps(spec_of(BATCH))).encode()
    async with opened_store(tmp_path) as store:
        receipts = await intake_of(store).submit(data, "file:x", suffix)
    assert [(receipt.identity, receipt.problems) for receipt in receipts] == [(f"{LANE}/a", ()), (f"{LANE}/b", ())]


async def test_looking_has_no_effect(tmp_path: Path) -> None:
    async with opened_store(tmp_path) as store:
        receipts = await intake_of(store).look(encoded(document("a"), {}))
        assert await store.inbox_size() == 0
    assert [(receipt.accepted, receipt.entry_id) for receipt in receipts] == [(True, None), (False, None)]


async def test_a_full_inbox_takes_nothing(tmp_path: Path) -> None:
    async with opened_store(tmp_path) as store:
        intake = intake_of(store, inbox_max=2)
        await intake.submit(encoded(document("a"), document("b")), "test")
        with pytest.raises(InboxFullError):
            await intake.submit(encoded(document("c")), "test")
        assert await store.inbox_size() == 2


def spool_of(tmp_path: Path) -> Path:
    directory = tmp_path / "spool"
    directory.mkdir()
    return directory


async def test_a_spool_is_read_into_the_inbox(tmp_path: Path) -> None:
    directory = spool_of(tmp_path)
    (directory / "1.json").write_bytes(encoded(document("a"), document("b")))
    (directory / "2.json").write_bytes(encoded(document("c"), {"name": "bad"}))
    (directory / "3.json").symlink_to("/etc/passwd")
    async with opened_store(tmp_path) as store:
        intake = intake_of(store)
        async with reading(intake, f"dir:{directory}") as source:
            await until(lambda: intake.idle_polls(source.name) >= 2)
            (status,) = intake.status().values()
        entries = await store.inbox(LANE, 10)
        assert len(await store.inbox(INTAKE_LANE, 10)) == 2
    assert [(entry.name, entry.source) for entry in entries] == [
        ("a", f"dir:{directory}/1.json"),
        ("b", f"dir:{directory}/1.json"),
        ("c", f"dir:{directory}/2.json"),
    ]
    assert (status.deliveries, status.accepted, status.rejected) == (3, 3, 2)
    assert [path.name for path in (directory / "done").iterdir()] == ["1.json"]
    reason = (directory / "rejected" / "2.json.reason.txt").read_text()
    assert reason.startswith("1 accepted, 1 rejected\ndefault/?/bad: ")


async def test_an_empty_source_is_idle_and_a_document_ends_that(tmp_path: Path) -> None:
    directory = spool_of(tmp_path)
    async with opened_store(tmp_path) as store:
        intake = intake_of(store)
        assert intake.idle_polls(f"dir:{directory}") == 0
        async with reading(intake, f"dir:{directory}", poll_s=0.2) as source:
            await until(lambda: intake.idle_polls(source.name) >= 2)
            (directory / "x.part").write_bytes(encoded(document("a")))
            (directory / "x.part").rename(directory / "x.json")
            await until(lambda: intake.status()[source.name].accepted == 1)
            assert intake.idle_polls(source.name) <= 1


def crash_at(step: str) -> Failpoint:
    async def failpoint(reached: str) -> None:
        await anyio.lowlevel.checkpoint()
        if reached == step:
            raise CrashError

    return failpoint


@pytest.mark.parametrize(
    ("step", "entries"),
    [
        pytest.param("queue.acknowledge:before", 2, id="before: delivered again, and harmless"),
        pytest.param("queue.acknowledge:after", 1, id="after: once"),
    ],
)
async def test_a_crash_around_the_acknowledgement(tmp_path: Path, step: str, entries: int) -> None:
    directory = spool_of(tmp_path)
    (directory / "1.json").write_bytes(encoded(document("a")))
    async with opened_store(tmp_path) as store:
        with pytest.raises(BaseExceptionGroup) as crashed:
            async with reading(intake_of(store, failpoint=crash_at(step)), f"dir:{directory}"):
                await anyio.sleep_forever()
        assert crashed.group_contains(CrashError)
    async with opened_store(tmp_path) as store:
        intake = intake_of(store)
        async with reading(intake, f"dir:{directory}") as source:
            await until(lambda: intake.idle_polls(source.name) >= 2)
        found = await store.inbox(LANE, 10)
    assert len(found) == entries
    assert len({entry.body for entry in found}) == 1


@contextmanager
def full_disk() -> Iterator[None]:
    """No file can grow."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


async def test_nothing_is_acknowledged_while_the_store_cannot_be_written(tmp_path: Path) -> None:
    directory = spool_of(tmp_path)
    path = directory / "1.json"
    path.write_bytes(encoded(document("a")))
    async with opened_store(tmp_path) as store:
        intake = intake_of(store)
        with structlog.testing.capture_logs() as lines:
            with full_disk():
                async with reading(intake, f"dir:{directory}") as source:
                    await until(lambda: len(lines) >= 3)
                    assert path.exists()
                    assert intake.idle_polls(source.name) == 0
            assert {line["event"] for line in lines} == {"intake.store_unavailable"}
        async with reading(intake, f"dir:{directory}") as source:
            await until(lambda: intake.idle_polls(source.name) >= 2)
        assert [entry.name for entry in await store.inbox(LANE, 10)] == ["a"]
    assert not path.exists()


async def test_sources_wait_while_the_inbox_is_full_and_go_on_by_themselves(tmp_path: Path) -> None:
    directory = spool_of(tmp_path)
    for number in range(250):
        (directory / f"{number:03d}.json").write_bytes(encoded(document(f"n{number}")))
    names: list[str] = []
    async with opened_store(tmp_path) as store:
        intake = intake_of(store, inbox_max=50)
        record = await store.take_lane(LANE)
        with structlog.testing.capture_logs() as lines:
            async with reading(intake, f"dir:{directory}"):
                for size in (100, 100, 50):
                    await until(lambda: "intake.inbox_full" in [line["event"] for line in lines])
                    entries = await store.inbox(LANE, 1000)
                    assert len(entries) == size
                    lines.clear()
                    consumed = LaneWrite(lane=LANE, consumed=[entry.id for entry in entries])
                    record = await store.commit(record, consumed)
                    names += [entry.name for entry in entries]
    assert names == [f"n{number}" for number in range(250)]


async def test_a_source_that_fails_is_tried_again(tmp_path: Path) -> None:
    directory = spool_of(tmp_path)
    async with opened_store(tmp_path) as store:
        intake = intake_of(store)
        async with reading(intake, f"dir:{directory}") as source:
            directory.rename(tmp_path / "away")
            await until(lambda: intake.status()[source.name].failures >= 2)
            assert "cannot read" in intake.status()[source.name].problem
            assert intake.idle_polls(source.name) == 0
            (tmp_path / "away").rename(directory)
            (directory / "a.json").write_bytes(encoded(document("a")))
            await until(lambda: intake.status()[source.name].accepted == 1)


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with running_moto(monkeypatch) as url:
        yield url


def send(peer: str, url: str, bodies: Sequence[bytes]) -> None:
    client = boto("sqs", peer)
    for start in range(0, len(bodies), 10):
        part = bodies[start : start + 10]
        entries = [{"Id": str(place), "MessageBody": body.decode()} for place, body in enumerate(part)]
        client.send_message_batch(QueueUrl=url, Entries=entries)


async def test_a_queue_is_read_into_the_inbox_by_several_receivers(tmp_path: Path, peer: str) -> None:
    url = boto("sqs", peer).create_queue(QueueName="documents")["QueueUrl"]
    send(
        peer, url, [encoded(document(f"n{number}")) for number in range(95)] + [b"{", b"[1]", encoded({}), b"x", b"[]"]
    )
    async with opened_store(tmp_path) as store:
        intake = intake_of(store)
        async with reading(intake, f"sqs:{url}", receivers=4) as source:
            await until(lambda: intake.idle_polls(source.name) >= 2)
        entries = await store.inbox(LANE, 1000)
        assert len({entry.body for entry in await store.inbox(INTAKE_LANE, 1000)}) == 5
    # A standard queue may deliver twice, and so does its peer here when several receive at once.
    assert {entry.name for entry in entries} == {f"n{number}" for number in range(95)}
    counts = boto("sqs", peer).get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert counts["ApproximateNumberOfMessages"] == counts["ApproximateNumberOfMessagesNotVisible"] == "0"


@asynccontextmanager
async def consuming(lane: IntakeLane) -> AsyncIterator[None]:
    async with anyio.create_task_group() as running:
        with anyio.fail_after(20):
            await running.start(lane.run)
            yield
        running.cancel_scope.cancel()


async def emptied(store: Store) -> None:
    with anyio.fail_after(20):
        while await store.inbox(INTAKE_LANE, 1):
            await anyio.sleep(0.005)


async def test_rejected_documents_become_dead_letters_and_events(tmp_path: Path) -> None:
    commits: list[None] = []
    bad = {"name": "bad", "note": "https://h/x?X-Amz-Signature=canary", "pad": "y" * 9000}
    async with opened_store(tmp_path) as store:
        intake = intake_of(store)
        lane = IntakeLane(store, SystemClock(), chance=Random(1), on_committed=lambda: commits.append(None))
        async with consuming(lane):
            await intake.submit(encoded(bad, {"name": "worse"}), "http")
            lane.wake()
            await emptied(store)
            await intake.submit(b"{", "http")
            lane.wake()
            await emptied(store)
        letters = await store.list_dead_letters(0, 10)
        events = [orjson.loads(event.body) for event in await store.events_after(INTAKE_LANE, 0, 10)]
    assert commits
    assert [letter.subject for letter in letters] == ["default/?/bad", "default/?/worse", "?/?/?"]
    assert {letter.what for letter in letters} == {"document"}
    assert orjson.loads(letters[0].body) == bad
    assert [event["id"] for event in events] == ["intake-1", "intake-2", "intake-3"]
    assert {event["type"] for event in events} == {"ferryman.document.rejected"}
    assert events[0]["subject"] == "default/?/bad"
    assert set(events[0]["data"]) == {"source", "reason", "problems", "document"}
    assert events[0]["data"]["source"] == "http"
    assert len(events[0]["data"]["document"]) <= EXCERPT_BYTES_MAX
    assert "canary" not in json.dumps(events)


async def test_sequences_go_on_after_a_restart(tmp_path: Path) -> None:
    for _ in range(2):
        async with opened_store(tmp_path) as store:
            lane = IntakeLane(store, SystemClock(), chance=Random(1), on_committed=lambda: None)
            await intake_of(store).submit(b"{", "http")
            async with consuming(lane):
                await emptied(store)
    async with opened_store(tmp_path) as store:
        ids = [event.id for event in await store.events_after(INTAKE_LANE, 0, 10)]
    assert ids == ["intake-1", "intake-2"]


async def test_the_dead_letter_queue_receives_what_was_rejected(tmp_path: Path, peer: str) -> None:
    url = boto("sqs", peer).create_queue(QueueName="dead")["QueueUrl"]
    async with (
        opened_store(tmp_path) as store,
        open_dead_letter_queue(f"sqs:{url}", clock=SystemClock(), chance=Random(1), environment={}) as queue,
    ):
        lane = IntakeLane(store, SystemClock(), chance=Random(1), dead_letter_queue=queue, on_committed=lambda: None)
        await intake_of(store).submit(b"[1]", "http")
        async with consuming(lane):
            await emptied(store)
    (message,) = boto("sqs", peer).receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"]
    assert message["Body"] == "1"
    assert message["MessageAttributes"]["source"]["StringValue"] == "http"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("plain", "plain", id="plain"),
        pytest.param("ü" * 5000, "ü" * (EXCERPT_BYTES_MAX // 2), id="cut between characters"),
        pytest.param('"https://h/p?X-Amz-Signature=s"', '"https://h/p?***"', id="presigned"),
        pytest.param('"https:\\/\\/h\\/p?sig=s"', '"https:\\/\\/h\\/p?***"', id="escaped slashes"),
        pytest.param("https://u:p@h/x", "https://***@h/x", id="credentials"),
        pytest.param("x" * 4080 + "https://h/?secret", "x" * 4080 + "https://h/?***", id="cut within the query"),
    ],
)
def test_excerpts(text: str, expected: str) -> None:
    assert excerpt(text) == expected
