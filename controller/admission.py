"""Which documents a daemon takes, by its settings, and which files hold them.

Invariant: read from settings and paths alone; what a document must be is said in `documents`.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

from controller.documents import Policy, files_with_documents
from controller.errors import SettingsError
from controller.kinds import find_kind
from controller.settings import Settings


def policy_of(settings: Settings) -> Policy:
    """What the documents of this daemon may ask for.

    Raises:
        SettingsError: a kind or scope in the settings is not known.
    """
    queue = settings.queue
    for kind in (*queue.kinds, *settings.limits):
        if find_kind(kind) is None:
            raise SettingsError(f"the settings name {kind!r}, which is no kind; `ferryman kinds` lists them")
    for scope in queue.scopes:
        if scope not in settings.scopes:
            raise SettingsError(f"queue.scopes names {scope!r}, which is not among scopes")
    kinds = frozenset(found.name for kind in queue.kinds if (found := find_kind(kind)) is not None)
    scopes = queue.scopes or tuple(settings.scopes)
    return Policy(scopes=dict.fromkeys(scopes, kinds), role_arns=queue.role_arns, buckets=queue.buckets)


def expand(paths: Sequence[Path], own: Collection[Path] = ()) -> Sequence[Path]:
    """The files meant: those named, and of directories those that can hold documents, but for `own` (absolute).

    Raises:
        SettingsError: a path cannot be read.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files.extend(files_with_documents(path, own))
        elif path.is_file():
            files.append(path)
        else:
            raise SettingsError(f"{path} is not a file or directory that can be read")
    return files
