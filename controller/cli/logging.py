"""Log lines: structlog's set-up for the whole process.

Invariant: a line holds no secret, whoever wrote it, the libraries included; a reader of the log who has left, or a full
disk behind it, is never an error of the daemon. Lines go to stdout, one JSON object each, or for people at a terminal.
"""

import json
import logging
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
import structlog
from structlog.typing import EventDict, Processor

from controller.cli.terminal import Terminal
from controller.cli.text import visible
from controller.masking import MASK, mask_text
from controller.settings import LogSettings, Settings

EVENTS_LOGGER: Final = "ferryman.events"
SECRET_LENGTH_MIN: Final = 8
"""Shorter ones would mask words."""
_SECRET_VARIABLES: Final = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_BEARER_TOKEN_BEDROCK")
_DEPTH_MAX: Final = 12
_SCHEMES: Final = re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,4096}", re.IGNORECASE)
_SIGNING: Final = re.compile(r"\bwhsec_[A-Za-z0-9+/=_-]{8,512}")
_NAMED: Final = re.compile(
    r"((?:secret_?access_?key|session_?token|security_?token|x-amz-(?:signature|credential|security-token)|signature)"
    r"[\"']?\s{0,4}[=:]\s{0,4}[\"']?)[A-Za-z0-9%+/=_.~-]{8,4096}",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Masker:
    """Takes secrets out of values: those that look like one, and those known by name."""

    secrets: tuple[str, ...] = ()

    def __call__(self, _logger: Any, _method: str, event: EventDict) -> EventDict:
        return {key: self.masked(value) for key, value in event.items()}

    def masked(self, value: Any, depth: int = 0) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if depth >= _DEPTH_MAX:
            return MASK
        if isinstance(value, Mapping):
            return {str(key): self.masked(item, depth + 1) for key, item in value.items()}
        if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
            return [self.masked(item, depth + 1) for item in value]
        return value if isinstance(value, int | float | None) else self.text(str(value))

    def text(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, MASK)
        text = _SIGNING.sub(MASK, _SCHEMES.sub(rf"\1 {MASK}", mask_text(text)))
        return _NAMED.sub(rf"\1{MASK}", text)


def secrets_of(settings: Settings, environment: Mapping[str, str]) -> tuple[str, ...]:
    """What the process knows to be secret, longest first."""
    found = {environment.get(variable, "") for variable in _SECRET_VARIABLES}
    found |= {settings.http.token.get_secret_value(), _password(settings.store.url)}
    found |= {sink.secret.get_secret_value() for sink in settings.events.sinks if sink.secret is not None}
    return tuple(sorted((secret for secret in found if len(secret) >= SECRET_LENGTH_MIN), key=len, reverse=True))


def _password(url: str) -> str:
    user, at, _ = url.partition("://")[2].rpartition("@")
    return user.partition(":")[2] if at else ""


class _Writer:
    """One named logger: writes to what is stdout at that moment, so that a live table can stay below the lines."""

    def __init__(self, name: str) -> None:
        self.name = name

    def msg(self, message: str) -> None:
        try:
            sys.stdout.write(message + "\n")
            sys.stdout.flush()
        except (OSError, ValueError):
            return  # nobody reads the log, or its disk is full; a closed stream raises ValueError

    debug = info = warning = warn = error = critical = exception = fatal = log = msg


class _Handler(logging.Handler):
    """Lines of libraries, through the same processors."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self.setFormatter(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        _Writer(record.name).msg(self.format(record))


def configure_logging(settings: LogSettings, masker: Masker, terminal: Terminal, *, live: bool) -> None:
    """Set structlog and the standard library up.

    Where a table is shown `live`, it says what the events of the `log:` sink say, and these are left out.
    """
    level = getattr(logging, settings.level.upper())
    shared = _processors(masker)
    renderers = _renderers(settings, terminal)
    structlog.configure(
        processors=[*([_drop_events] if live else []), *shared, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *names: _Writer(str(names[0]) if names else "ferryman"),
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[_name_logger, *shared],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
    )
    logging.root.handlers = [_Handler(formatter)]
    logging.root.setLevel(max(level, logging.WARNING))
    logging.captureWarnings(capture=True)


def _processors(masker: Masker) -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
        structlog.processors.format_exc_info,
        masker,
    ]


def _renderers(settings: LogSettings, terminal: Terminal) -> list[Processor]:
    if settings.format == "console" or (settings.format == "auto" and terminal.stdout.isatty()):
        return [_visible, structlog.dev.ConsoleRenderer(colors=terminal.coloured, pad_event_to=0, pad_level=False)]
    return [structlog.processors.JSONRenderer(serializer=_json)]


def _visible(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Every text safe for a terminal: the renderer writes most of them as they are, and only quotes what nests."""
    shown = {key: visible(value) if isinstance(value, str) else value for key, value in event.items()}
    if isinstance(trace := event.get("exception"), str):
        # Set in, so that a line of an error's text cannot pass for a line of the log.
        shown["exception"] = "\n".join(f"    {visible(line)}" for line in trace.split("\n"))
    return shown


def _json(value: Any, **_options: Any) -> str:
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode("utf-8")
    except TypeError:
        # A lone surrogate, or a number beyond 64 bits: what is logged must never be an error of who logs it.
        return json.dumps(value, default=str, skipkeys=True)


def _drop_events(logger: Any, _method: str, event: EventDict) -> EventDict:
    if getattr(logger, "name", "") == EVENTS_LOGGER:
        raise structlog.DropEvent
    return event


def _name_logger(_logger: Any, _method: str, event: EventDict) -> EventDict:
    record = event.get("_record")
    if isinstance(record, logging.LogRecord):
        event["logger"] = record.name
    return event
