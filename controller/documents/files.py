"""Which files of a directory hold documents.

Invariant: a file is known by its name, and what Ferryman itself wrote by its beginning as well: its events, the ledger
of its simulator and the JSON Schema that it prints are no documents. A file that is named by itself is read whatever
it is; so nothing here is asked about it.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Final

from controller.documents.parsing import SUFFIXES
from controller.errors import SettingsError

SCHEMA_ENDING: Final = ".schema.json"
_EVENT: Final = b'{"specversion":'
_EVENT_SOURCE: Final = b'"source":"ferryman/'
_LEDGER: Final = b'{"ledger":"ferryman-simulator"'
_BEGINNING: Final = 1024


def files_with_documents(directory: Path, own: Collection[Path] = (), *, deep: bool = False) -> list[Path]:
    """The files in a directory that can hold documents, in order.

    Args:
        directory: named by a person; a file that is named is not asked about.
        own: files that Ferryman writes by its settings, absolute, whether or not they hold anything yet.
        deep: also of the directories in it.

    Raises:
        SettingsError: the directory, or a file in it, cannot be read.
    """
    try:
        paths = directory.rglob("*") if deep else directory.iterdir()
        return sorted(path for path in paths if _is_meant(path) and path.absolute() not in own and not _is_ours(path))
    except OSError as error:
        raise SettingsError(f"cannot read {error.filename or directory}: {error.strerror}") from error


def _is_meant(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.lower().endswith(SCHEMA_ENDING) and path.is_file()


def _is_ours(path: Path) -> bool:
    with path.open("rb") as file:
        beginning = file.read(_BEGINNING)
    return beginning.startswith(_LEDGER) or (beginning.startswith(_EVENT) and _EVENT_SOURCE in beginning)
