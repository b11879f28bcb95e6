"""Keeps credentials out of logs, events, errors and metrics.

Invariant: what comes out holds no user information and no query of a URL; presigned URLs carry their signature there.
What a setting of type `SecretStr` holds never comes here.
"""

import re
from typing import Final
from urllib.parse import urlsplit

MASK: Final = "***"
# Lengths are bounded so that a text full of beginnings of URLs is still read in linear time.
_USER = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]{0,20}:(?:\\?/){2})[^\s\"'<>/?#@]{1,512}@")
_QUERY = re.compile(r"(https?:(?:\\?/){2}[^\s\"'<>?#]{0,2048})\?[^\s\"'<>]*", re.IGNORECASE)


def mask_text(text: str) -> str:
    """A text for people, without the credentials that stand in its URLs."""
    return _QUERY.sub(rf"\1?{MASK}", _USER.sub(rf"\1{MASK}@", text))


def mask_url(url: str) -> str:
    """Scheme, host, port and path of a URL: nothing else of it is shown."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
