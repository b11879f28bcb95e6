"""Which files of a directory hold documents.

Invariant: a file is known by its name, and what Ferryman itself wrote by its beginning as well: its events, the ledger
of its simulator and the JSON Schema that it prints are no documents. A file that is named by itself is read whatever
it is; so nothing here is asked about it.
"""

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Final

from controller.documents.parsing import SUFFIXES

SCHEMA_ENDING: Final = ".schema.json"
_EVENT: Final = b'{"specversion":'
_EVENT_SOURCE: Final = b'"source":"ferryman/'
_LEDGER: Final = b'{"ledger":"ferryman-simulator"'
_BEGINNING: Final = 1024


def files_with_documents(paths: Iterable[Path], own: Collection[Path] = ()) -> Iterator[Path]:
    """Those of `paths` that can hold documents.

    Args:
        paths: what stands in a directory.
        own: files that Ferryman writes by its settings, absolute, whether or not they hold anything yet.

    Raises:
        OSError: a file cannot be read.
    """
    for path in paths:
        if path.suffix.lower() not in SUFFIXES or path.name.lower().endswith(SCHEMA_ENDING) or not path.is_file():
            continue
        if path.absolute() not in own and not _is_ours(path):
            yield path


def _is_ours(path: Path) -> bool:
    with path.open("rb") as file:
        beginning = file.read(_BEGINNING)
    return beginning.startswith(_LEDGER) or (beginning.startswith(_EVENT) and _EVENT_SOURCE in beginning)
