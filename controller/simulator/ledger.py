"""What was accepted, in order and for good: the oracle of every test and, as a file, the memory of the world.

Invariant: one entry per accepted effect, written before its answer is sent; entries are never changed. The file is JSON
Lines behind a header; a torn last line (the process was killed) is cut off, anything else unreadable is refused.
Refused requests leave no entry; they are counted in `calls`.
"""

import fcntl
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from io import BufferedReader, FileIO
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import anyio
import orjson

HEADER: Final = {"ledger": "ferryman-simulator", "format": 1}
ENTRY_BYTES_MAX: Final = 8 * 1024 * 1024


class LedgerError(Exception):
    """The file is not a ledger that this version can read, belongs to somebody else, or cannot be written."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One accepted effect.

    Attributes:
        at: seconds since the epoch by the simulator's clock.
        operation: as AWS names it, or `plant` for jobs put in by the simulator's user.
        arn: the remote id. name, token, parameters: of a create; empty for stop and delete.
        usage: active jobs per quota key after the effect, this one included.
        foreign: the job was planted.
    """

    sequence: int
    at: float
    account: str
    region: str
    kind: str
    operation: str
    effect: str
    arn: str
    name: str | None = None
    token: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    usage: Mapping[str, int] = field(default_factory=dict)
    foreign: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """A line of the file: an effect, and what a restart needs to give the job the same life again."""

    entry: Entry
    details: Mapping[str, Any]


class Ledger:
    """Entries in memory (the newest `kept_max`), counts of calls, and optionally the file.

    Attributes:
        calls: operation to outcome (`ok`, an error code, `lost:...`) to the number of calls.
        peaks: (account, region, kind, quota key) to the most jobs that were ever active at one instant.
    """

    def __init__(self, path: Path | None = None, *, kept_max: int = 2_000_000) -> None:
        self.entries: deque[Entry] = deque(maxlen=kept_max)
        self.calls: dict[str, Counter[str]] = {}
        self.peaks: Mapping[tuple[str, str, str, str], int] = {}
        self.sequence = 0
        self._file: FileIO | None = None
        self._size = 0
        self._changed: anyio.Event | None = None
        self._path = path

    def open(self) -> Iterator[Record]:
        """Opens the file, if there is one, and gives the records it holds; the caller must take them all.

        Raises:
            LedgerError: the file is no ledger, is damaged in its middle, or belongs to another process.
            OSError: the file cannot be opened.
        """
        if self._path is None:
            return
        self._path.touch()
        self._file = self._path.open("r+b", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            message = f"{self._path} is in use by another simulator; stop it or name another file"
            raise LedgerError(message) from error
        with self._path.open("rb") as file:
            self._size = self._check_header(file)
            yield from self._replay(file)
        self._file.truncate(self._size)
        self._file.seek(self._size)
        if self._size == 0:
            self._write(HEADER)

    def _check_header(self, file: BufferedReader) -> int:
        """The header's length; 0 for a file that is new, or whose first writer was killed too early."""
        header = file.readline(ENTRY_BYTES_MAX)
        if not header.endswith(b"\n") and orjson.dumps(HEADER).startswith(header):
            return 0
        if _parsed(header) != HEADER:
            raise LedgerError(f"{self._path} is not a simulator ledger of format 1; name another file or remove it")
        return file.tell()

    def _replay(self, file: BufferedReader) -> Iterator[Record]:
        number = 1
        while (line := file.readline(ENTRY_BYTES_MAX)).endswith(b"\n"):
            number += 1
            fields = _parsed(line)
            try:
                record = Record(Entry(**fields["entry"]), fields["details"])
            except (TypeError, KeyError) as error:
                message = f"{self._path} line {number} is damaged; restore the file or remove it"
                raise LedgerError(message) from error
            self._size += len(line)
            self.sequence = record.entry.sequence
            self.entries.append(record.entry)
            yield record

    def append(self, *, details: Mapping[str, Any], **fields: Any) -> Entry:
        """Writes an entry down; its sequence number is the next one. `details` go to the file only.

        Raises:
            LedgerError: the file cannot be written; nothing was appended.
        """
        entry = Entry(sequence=self.sequence + 1, **fields)
        if self._path is not None:
            self._write(Record(entry, details))
        self.sequence += 1
        self.entries.append(entry)
        self._notify()
        return entry

    def count(self, operation: str, outcome: str) -> None:
        """Counts one answered call; `outcome` is `ok`, an error code, or `lost:` and how."""
        self.calls.setdefault(operation, Counter())[outcome] += 1
        self._notify()

    def jobs(self, *, kind: str | None = None, name: str | None = None, foreign: bool | None = False) -> list[Entry]:
        """The creates, oldest first; planted jobs only when asked for (`foreign=None`: both)."""
        return [
            entry
            for entry in self.entries
            if entry.effect == "create"
            and kind in (None, entry.kind)
            and name in (None, entry.name)
            and foreign in (None, entry.foreign)
        ]

    def effects(self, effect: str) -> list[Entry]:
        """Entries of one effect: `create`, `stop` or `delete`."""
        return [entry for entry in self.entries if entry.effect == effect]

    def since(self, sequence: int, limit: int) -> list[Entry]:
        """At most `limit` entries after the sequence number, oldest first."""
        first = self.entries[0].sequence if self.entries else 0
        skip = max(0, sequence + 1 - first)
        return list(islice(self.entries, skip, skip + limit))

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Returns as soon as the condition holds after an effect or a call. Has no deadline: the caller gives one."""
        while not condition():
            if self._changed is None:
                self._changed = anyio.Event()
            await self._changed.wait()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _notify(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    def _write(self, record: Record | Mapping[str, Any]) -> None:
        """One line, whole or not at all, into the page cache: that survives the death of the process."""
        if self._file is None:
            raise LedgerError("the ledger is closed")
        line = orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
        try:
            written = self._file.write(line)
        except OSError as error:
            raise LedgerError(f"{self._path} cannot be written: {error.strerror}") from error
        if written != len(line):
            self._file.truncate(self._size)
            self._file.seek(self._size)
            raise LedgerError(f"{self._path} cannot be written: no space is left")
        self._size += len(line)


def _parsed(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
