"""The spool on a real directory."""

import os
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread

from controller.errors import SettingsError
from controller.queues import Delivery, Settled, SourceUnavailableError
from controller.queues import spool as spool_module
from controller.queues.spool import Spool, open_spool
from controller.seams import SystemClock


@asynccontextmanager
async def spool(directory: Path) -> AsyncIterator[Spool]:
    async with open_spool(f"dir:{directory}", poll_s=0.01, clock=SystemClock()) as opened:
        yield opened


async def receive(source: Spool) -> list[Delivery]:
    with anyio.fail_after(10):
        return list(await source.receive())


async def settle(source: Spool, delivery: Delivery, *problems: str, accepted: int = 1) -> None:
    await source.acknowledge([Settled(delivery, accepted, problems)])


def names(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir() if not entry.is_dir())


async def test_files_are_taken_in_order_of_name_and_moved_when_settled(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.json", "c.jsonl"):
        (tmp_path / name).write_text(name)
    async with spool(tmp_path) as source:
        taken = await receive(source)
        assert [(each.id, each.body, each.suffix) for each in taken] == [
            ("a.json", b"a.json", ".json"),
            ("b.yaml", b"b.yaml", ".yaml"),
            ("c.jsonl", b"c.jsonl", ".jsonl"),
        ]
        assert taken[0].origin == f"dir:{tmp_path}/a.json"
        await settle(source, taken[0])
        await settle(source, taken[1], "x/y/z: name: is required", accepted=2)
        assert [each.id for each in await receive(source)] == ["c.jsonl"]
    assert names(tmp_path) == ["c.jsonl"]
    assert names(tmp_path / "done") == ["a.json"]
    assert names(tmp_path / "rejected") == ["b.yaml", "b.yaml.reason.txt"]
    reason = (tmp_path / "rejected" / "b.yaml.reason.txt").read_text()
    assert reason == "2 accepted, 1 rejected\nx/y/z: name: is required\n"


@pytest.mark.parametrize("name", [".hidden", "a.tmp", "a.yaml.part", "done", "rejected", "folder"])
async def test_what_is_not_finished_is_left_alone(tmp_path: Path, name: str) -> None:
    if name in ("done", "rejected", "folder"):
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_text("half")
    async with spool(tmp_path) as source:
        assert await receive(source) == []
        assert await receive(source) == []
    assert (tmp_path / name).exists()


async def test_a_file_renamed_into_place_is_taken_whole(tmp_path: Path) -> None:
    part = tmp_path / "a.json.part"
    part.write_text("half")
    async with spool(tmp_path) as source:
        assert await receive(source) == []
        part.write_text("all")
        part.rename(tmp_path / "a.json")
        assert [each.body for each in await receive(source)] == [b"all"]


async def test_links_pipes_and_sockets_are_refused_unread(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("canary")
    directory = tmp_path / "spool"
    directory.mkdir()
    (directory / "1-link.json").symlink_to(secret)
    (directory / "2-dangling.json").symlink_to("/nowhere")
    os.mkfifo(directory / "3-fifo.json")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(directory / "4-socket.json"))
        (directory / "5-good.json").write_text("{}")
        async with spool(directory) as source:
            taken = await receive(source)
            assert [bool(each.problem) for each in taken] == [True, True, True, True, False]
            assert b"canary" not in b"".join(each.body for each in taken)
            for each in taken:
                await settle(source, each, *([each.problem] if each.problem else []))
            assert await receive(source) == []
    assert names(directory) == []
    assert len(names(directory / "rejected")) == 8
    assert secret.read_text() == "canary"


async def test_a_device_behind_a_link_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "zero.json").symlink_to("/dev/zero")
    async with spool(tmp_path) as source:
        (taken,) = await receive(source)
    assert "link" in taken.problem


async def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "huge.json").open("wb") as file:
        file.truncate(10 * 1024**3)
    async with spool(tmp_path) as source:
        (taken,) = await receive(source)
    assert taken.body == b""
    assert "the maximum is" in taken.problem


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
async def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").touch(mode=0o000)
    async with spool(tmp_path) as source:
        (taken,) = await receive(source)
    assert "cannot be read" in taken.problem


async def test_a_name_taken_in_done_keeps_both(tmp_path: Path) -> None:
    async with spool(tmp_path) as source:
        for content in ("1", "2", "3"):
            (tmp_path / "night.yaml").write_text(content)
            (taken,) = await receive(source)
            await settle(source, taken)
    found = {name: (tmp_path / "done" / name).read_text() for name in names(tmp_path / "done")}
    assert found == {"night.yaml": "1", "night.2.yaml": "2", "night.3.yaml": "3"}


async def test_a_name_taken_in_rejected_keeps_both_reasons(tmp_path: Path) -> None:
    async with spool(tmp_path) as source:
        for reason in ("first", "second"):
            (tmp_path / "a.json").write_text(reason)
            (taken,) = await receive(source)
            await settle(source, taken, reason, accepted=0)
    folder = tmp_path / "rejected"
    assert "first" in (folder / "a.json.reason.txt").read_text()
    assert "second" in (folder / "a.2.json.reason.txt").read_text()


