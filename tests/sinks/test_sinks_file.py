"""The file sink on a real file, and the log sink."""

import os
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIG_IGN, SIGXFSZ, signal

import orjson
import pytest
import structlog

from controller.errors import SettingsError
from controller.seams import SystemClock
from controller.settings import EventSettings
from controller.settings import Sink as SinkSettings
from controller.sinks import Delivered, Later, Sink, Subscription
from controller.sinks.log import LogSink
from controller.sinks.opening import open_sink, open_subscriptions
from tests.outbox_events import outbox_event


@asynccontextmanager
async def file_sink(path: Path) -> AsyncIterator[Sink]:
    async with open_sink(SinkSettings(url=f"file:{path}"), timeout_s=5, clock=SystemClock()) as sink:
        yield sink


def ids(path: Path) -> list[str]:
    return [orjson.loads(line)["id"] for line in path.read_bytes().splitlines()]


async def test_events_are_appended_as_lines(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    events = [outbox_event(seq) for seq in range(5)]
    for part in (events[:3], events[3:]):
        async with file_sink(path) as sink:
            assert sink.name == f"file:{path}"
            assert await sink.deliver(part) == [Delivered()] * len(part)
    assert path.read_bytes() == b"".join(event.body + b"\n" for event in events)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(b"", b"", id="empty"),
        pytest.param(b"{}\n", b"{}\n", id="whole"),
        pytest.param(b'{}\n{"specversion":"1.0","id":"to', b"{}\n", id="torn"),
        pytest.param(b'{"specversion":"1.0","id":"to', b"", id="torn first line"),
        pytest.param(b'{}\n{"spec', b"{}\n", id="torn early"),
        pytest.param(b"# somebody's notes", b"# somebody's notes\n", id="another's last line"),
    ],
)
async def test_a_torn_last_line_is_repaired(tmp_path: Path, before: bytes, after: bytes) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(before)
    async with file_sink(path) as sink:
        assert path.read_bytes() == after
        await sink.deliver([outbox_event(1)])
    assert path.read_bytes() == after + outbox_event(1).body + b"\n"


async def test_a_rotated_file_is_opened_anew(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    async with file_sink(path) as sink:
        await sink.deliver([outbox_event(1)])
        path.rename(tmp_path / "events.1")
        await sink.deliver([outbox_event(2)])
        path.unlink()
        await sink.deliver([outbox_event(3)])
    assert ids(tmp_path / "events.1") == [outbox_event(1).id]
    assert ids(path) == [outbox_event(3).id]


async def test_a_truncated_file_is_written_on(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    async with file_sink(path) as sink:
        await sink.deliver([outbox_event(1)])
        os.truncate(path, 0)
        await sink.deliver([outbox_event(2)])
    assert ids(path) == [outbox_event(2).id]


async def test_a_batch_that_does_not_fit_is_taken_back_whole(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal(SIGXFSZ, SIG_IGN)
    async with file_sink(path) as sink:
        await sink.deliver([outbox_event(1)])
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
        try:
            outcomes = await sink.deliver([outbox_event(2), outbox_event(3, size=8000)])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal(SIGXFSZ, before)
        assert outcomes == [Later(f"cannot write {path}: File too large")] * 2
        assert ids(path) == [outbox_event(1).id]
        assert await sink.deliver([outbox_event(2)]) == [Delivered()]
    assert ids(path) == [outbox_event(1).id, outbox_event(2).id]


async def test_a_folder_that_goes_away_is_waited_for(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    async with file_sink(folder / "events.jsonl") as sink:
        folder.rename(tmp_path / "elsewhere")
        assert await sink.deliver([outbox_event(1)]) == [
            Later(f"cannot write {folder / 'events.jsonl'}: No such file or directory")
        ]
        folder.mkdir()
        assert await sink.deliver([outbox_event(1)]) == [Delivered()]


@pytest.mark.parametrize("kind", ["folder", "fifo", "missing folder"])
async def test_what_is_no_file_is_refused_at_start(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path = path / "y"
    with pytest.raises(SettingsError, match="events cannot be written to"):
        async with file_sink(path):
            pass


async def test_the_log_sink_writes_a_line_for_each_event() -> None:
    with structlog.testing.capture_logs() as lines:
        assert await LogSink().deliver([outbox_event(1), outbox_event(2)]) == [Delivered(), Delivered()]
    assert [(line["event"], line["id"]) for line in lines] == [
        ("ferryman.job.created", outbox_event(1).id),
        ("ferryman.job.created", outbox_event(2).id),
    ]
    assert lines[0]["data"] == {"pad": ""}


@pytest.mark.parametrize(
    ("types", "wanted"),
    [
        pytest.param(("*",), True, id="all"),
        pytest.param(("ferryman.job.*",), True, id="family"),
        pytest.param(("ferryman.lane.*", "ferryman.job.created"), True, id="one of two"),
        pytest.param(("ferryman.lane.*",), False, id="another family"),
        pytest.param((), False, id="none"),
    ],
)
def test_types(types: tuple[str, ...], wanted: bool) -> None:
    assert Subscription(LogSink(), types).wants("ferryman.job.created") is wanted


@pytest.mark.parametrize(
    ("sinks", "part"),
    [
        pytest.param(["log:", "log:"], "named twice", id="twice"),
        pytest.param([{"url": "log:", "types": ["ferryman.job.creatd"]}], "matches no type", id="misspelt type"),
    ],
)
async def test_sinks_that_do_not_go_together(sinks: list[object], part: str) -> None:
    settings = EventSettings.model_validate({"sinks": sinks})
    with pytest.raises(SettingsError, match=part):
        async with open_subscriptions(settings, clock=SystemClock()):
            pass
