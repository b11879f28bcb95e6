"""What one check found."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


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


def failed(subject: str, detail: str, advice: str = "") -> Finding:
    return Finding(Level.FAILED, subject, detail, advice)