async def test_what_replaces_a_file_while_it_is_applied_is_taken_next(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("old")
    async with spool(tmp_path) as source:
        (taken,) = await receive(source)
        (tmp_path / "new.part").write_text("new")
        (tmp_path / "new.part").rename(tmp_path / "a.json")
        await settle(source, taken, "the old one was bad")
        assert [each.body for each in await receive(source)] == [b"new"]
    assert names(tmp_path / "rejected") == []


async def test_what_replaces_a_file_during_the_move_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    free = spool_module._free

    def replaced_just_then(folder: Path, source: Path) -> Path:
        (tmp_path / "x").write_text("new and longer")
        (tmp_path / "x").rename(path)
        return free(folder, source)

    async with spool(tmp_path) as source:
        (taken,) = await receive(source)
        monkeypatch.setattr(spool_module, "_free", replaced_just_then)
        await settle(source, taken)
        assert [each.body for each in await receive(source)] == [b"new and longer"]


async def test_a_file_that_vanished_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    async with spool(tmp_path) as source:
        (taken,) = await receive(source)
        (tmp_path / "a.json").unlink()
        await settle(source, taken)
        assert await receive(source) == []


async def test_a_crash_before_the_move_takes_the_file_again(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    async with spool(tmp_path) as source:
        assert len(await receive(source)) == 1
    async with spool(tmp_path) as source:
        assert len(await receive(source)) == 1


async def test_a_file_that_cannot_be_moved_is_applied_once(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    async with spool(tmp_path) as source:
        (taken,) = await receive(source)
        (tmp_path / "done").rmdir()
        (tmp_path / "done").touch()
        await settle(source, taken)
        assert await receive(source) == []
        (tmp_path / "done").unlink()
        assert await receive(source) == []
    assert names(tmp_path / "done") == ["a.json"]


async def test_too_many_files_that_cannot_be_moved_stop_the_reading(tmp_path: Path) -> None:
    for number in range(150):
        (tmp_path / f"{number:03d}.json").write_text("{}")
    async with spool(tmp_path) as source:
        (tmp_path / "done").rmdir()
        (tmp_path / "done").touch()
        await source.acknowledge([Settled(each, 1) for each in await receive(source)])
        with pytest.raises(SourceUnavailableError, match="cannot be moved"):
            await receive(source)


async def test_more_than_a_batch_comes_in_batches(tmp_path: Path) -> None:
    for number in range(250):
        (tmp_path / f"{number:03d}.json").write_text("{}")
    sizes = []
    async with spool(tmp_path) as source:
        while taken := await receive(source):
            sizes.append(len(taken))
            await source.acknowledge([Settled(each, 1) for each in taken])
    assert sizes == [100, 100, 50]


async def test_odd_names(tmp_path: Path) -> None:
    directory = os.fsencode(tmp_path)
    for name in (b"\xff.json", "ü\n.json".encode()):
        os.close(os.open(os.path.join(directory, name), os.O_CREAT))  # noqa: PTH118 - a name that is not UTF-8
    async with spool(tmp_path) as source:
        taken = await receive(source)
        assert [each.origin.encode() is not None for each in taken] == [True, True]
        await settle(source, taken[0], "bad")
        await settle(source, taken[1])
        assert await receive(source) == []


async def test_a_directory_whose_name_is_not_utf_8(tmp_path: Path) -> None:
    directory = tmp_path / os.fsdecode(b"caf\xe9")
    directory.mkdir()
    (directory / "a.json").write_text("{}")
    async with spool(directory) as source:
        (taken,) = await receive(source)
        assert source.name.encode().endswith(b"/caf\\udce9")
        assert taken.origin == f"{source.name}/a.json"
        await settle(source, taken)
        directory.rename(tmp_path / "elsewhere")
        with pytest.raises(SourceUnavailableError) as gone:
            await receive(source)
        assert str(gone.value).encode()


@pytest.mark.parametrize("step", ["_names", "_move_again", "_move_away"])
async def test_a_file_system_that_hangs_holds_up_no_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    (tmp_path / "a.json").write_text("{}")
    hung, released = threading.Event(), threading.Event()
    real = getattr(Spool, step)

    def hang(*arguments: Any) -> Any:
        hung.set()
        assert released.wait(60)
        return real(*arguments)

    async def work(source: Spool) -> None:
        await source.acknowledge([Settled(each, 1) for each in await source.receive()])

    async with spool(tmp_path) as source:
        monkeypatch.setattr(Spool, step, hang)
        try:
            with anyio.fail_after(30):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(work, source)
                    await to_thread.run_sync(hung.wait)
                    tasks.cancel_scope.cancel()
            with pytest.raises(SourceUnavailableError, match="has not ended"):
                await receive(source)
        finally:
            released.set()
        with anyio.fail_after(30):
            while source._busy:
                await anyio.sleep(0.01)  # the end of a thread that nobody waits for
        await work(source)
    assert names(tmp_path / "done") == ["a.json"]


async def test_a_directory_that_goes_away_is_waited_for(tmp_path: Path) -> None:
    directory = tmp_path / "spool"
    directory.mkdir()
    async with spool(directory) as source:
        directory.rename(tmp_path / "elsewhere")
        with pytest.raises(SourceUnavailableError):
            await receive(source)
        (tmp_path / "elsewhere").rename(directory)
        assert await receive(source) == []


@pytest.mark.parametrize("kind", ["missing", "file"])
async def test_a_setting_that_is_no_directory(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    if kind == "file":
        path.touch()
    with pytest.raises(SettingsError, match="make it first"):
        async with spool(path):
            pass
