"""Signature Version 4, for requests that differ in their body alone.

Invariant: the signature is the SDK's own, for the same request and moment. What depends on the day and the credentials
is derived once for all requests of that day.

Source: "Signature Version 4 signing process" in the AWS documentation.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final, Protocol

ALGORITHM: Final = "AWS4-HMAC-SHA256"
_TERMINATOR: Final = "aws4_request"
_DAY: Final = 8
"""Characters of a moment that name its day."""


class Credentials(Protocol):
    """Credentials as they are at one moment, of the SDK."""

    @property
    def access_key(self) -> str: ...
    @property
    def secret_key(self) -> str: ...
    @property
    def token(self) -> str | None: ...


class Signer:
    """Signs requests of one method and path, without a query, for one service in one Region.

    Args:
        path: as it goes on the wire.
    """

    def __init__(self, method: str, path: str, region: str, service: str) -> None:
        self._beginning = f"{method}\n{path}\n\n"
        self._region = region
        self._service = service
        self._key_of = ("", "")
        self._key = b""

    def authorization(self, headers: Mapping[str, str], body: bytes, credentials: Credentials, moment: str) -> str:
        """The `Authorization` header of a request.

        `headers` are those to be signed, by their names in lower case and in their order, the values without spare
        spaces; `moment` is in UTC, as in `20261121T034000Z`.
        """
        names = ";".join(headers)
        lines = "".join([f"{name}:{value}\n" for name, value in headers.items()])
        request = f"{self._beginning}{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
        day = moment[:_DAY]
        scope = f"{day}/{self._region}/{self._service}/{_TERMINATOR}"
        text = f"{ALGORITHM}\n{moment}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        signature = hmac.digest(self._key_for(credentials.secret_key, day), text.encode(), "sha256").hex()
        return f"{ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"

    def _key_for(self, secret: str, day: str) -> bytes:
        if self._key_of != (secret, day):
            key = f"AWS4{secret}".encode()
            for part in (day, self._region, self._service, _TERMINATOR):
                key = hmac.digest(key, part.encode(), "sha256")
            self._key, self._key_of = key, (secret, day)
        return self._key
