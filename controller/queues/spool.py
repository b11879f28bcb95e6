"""A spool directory: files appear, are taken in order of name, and move to `done/` or `rejected/`.

Who writes into it renames finished files into place: names that begin with `.` or end in `.tmp` or `.part` are left
alone until they are renamed. A file of which any document was rejected goes to `rejected/`, with a `.reason.txt`
beside it; its other documents are accepted all the same.

Invariant: only a regular file of the directory itself is read, and only the bytes that were read are moved away: a file
that was replaced meanwhile is put back and taken again. Symbolic links, FIFOs, devices and huge files are refused
unread. Nothing that is in `done/` or `rejected/` is ever overwritten.
"""

import errno
import heapq
import os
import stat
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import structlog
from anyio import to_thread

from controller.documents import FILE_BOUNDS
from controller.errors import SettingsError
from controller.queues import Delivery, Settled, SourceUnavailableError
from controller.seams import Clock
from controller.untrusted import fit_path

SPOOL_PREFIX: Final = "dir:"
DONE: Final = "done"
REJECTED: Final = "rejected"
UNFINISHED: Final = (".tmp", ".part")
FILES_MAX: Final = 100
"""Files taken at a time."""
NAME_BYTES_MAX: Final = 255
"""Of a file's name, on every file system in use."""
BATCH_BYTES: Final = 8 * 1024 * 1024
"""Read at a time, beyond the first file."""
_REASONS_MAX: Final = 1000
_TRANSIENT: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.EIO, errno.ENOMEM, errno.EINTR, errno.ESTALE})

_log = structlog.get_logger(__name__)

T = TypeVar("T")

_Stamp = tuple[int, int, int]
"""What tells one content of a name from the next: inode, modification time, size."""


@dataclass(frozen=True, slots=True)
class _Move:
    settled: Settled
    stamp: _Stamp


