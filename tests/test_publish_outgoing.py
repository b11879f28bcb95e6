"""What may be sent next, as tables and as properties over any history."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.outgoing import READ_AHEAD_MAX, Outgoing, Reading
from controller.sinks import EVENT_OVERHEAD, Outcome
from controller.store import OutboxEvent
from tests.outbox_events import outbox_event


@dataclass
class AnySink:
    """The limits of a sink; nothing is sent in these tests."""

    name: str = "any"
    batch_max: int = 10
    bytes_max: int = 1 << 20
    whole: bool = False

    async def deliver(self, events: Sequence[OutboxEvent]) -> Sequence[Outcome]:
        raise NotImplementedError(events)


def window(subjects: str, *, lane: str = "l", capacity: int = 100) -> Outgoing:
    """A window that holds one event for each letter, of the job with that letter, with `seq` from 1."""
    outgoing = Outgoing({}, capacity)
    fill(outgoing, {lane: [outbox_event(seq, subject=job, lane=lane) for seq, job in enumerate(subjects, start=1)]})
    return outgoing


def fill(outgoing: Outgoing, log: dict[str, list[OutboxEvent]]) -> None:
    for reading in outgoing.to_read({lane: events[-1].seq for lane, events in log.items() if events}):
        events = [event for event in log[reading.lane] if event.seq > reading.seq][: reading.limit]
        outgoing.add(reading, events, events)


def chosen(outgoing: Outgoing, sink: AnySink, now: float = 0.0, limit: int | None = None) -> list[int]:
    return [each.event.seq for each in outgoing.batch(sink, now, limit or sink.batch_max)]


@pytest.mark.parametrize(
    ("subjects", "sink", "expected"),
    [
        pytest.param("abc", AnySink(), [1, 2, 3], id="different jobs go together"),
        pytest.param("aab", AnySink(), [1, 3], id="one event of a job"),
        pytest.param("aab", AnySink(whole=True), [1, 2, 3], id="a whole sink takes them in order"),
        pytest.param("abcd", AnySink(batch_max=2), [1, 2], id="as many as it takes"),
        pytest.param("abc", AnySink(bytes_max=2 * (EVENT_OVERHEAD + 120)), [1, 2], id="as many bytes as it takes"),
        pytest.param("abc", AnySink(bytes_max=1), [1], id="a large one goes alone"),
        pytest.param("", AnySink(), [], id="nothing"),
    ],
)
def test_a_batch(subjects: str, sink: AnySink, expected: list[int]) -> None:
    assert chosen(window(subjects), sink) == expected


@pytest.mark.parametrize(
    ("whole", "expected"),
    [
        pytest.param(False, [2], id="others go past, its job waits"),
        pytest.param(True, [], id="a whole sink waits"),
    ],
)
def test_an_event_that_was_put_off(whole: bool, expected: list[int]) -> None:
    outgoing = window("aba")
    (first,) = outgoing.batch(AnySink(), 0.0, 1)
    first.due_at = 5.0
    assert chosen(outgoing, AnySink(whole=whole), now=4.0) == expected
    assert chosen(outgoing, AnySink(whole=whole), now=5.0) == ([1, 2, 3] if whole else [1, 2])
    assert outgoing.next_due(4.0) == 5.0


def test_a_cursor_stops_before_what_is_unsettled() -> None:
    outgoing = window("abcd")
    first, second, _third, _fourth = outgoing.batch(AnySink(), 0.0, 10)
    outgoing.settle(second.event)
    assert outgoing.moved() == {}
    outgoing.settle(first.event)
    assert outgoing.moved() == {"l": 2}
    outgoing.recorded({"l": 2})
    assert outgoing.moved() == {}
    assert outgoing.depth == 2


def test_events_that_are_not_wanted_move_the_cursor() -> None:
    outgoing = Outgoing({"l": 3}, 100)
    (reading,) = outgoing.to_read({"l": 9})
    assert reading == Reading("l", 3, 100)
    outgoing.add(reading, [outbox_event(seq, lane="l") for seq in (4, 7, 9)], [])
    assert outgoing.moved() == {"l": 9}


def test_a_gap_at_the_end_moves_the_cursor() -> None:
    outgoing = Outgoing({"l": 3}, 100)
    (reading,) = outgoing.to_read({"l": 9})
    outgoing.add(reading, [], [])
    assert outgoing.moved() == {"l": 9}
    assert not outgoing.to_read({"l": 9})


def test_a_full_answer_does_not_move_past_its_end() -> None:
    outgoing = Outgoing({}, 2)
    (reading,) = outgoing.to_read({"l": 9})
    outgoing.add(reading, [outbox_event(1, lane="l"), outbox_event(2, lane="l")], [])
    assert outgoing.moved() == {"l": 2}


def test_lanes_take_turns() -> None:
    outgoing = Outgoing({}, 100)
    fill(outgoing, {lane: [outbox_event(seq, lane=lane) for seq in range(1, 30)] for lane in "xyz"})
    firsts = [outgoing.batch(AnySink(), 0.0, 1)[0].event.lane for _ in range(3)]
    assert sorted(firsts) == ["x", "y", "z"]


def test_the_room_is_shared_between_lanes() -> None:
    outgoing = Outgoing({}, 10)
    assert [reading.limit for reading in outgoing.to_read({"x": 1000, "y": 1000, "z": 0})] == [5, 5]
    assert len(Outgoing({}, 2).to_read(dict.fromkeys("abcd", 5))) == 2


def test_reading_ahead_of_a_failing_event_is_bounded() -> None:
    outgoing = Outgoing({}, 100)
    last = 3 * READ_AHEAD_MAX
    seq = 0
    while readings := outgoing.to_read({"l": last}):
        events = [outbox_event(seq + place, lane="l") for place in range(1, readings[0].limit + 1)]
        outgoing.add(readings[0], events, events)
        for event in events:
            if event.seq > 1:
                outgoing.settle(event)
        seq = events[-1].seq
    assert READ_AHEAD_MAX <= seq <= READ_AHEAD_MAX + 200
    assert outgoing.moved() == {}


@given(
    lanes=st.lists(st.text("abcd", max_size=40), min_size=1, max_size=3),
    whole=st.booleans(),
    batch_max=st.integers(1, 5),
    capacity=st.integers(1, 20),
    data=st.data(),
)
def test_any_history_delivers_everything_in_order_and_the_cursor_is_never_ahead(
    lanes: list[str], whole: bool, batch_max: int, capacity: int, data: st.DataObject
) -> None:
    log = {
        str(place): [
            outbox_event(seq, subject=f"{place}/{job}", lane=str(place)) for seq, job in enumerate(jobs, start=1)
        ]
        for place, jobs in enumerate(lanes)
    }
    sink = AnySink(batch_max=batch_max, whole=whole)
    outgoing = Outgoing({}, capacity)
    delivered: list[OutboxEvent] = []
    now = 0.0
    for _ in range(2000):
        fill(outgoing, log)
        batch = outgoing.batch(sink, now, batch_max)
        subjects = [waiting.event.subject for waiting in batch]
        assert whole or len(set(subjects)) == len(subjects)
        if not batch and outgoing.next_due(now) is None:
            break
        if not batch:
            now += 1.0
        fails_whole = whole and data.draw(st.booleans(), label="the batch fails") and now < 50
        for waiting in batch:
            if fails_whole or (not whole and now < 50 and data.draw(st.booleans(), label="it fails")):
                waiting.due_at = now + data.draw(st.integers(0, 3), label="pause")
            else:
                delivered.append(waiting.event)
                outgoing.settle(waiting.event)
        now += 0.5
        settled = {(event.lane, event.seq) for event in delivered}
        for lane, seq in outgoing.moved().items():
            assert all((lane, earlier) in settled for earlier in range(1, seq + 1))
    assert sorted((event.lane, event.seq) for event in delivered) == [
        (lane, event.seq) for lane, events in sorted(log.items()) for event in events
    ]
    for subject in {event.subject for event in delivered}:
        order = [event.seq for event in delivered if event.subject == subject]
        assert order == sorted(order)
    assert outgoing.depth == 0
