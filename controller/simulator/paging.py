"""Page tokens: opaque to clients, complete in themselves.

Invariant: a token holds everything its page needs, so none is kept; one that was changed, belongs to another operation,
place or filter, or is too old is refused.
"""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from typing import Any, Final

import orjson

_TAG_BYTES: Final = 12


@dataclass(frozen=True, slots=True)
class PageToken:
    """Where a page begins: after the job with this order (or with it, if `inclusive`)."""

    created_at: float
    sequence: int
    page: int
    issued_at: float
    inclusive: bool = False


class PageTokens:
    """Writes and reads tokens. `secret` makes them unforgeable; `list_key` ties them to one list."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def write(self, token: PageToken, list_key: str) -> str:
        fields = [token.created_at, token.sequence, token.page, token.issued_at, token.inclusive]
        content = orjson.dumps(fields)
        return base64.b64encode(self._tag(content, list_key) + content).decode()

    def read(self, text: str, list_key: str, *, now: float, lifetime_s: float | None) -> PageToken | None:
        """The token; None for anything but a fresh token of this list."""
        try:
            raw = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            return None
        tag, content = raw[:_TAG_BYTES], raw[_TAG_BYTES:]
        if not hmac.compare_digest(tag, self._tag(content, list_key)):
            return None
        fields: list[Any] = orjson.loads(content)
        token = PageToken(*fields)
        return None if lifetime_s is not None and now > token.issued_at + lifetime_s else token

    def _tag(self, content: bytes, list_key: str) -> bytes:
        return hmac.digest(self._secret, content + b"\0" + list_key.encode(), hashlib.sha256)[:_TAG_BYTES]