class Spool:
    """One spool directory; open it with `open_spool`."""

    receivers = 1
    batch = FILES_MAX

    def __init__(self, directory: Path, poll_s: float, size_max: int, clock: Clock) -> None:
        self.name = f"{SPOOL_PREFIX}{fit_path(directory)}"
        self._directory = directory
        self._poll_s = poll_s
        self._size_max = size_max
        self._clock = clock
        self._stamps: dict[str, _Stamp] = {}
        self._unmoved: dict[str, _Move] = {}
        self._idle = False
        self._busy = False

    async def receive(self) -> Sequence[Delivery]:
        """The first files by name; waits one `poll_s` first where the last look found nothing."""
        if self._idle:
            await self._clock.sleep(self._poll_s)
        await self._in_thread(self._move_again)
        if len(self._unmoved) >= FILES_MAX:
            raise SourceUnavailableError(f"files in {fit_path(self._directory)} were applied but cannot be moved away")
        try:
            deliveries = await self._in_thread(self._take)
        except OSError as error:
            self._idle = True
            raise SourceUnavailableError(f"cannot read {fit_path(self._directory)}: {error.strerror}") from error
        self._idle = not deliveries
        return deliveries

    async def keep(self, deliveries: Sequence[Delivery]) -> None:
        """Nothing to do: nobody else takes files."""

    async def acknowledge(self, settled: Sequence[Settled]) -> None:
        for item in settled:
            stamp = self._stamps.pop(item.delivery.id, None)
            if stamp is not None:
                await self._in_thread(partial(self._move, _Move(item, stamp)))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Work on the file system, in one thread at a time.

        A file system that hangs must hold a thread, not the process's end. What a cancelled caller leaves to its thread
        is harmless: a read changes nothing, and a file that is to be moved away was applied.
        """
        if self._busy:
            raise SourceUnavailableError(f"an earlier look into {fit_path(self._directory)} has not ended")

        def alone() -> T:
            self._busy = True
            try:
                return work()
            finally:
                self._busy = False

        return await to_thread.run_sync(alone, abandon_on_cancel=True)

    def _take(self) -> list[Delivery]:
        self._stamps.clear()
        deliveries: list[Delivery] = []
        size = 0
        for name in self._names():
            delivery = self._read(name)
            if delivery is None:
                continue
            deliveries.append(delivery)
            size += len(delivery.body)
            if size >= BATCH_BYTES:
                break
        return deliveries

    def _names(self) -> list[str]:
        with os.scandir(self._directory) as entries:
            return heapq.nsmallest(FILES_MAX, self._candidates(entries))

    def _candidates(self, entries: Iterator["os.DirEntry[str]"]) -> Iterator[str]:
        for entry in entries:
            name = entry.name
            if name.startswith(".") or name.endswith(UNFINISHED) or name in (DONE, REJECTED) or name in self._unmoved:
                continue
            if not entry.is_dir(follow_symlinks=False):
                yield name

    def _read(self, name: str) -> Delivery | None:
        """One file; None where it is gone, or cannot be read for a reason that passes."""
        path = self._directory / name
        try:
            found = os.lstat(path)
            problem = _refusal(found, self._size_max)
            body = b"" if problem else self._content(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in _TRANSIENT:
                _log.warning("spool.unreadable", source=self.name, file=fit_path(name), problem=error.strerror)
                return None
            problem, body = f"cannot be read: {error.strerror}", b""
        self._stamps[name] = _stamp(found)
        origin = f"{self.name}/{fit_path(name)}"
        return Delivery(name, body, origin, suffix=path.suffix, problem=problem)

    def _content(self, path: Path) -> bytes:
        # O_NONBLOCK: what was a file a moment ago may be a FIFO now, and must not hold the thread.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "it is not a regular file")
            return file.read(self._size_max + 1)

    def _move_again(self) -> None:
        for name, move in list(self._unmoved.items()):
            del self._unmoved[name]
            self._move(move)

    def _move(self, move: _Move) -> None:
        delivery = move.settled.delivery
        source = self._directory / delivery.id
        try:
            self._move_away(source, move)
        except OSError as error:
            if not os.path.lexists(source):
                _log.warning("spool.vanished", source=self.name, file=fit_path(delivery.id))
                return
            # It was applied: leaving it where it is must not apply it again and again.
            self._unmoved[delivery.id] = move
            _log.warning("spool.unmoved", source=self.name, file=fit_path(delivery.id), problem=error.strerror)

    def _move_away(self, source: Path, move: _Move) -> None:
        if _stamp(source.lstat()) != move.stamp:
            return
        folder = self._directory / (REJECTED if move.settled.problems else DONE)
        folder.mkdir(exist_ok=True)
        target = _free(folder, source)
        if move.settled.problems:
            _named(folder, target.name, ".reason.txt").write_text(_reasons(move.settled), encoding="utf-8")
        source.rename(target)
        if _stamp(target.lstat()) != move.stamp and not os.path.lexists(source):
            # Replaced between the look and the move: this content was not read yet.
            target.rename(source)


def _refusal(found: os.stat_result, size_max: int) -> str:
    if stat.S_ISLNK(found.st_mode):
        return "is a symbolic link: links are not followed, put the file itself here"
    if not stat.S_ISREG(found.st_mode):
        return "is not a regular file"
    if found.st_size > size_max:
        return f"has {found.st_size} bytes, the maximum is {size_max}: split it"
    return ""


def _stamp(found: os.stat_result) -> _Stamp:
    return found.st_ino, found.st_mtime_ns, found.st_size


def _free(folder: Path, source: Path) -> Path:
    """A name in the folder that is not taken: the file's own, or with a number before its suffix."""
    target, number = folder / source.name, 1
    while os.path.lexists(target):
        number += 1
        target = _named(folder, source.stem, f".{number}{source.suffix}")
    return target


def _named(folder: Path, stem: str, ending: str) -> Path:
    """A path whose name ends so, the stem cut where a name of the file system could not hold it."""
    room = NAME_BYTES_MAX - len(os.fsencode(ending))
    return folder / (os.fsdecode(os.fsencode(stem)[: max(1, room)]) + ending)


def _reasons(settled: Settled) -> str:
    rejected = len(settled.problems)
    lines = [f"{settled.accepted} accepted, {rejected} rejected", *settled.problems[:_REASONS_MAX]]
    if rejected > _REASONS_MAX:
        lines.append(f"and {rejected - _REASONS_MAX} more")
    return "\n".join(lines).encode("utf-8", "backslashreplace").decode("utf-8") + "\n"


@asynccontextmanager
async def open_spool(setting: str, *, poll_s: float, clock: Clock) -> AsyncIterator[Spool]:
    """Open `dir:<path>`; `done/` and `rejected/` are made where they are missing.

    Raises:
        SettingsError: it is not a directory that can be read and written.
    """
    path = setting.removeprefix(SPOOL_PREFIX)
    try:
        directory = await to_thread.run_sync(_prepare, path)
    except OSError as error:
        raise SettingsError(f"the spool directory {path} cannot be used: {error.strerror}") from error
    yield Spool(directory, poll_s, FILE_BOUNDS.size_max, clock)


def _prepare(path: str) -> Path:
    directory = Path(path).absolute()
    if not directory.is_dir():
        raise OSError(errno.ENOTDIR, "there is no such directory; make it first")
    for name in (DONE, REJECTED):
        (directory / name).mkdir(exist_ok=True)
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        raise OSError(errno.EACCES, "it must be readable and writable")
    return directory
