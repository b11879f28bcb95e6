"""Keeps credentials out of logs, events, errors and metrics.

Invariant: what comes out holds no user information and no query of a URL; presigned URLs carry their signature there.
What a setting of type `SecretStr` holds never comes here.
"""

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

MASK: Final = "***"
# Lengths are bounded, and words read once, so that a text full of beginnings of URLs is still read in linear time.
_USER = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]{0,20}:(?:\\?/){2})[^\s\"'<>/?#]{1,512}@")
_HTTP = re.compile(r"https?:(?:\\?/){2}", re.IGNORECASE)
_QUESTION = re.compile(r"(?<![^\s\"'<>])([^\s\"'<>?]*+)\?[^\s\"'<>]*+")
"""A word with a question mark in it; what stands before the first one."""


def mask_text(text: str) -> str:
    """A text for people, without the credentials that stand in its URLs."""
    if "/" not in text:
        return text
    return _QUESTION.sub(_without_query, _USER.sub(rf"\1{MASK}@", text))


def _without_query(word: re.Match[str]) -> str:
    return f"{word[1]}?{MASK}" if _HTTP.search(word[1]) else word[0]


def mask_value(value: Any) -> Any:
    """A value of JSON for people, every text in it masked; the value itself where there is nothing to mask."""
    if isinstance(value, str):
        return mask_text(value) if "://" in value else value
    if isinstance(value, Mapping):
        return {key: mask_value(item) for key, item in value.items()}
    return [mask_value(item) for item in value] if isinstance(value, list) else value


def mask_url(url: str) -> str:
    """Scheme, host, port and path of a URL: nothing else of it is shown."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
