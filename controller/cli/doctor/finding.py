"""What one check found."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    level: Level
    subject: str
    detail: str
    advice: str = ""
    """What to do; empty where nothing is."""


def ok(subject: str, detail: str) -> Finding:
    return Finding(Level.OK, subject, detail)


def warning(subject: str, detail: str, advice: str = "") -> Finding:
    return Finding(Level.WARNING, subject, detail, advice)


def skipped(subject: str, detail: str) -> Finding:
    return Finding(Level.SKIPPED, subject, detail)


def counted(count: int, one: str, more: str) -> str:
    """A number with its words: `1 event waits`, `2 events wait`."""
    return f"{count} {one if count == 1 else more}"


def failed(subject: str, detail: str, advice: str = "") -> Finding:
    return Finding(Level.FAILED, subject, detail, advice)
