"""Events as JSON Lines, appended to a file.

Invariant: what is said to be delivered is on the disk, whole lines only. A batch is one write; one that did not succeed
is taken back. A last line that a crash has torn is cut off at opening: its event was never said to be delivered and
comes again. A file that was rotated away is opened anew.
"""

import errno
import os
import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from anyio import to_thread

from controller.errors import SettingsError
from controller.sinks import Delivered, Later, Outcome
from controller.store import OutboxEvent
from controller.untrusted import fit_path

FILE_PREFIX: Final = "file:"
_TAIL_BYTES_MAX: Final = 16 * 1024 * 1024
_OUR_BEGINNING: Final = b'{"specversion":'


def path_of(url: str) -> Path:
    """Where the events of `file:<path>` go."""
    return Path(url.removeprefix(FILE_PREFIX)).absolute()


class FileSink:
    """Open it with `open_file_sink`."""

    batch_max = 1000
    bytes_max = 4 * 1024 * 1024
    whole = True

    def __init__(self, path: str) -> None:
        self.name = f"{FILE_PREFIX}{fit_path(path)}"
        self._path = path
        self._descriptor: int | None = None
        self._writing = False

    async def deliver(self, events: Sequence[OutboxEvent]) -> Sequence[Outcome]:
        if self._writing:
            return [Later("an earlier write to the file has not ended")] * len(events)
        lines = b"".join(event.body + b"\n" for event in events)
        try:
            # A file system that hangs must hold a thread, not the process's end.
            await to_thread.run_sync(self._append, lines, abandon_on_cancel=True)
        except OSError as error:
            return [Later(f"cannot write {fit_path(self._path)}: {error.strerror}")] * len(events)
        return [Delivered()] * len(events)

    def open(self) -> None:
        """Open the file, or make it, and repair its end.

        Raises:
            OSError: it cannot be opened, or is not a regular file.
        """
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        descriptor = os.open(self._path, flags, 0o644)
        try:
            _repair(descriptor)
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def close(self) -> None:
        if self._descriptor is not None and not self._writing:
            os.close(self._descriptor)
        self._descriptor = None

    def _append(self, lines: bytes) -> None:
        self._writing = True
        try:
            descriptor = self._current()
            size = os.fstat(descriptor).st_size
            try:
                _write_all(descriptor, lines)
                os.fdatasync(descriptor)
            except OSError:
                os.ftruncate(descriptor, size)
                raise
        finally:
            self._writing = False

    def _current(self) -> int:
        """The descriptor of the file that has the name now."""
        if self._descriptor is not None and not _is_at(self._descriptor, self._path):
            os.close(self._descriptor)
            self._descriptor = None
        if self._descriptor is None:
            self.open()
        assert self._descriptor is not None  # noqa: S101 - for the type checker: `open` has just set it
        return self._descriptor


def _is_at(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), Path(path).stat())
    except FileNotFoundError:
        return False


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _repair(descriptor: int) -> None:
    """Make the file end with a whole line: cut off an event of ours that is torn, end a line that is someone else's."""
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file")
    size = found.st_size
    start = max(0, size - _TAIL_BYTES_MAX)
    tail = os.pread(descriptor, size - start, start)
    if not tail or tail.endswith(b"\n"):
        return
    last = tail[tail.rfind(b"\n") + 1 :]
    if last.startswith(_OUR_BEGINNING) or _OUR_BEGINNING.startswith(last):
        os.ftruncate(descriptor, size - len(last))
    else:
        _write_all(descriptor, b"\n")


@asynccontextmanager
async def open_file_sink(url: str) -> AsyncIterator[FileSink]:
    """Open `file:<path>`.

    Raises:
        SettingsError: the file cannot be opened for appending.
    """
    path = await to_thread.run_sync(os.path.abspath, url.removeprefix(FILE_PREFIX))
    sink = FileSink(path)
    try:
        await to_thread.run_sync(sink.open)
    except OSError as error:
        raise SettingsError(f"events cannot be written to {fit_path(path)}: {error.strerror}") from error
    try:
        yield sink
    finally:
        sink.close()
