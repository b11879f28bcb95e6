"""The service over a real store: documents, commands, lists, numbers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from controller.control import Control
from controller.control.history import BadCursorError, decode_cursor, encode_cursor
from controller.errors import NotFoundError
from controller.model import Identity, Phase, Todo
from controller.status import LaneStatus, RateStatus, SlotStatus
from controller.store import EntryType, Selection
from tests.documents import BATCH, PROMPT, document
from tests.http.rig import TIMEOUT_S, batch, names, serving, until

LANE = f"default/{BATCH}"


def identity(name: str) -> Identity:
    return Identity("default", BATCH, name)


async def test_each_document_gets_its_own_answer_in_order(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        await service.send(batch("known", generation=2))
        answers = await service.send(
            batch("new"), {"kind": "nonsense", "name": "x"}, batch("known", generation=2), batch("known", generation=1)
        )
        assert [answer["answer"] for answer in answers] == ["accepted", "rejected", "unchanged", "ignored"]
        assert [answer["index"] for answer in answers] == [0, 1, 2, 3]
        assert answers[0]["job"] == {"scope": "default", "kind": BATCH, "name": "new"}
        assert answers[0]["uid"] is not None
        assert [bool(answer["problems"]) for answer in answers] == [False, True, False, False]
        assert answers[1]["job"] == {"scope": "default", "kind": "nonsense", "name": "x"}


async def test_without_a_wait_the_answer_is_pending_and_the_document_durable(tmp_path: Path) -> None:
    async with serving(tmp_path, orders=False) as service:
        (answer,) = await service.send(batch("one"), wait_s=0)
        assert answer["answer"] == "pending"
        assert answer["inboxId"] > 0
        assert await service.store.inbox_size() == 1


async def test_a_dry_run_says_the_same_and_writes_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        await service.send(batch("known", generation=2))
        sent = [batch("new"), batch("new"), {"kind": BATCH}, batch("known", generation=1), batch("known", generation=2)]
        looked = await service.control.dry_run(orjson.dumps(sent))
        assert await service.store.inbox_size() == 0
        assert await service.store.find_job(identity("new")) is None
        done = await service.send(*sent)
        assert [view["answer"] for view in looked] == [view["answer"] for view in done]
        assert [view["answer"] for view in looked] == ["accepted", "unchanged", "rejected", "ignored", "unchanged"]
        assert looked[2]["problems"] == done[2]["problems"]


async def test_commands_are_applied_by_the_lane_and_their_verdict_heard(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        await service.send(batch("one"))
        stopped = await service.control.command(EntryType.STOP, identity("one"))
        assert (stopped["answer"], stopped["message"]) == ("accepted", "stopping")
        assert (await service.control.job(identity("one")))["phase"] == "Stopped"
        again = await service.control.command(EntryType.STOP, identity("one"))
        assert again["answer"] == "unchanged"
        assert (await service.control.command(EntryType.RETRY, identity("one")))["answer"] == "accepted"
        refused = await service.control.command(EntryType.RESOLVE, identity("one"), {"retry": True})
        assert (refused["answer"], refused["message"]) == ("rejected", "the job is Pending, not Uncertain")


async def test_a_command_to_a_job_that_does_not_exist(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        with pytest.raises(NotFoundError, match="there is no job default/"):
            await service.control.command(EntryType.STOP, identity("none"))
        with pytest.raises(NotFoundError, match="there is no job default/"):
            await service.control.job(identity("none"))
        with pytest.raises(ValueError, match="no command"):
            await service.control.command(EntryType.PAUSE, identity("none"))


async def test_a_command_right_behind_its_document_finds_the_job(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        await service.send(*(batch(f"job-{number}") for number in range(50)), wait_s=0)
        answer = await service.control.command(EntryType.STOP, identity("job-49"), wait_s=TIMEOUT_S)
        assert answer["answer"] == "accepted"


async def test_an_uncertain_job_is_resolved(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        await service.send(batch("one"))
        await service.move("one", Phase.UNCERTAIN)
        answer = await service.control.command(EntryType.RESOLVE, identity("one"), {"fail": True})
        assert (answer["answer"], answer["message"]) == ("accepted", "failed")
        job = await service.control.job(identity("one"))
        assert (job["phase"], job["reason"]) == ("Failed", "Lost")


async def test_bulk_commands_go_on_page_by_page_and_their_dry_run_writes_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        await service.send(*(batch(f"job-{number:03d}", labels={"run": "a"}) for number in range(30)))
        await service.send(batch("other", labels={"run": "b"}))
        selection = Selection(labels={"run": "a"})
        looked = await service.control.command_all(EntryType.STOP, selection, dry_run=True)
        assert looked["counts"]["accepted"] == 30
        assert looked["dryRun"] is True
        assert (await service.control.summary())["phases"]["Pending"] == 31
        first = await service.control.command_all(EntryType.STOP, selection, limit=20, wait_s=TIMEOUT_S)
        assert (first["counts"]["accepted"], len(first["items"])) == (20, 20)
        second = await service.control.command_all(
            EntryType.STOP, selection, after=first["next"], limit=20, wait_s=TIMEOUT_S
        )
        assert (second["counts"]["accepted"], second["next"]) == (10, None)
        assert await service.store.count_jobs(Selection(phases=frozenset({Phase.STOPPED}))) == 30


async def test_pages_are_newest_first_without_gap_or_repetition(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        await service.send(*(batch(f"job-{number:03d}") for number in range(25)))
        seen: list[str] = []
        cursor = None
        while True:
            page = await service.control.jobs(Selection(), cursor, 10)
            seen += names(page["items"])
            cursor = page["next"]
            if cursor is None:
                break
        assert seen == [f"job-{number:03d}" for number in reversed(range(25))]


async def test_every_waiting_job_of_a_page_shows_its_exact_place(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        documents = [
            batch(f"job-{number:03d}", priority=number % 3 - 1, group=f"g{number % 7}") for number in range(90)
        ]
        await service.send(*documents, document(PROMPT, "p"), document(PROMPT, "q"))
        await service.move("job-085", Phase.RUNNING)
        page = await service.control.jobs(Selection(), None, 100)
        shown = {view["name"]: view["queue"]["position"] for view in page["items"] if view["kind"] == BATCH}
        assert len(shown) == 90
        assert shown.pop("job-085") is None
        for name, place in shown.items():
            job = await service.store.find_job(identity(name))
            assert job is not None
            assert place == await service.store.queue_position(job) + 1
        elsewhere = [view["queue"]["position"] for view in page["items"] if view["kind"] == PROMPT]
        assert elsewhere == [2, 1]


ESTIMATES = [
    pytest.param(LaneStatus(LANE, rates={"create": RateStatus(rate=0.5, ceiling=2)}), 4.0, id="by rate"),
    pytest.param(LaneStatus(LANE, rates={"create": RateStatus(rate=0.5, ceiling=2)}, paused=True), None, id="paused"),
    pytest.param(
        LaneStatus(LANE, rates={"create": RateStatus(rate=0.5, ceiling=2)}, unavailable="x"), None, id="no scope"
    ),
    pytest.param(LaneStatus(LANE), None, id="nothing known"),
    pytest.param(
        LaneStatus(LANE, slots={"*": SlotStatus(used=1, ours=1, ceiling=1, configured=1)}), None, id="nothing learned"
    ),
    pytest.param(
        LaneStatus(LANE, slots={"*": SlotStatus(used=1, ours=1, ceiling=1, configured=1)}, median_s={"*": 10.0}),
        30.0,
        id="by slots",
    ),
]


@pytest.mark.parametrize(("status", "eta_s"), ESTIMATES)
async def test_the_estimate_of_the_last_of_three(tmp_path: Path, status: LaneStatus, eta_s: float | None) -> None:
    async with serving(tmp_path) as service:
        await service.send(*(batch(f"job-{number}") for number in (0, 5, 10)))
        key = (await service.store.queue_keys(LANE))[0]
        service.state.statuses[LANE] = replace(
            status,
            slots={key: slot for slot in status.slots.values()},  # noqa: B035 - one at most
            median_s={key: median_s for median_s in status.median_s.values()},  # noqa: B035 - one at most
        )
        job = await service.control.job(identity("job-10"))
        assert job["queue"] == {"position": 3, "etaSeconds": eta_s}
        lane = next(lane for lane in await service.control.lanes() if lane["lane"] == LANE)
        assert lane["etaSeconds"] == eta_s


async def test_jobs_that_want_other_slots_are_not_counted_against_them(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        await service.send(*(batch(f"job-{number}", number) for number in range(10)))
        keys = await service.store.queue_keys(LANE)
        assert len(keys) == 5
        free = SlotStatus(used=0, ours=0, ceiling=3, configured=3)
        service.state.statuses[LANE] = LaneStatus(
            LANE, rates={"create": RateStatus(rate=1, ceiling=1)}, slots=dict.fromkeys(keys, free)
        )
        last = await service.control.job(identity("job-9"))
        assert last["queue"] == {"position": 10, "etaSeconds": 9.0}
        assert (await service.control.summary())["etaSeconds"] == 9.0


FULL = SlotStatus(used=1, ours=1, ceiling=1, configured=1)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        pytest.param(LaneStatus(LANE), "Queued", id="nothing in the way"),
        pytest.param(LaneStatus(LANE, paused=True), "Paused", id="paused"),
        pytest.param(LaneStatus(LANE, unavailable="no credentials"), "ScopeUnavailable", id="scope"),
        pytest.param(LaneStatus(LANE, slots={"any": FULL}), "QuotaFull", id="quota"),
        pytest.param(LaneStatus(LANE, create_delay_s=1), "RateLimited", id="rate"),
    ],
)
async def test_a_derived_reason_is_shown_found_and_counted(tmp_path: Path, status: LaneStatus, reason: str) -> None:
    async with serving(tmp_path) as service:
        await service.send(batch("waits"), batch("delayed"), document(PROMPT, "elsewhere"))
        await service.move("delayed", Phase.PENDING, reason="Backoff", todo=Todo.DELAY, due_at=9e9)
        key = (await service.store.queue_keys(LANE))[0]
        service.state.statuses[LANE] = replace(status, slots=dict.fromkeys([key], FULL) if status.slots else {})
        found = await service.control.jobs(Selection(kind=BATCH, reasons=frozenset({reason})), None, 10)
        assert [(view["name"], view["reason"]) for view in found["items"]] == [("waits", reason)]
        for other in {"Queued", "Paused", "ScopeUnavailable", "QuotaFull", "RateLimited"} - {reason}:
            page = await service.control.jobs(Selection(kind=BATCH, reasons=frozenset({other})), None, 10)
            assert page["items"] == []
        lane = next(lane for lane in (await service.control.summary())["lanes"] if lane["lane"] == LANE)
        assert lane["reasons"] == {reason: 1, "Backoff": 1}


async def test_reason_filters_that_name_stored_reasons_and_phases(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        await service.send(*(batch(name) for name in ("waits", "failed", "delayed")))
        await service.move("failed", Phase.FAILED, reason="JobFailed", ended_at=1.0)
        await service.move("delayed", Phase.PENDING, reason="Backoff", todo=Todo.DELAY, due_at=9e9)

        async def found(**filters: Any) -> set[str]:
            page = await service.control.jobs(Selection(**filters), None, 10)
            return set(names(page["items"]))

        assert await found(reasons=frozenset({"JobFailed"})) == {"failed"}
        assert await found(reasons=frozenset({"Backoff", "JobFailed"})) == {"failed", "delayed"}
        assert await found(reasons=frozenset({"Queued", "JobFailed"})) == {"failed", "waits"}
        assert await found(reasons=frozenset({"Queued"}), phases=frozenset({Phase.FAILED})) == set()
        assert await found(phases=frozenset({Phase.PENDING})) == {"waits", "delayed"}


async def test_only_what_has_failed_counts_as_failed_and_is_run_again_for_its_reason(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        await service.send(*(batch(name) for name in ("failed", "deleted", "stopped")))
        await service.move("failed", Phase.FAILED, reason="JobFailed", ended_at=1.0)
        await service.move("deleted", Phase.DELETED, reason="JobFailed", ended_at=1.0)
        await service.move("stopped", Phase.STOPPED, reason="ServiceError", ended_at=1.0)
        assert (await service.control.summary())["reasons"] == {"JobFailed": 1}
        failures = Selection(reasons=frozenset({"JobFailed"}))
        looked = await service.control.command_all(EntryType.RETRY, failures, dry_run=True)
        assert [item["job"]["name"] for item in looked["items"]] == ["failed"]
        named = Selection(reasons=frozenset({"JobFailed"}), phases=frozenset({Phase.DELETED}))
        looked = await service.control.command_all(EntryType.RETRY, named, dry_run=True)
        assert [item["answer"] for item in looked["items"]] == ["rejected"]
        done = await service.control.command_all(EntryType.RETRY, failures, wait_s=TIMEOUT_S)
        assert done["counts"] == {"accepted": 1, "unchanged": 0, "ignored": 0, "rejected": 0, "pending": 0}


@pytest.mark.parametrize("world", ["simulated", "aws"])
async def test_the_summary_says_which_world_it_is_of(tmp_path: Path, world: str) -> None:
    async with serving(tmp_path) as service:
        await service.store.remember({"world": world})
        assert (await service.control.summary())["simulated"] is (world == "simulated")


async def test_the_summary_counts_everything_and_estimates(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        await service.send(*(batch(f"job-{number}") for number in range(11)), document(PROMPT, "p"), {"kind": "x"})
        await service.move("job-0", Phase.RUNNING)
        service.state.statuses[LANE] = LaneStatus(LANE, rates={"create": RateStatus(rate=2, ceiling=2)})

        async def rejected() -> bool:
            return bool(await service.store.count_dead_letters())

        await until(rejected)
        summary = await service.control.summary()
        assert (summary["phases"]["Pending"], summary["phases"]["Running"]) == (11, 1)
        assert summary["waiting"] == 11
        assert summary["deadLetters"] == 1
        assert (summary["instance"], summary["ready"]) == ("test", True)
        lanes = {lane["lane"]: lane for lane in await service.control.lanes()}
        assert len(lanes) == 4
        assert sum(queue["waiting"] for queue in lanes[LANE]["queues"]) == 10
        assert lanes[LANE]["etaSeconds"] > 0


async def test_lanes_are_paused_and_resumed(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        (one,) = await service.control.pause("default/ModelInvocationJob", "maintenance")
        assert (one["lane"], one["answer"]) == (LANE, "accepted")
        lane = next(lane for lane in await service.control.lanes() if lane["lane"] == LANE)
        assert (lane["paused"], lane["pauseReason"]) == (True, "maintenance")
        everywhere = await service.control.pause()
        assert sorted(view["answer"] for view in everywhere) == ["accepted"] * 3 + ["unchanged"]
        assert {view["answer"] for view in await service.control.resume()} == {"accepted"}
        with pytest.raises(NotFoundError, match="is no lane"):
            await service.control.pause("default/nothing")


async def test_events_are_read_page_by_page_and_each_once(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        await service.send(*(batch(f"job-{number}") for number in range(7)), document(PROMPT, "p"))
        seen: list[str] = []
        cursor = None
        for _ in range(20):
            page = await service.control.events(cursor, None, 3)
            seen += [event["id"] for event in page["items"]]
            cursor = page["next"]
            if not page["items"]:
                break
        assert len(seen) == len(set(seen)) == 8
        present = await service.control.present()
        assert (await service.control.events(present, None, 10))["items"] == []
        await service.control.command(EntryType.STOP, identity("job-3"))
        types = [event["type"] for event in (await service.control.events(present, None, 10))["items"]]
        assert types == ["ferryman.job.updated", "ferryman.job.stopped"]
        subject = str(identity("job-3"))
        last = await service.control.last_events(subject, 2)
        assert [event["type"] for event in last["items"]] == types
        about = await service.control.events(None, subject, 10)
        assert len(about["items"]) == 3


async def test_following_gives_each_event_a_cursor_to_resume_behind_it(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        await service.send(*(batch(f"job-{number}") for number in range(4)), document(PROMPT, "p"))
        everything, _ = await service.control.following("start", None, 100)
        assert len(everything) == 5
        for place, event in enumerate(everything):
            rest, _ = await service.control.following(event.cursor, None, 100)
            assert [later.body for later in rest] == [later.body for later in everything[place + 1 :]]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("!", id="no base64"),
        pytest.param("e30x", id="no JSON"),
        pytest.param("W10", id="a list"),
        pytest.param(encode_cursor({"a": -1}), id="negative"),
        pytest.param("eyJhIjp0cnVlfQ", id="no number"),
        pytest.param("A" * 70_000, id="too long"),
        pytest.param("ü", id="not ASCII"),
    ],
)
def test_a_cursor_that_is_none_of_ours_is_refused(text: str) -> None:
    with pytest.raises(BadCursorError):
        decode_cursor(text)


def test_a_cursor_survives_its_text_form() -> None:
    assert decode_cursor(encode_cursor({LANE: 7, "intake": 0})) == {LANE: 7, "intake": 0}
    assert decode_cursor("start") == decode_cursor(None) == {}


async def test_dead_letters_are_listed_and_sent_again_once_they_are_valid(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        await service.send(batch("one", generation=5), {"kind": "nonsense", "name": "x"})
        (refused,) = await service.send({**batch("one", 1, generation=6)})
        assert refused["answer"] == "accepted"
        await service.control.command(EntryType.STOP, identity("one"))
        (refused,) = await service.send({**batch("one", 2, generation=7)})
        assert refused["answer"] == "rejected"

        async def both_kept() -> bool:
            return await service.store.count_dead_letters() == 2

        await until(both_kept)
        first = await service.control.dead_letters(0, 1)
        second = await service.control.dead_letters(int(first["next"]), 10)
        letters = {letter["subject"]: letter for letter in (*first["items"], *second["items"])}
        assert len(letters) == 2
        invalid, valid = letters["default/nonsense/x"]["id"], letters[str(identity("one"))]["id"]
        results = await service.control.requeue([invalid, valid, 999_999])
        assert [result["answer"] for result in results] == ["rejected", "accepted", "rejected"]

        async def applied() -> bool:
            return not await service.store.inbox_size()

        await until(applied)
        kept = [letter["id"] for letter in (await service.control.dead_letters())["items"]]
        assert invalid in kept
        assert valid not in kept
        results = await service.control.discard([invalid, valid])
        assert [result["answer"] for result in results] == ["accepted", "rejected"]
        assert await service.store.count_dead_letters() == len(kept) - 1


async def test_readiness_names_what_is_in_the_way(tmp_path: Path) -> None:
    async with serving(tmp_path, orders=False, queue={"inbox_max": 2}) as service:
        control: Control = service.control
        assert await control.why_not_ready() == ""
        await service.send(batch("a"), batch("b"), wait_s=0)
        assert await control.why_not_ready() == "the inbox is full"
        service.state.ready = False
        assert await control.why_not_ready() == "starting"
        service.state.ready = True
        control.shutdown()
        assert service.state.stopped.is_set()
        assert await control.why_not_ready() == "stopping"
