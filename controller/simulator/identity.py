"""Who calls: account, region and session, from the credential scope of the request's signature.

Invariant: signatures themselves are not verified (the simulator knows no secrets), but everything AWS would refuse
before looking at the operation is refused here: no signature, a date that is off, keys that are revoked or expired.
Temporary credentials carry their account and end in themselves, so nothing is kept about them.
"""

import base64
import binascii
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson

from controller.simulator.errors import AwsError, Dialect
from controller.simulator.operation import Request
from controller.simulator.options import SimulatorOptions

SIGNATURE_TOLERANCE_S: Final = 300
_CREDENTIAL = re.compile(r"Credential=([^,\s]+)")
_ROLE_KEY = re.compile(r"ASIA([0-9]{12})[A-Z0-9]{4}")
_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_INVALID_KEY: Final = "The security token included in the request is invalid."
_EXPIRED_KEY: Final = "The security token included in the request is expired"


@dataclass(frozen=True, slots=True)
class Identity:
    """The caller. `session` describes an assumed role; None for long-lived keys."""

    account: str
    region: str
    access_key: str
    session: Mapping[str, Any] | None = None

    @property
    def arn(self) -> str:
        if self.session is None:
            return f"arn:aws:iam::{self.account}:user/simulator"
        role = str(self.session["role"]).rsplit("/", 1)[-1]
        return f"arn:aws:sts::{self.account}:assumed-role/{role}/{self.session['name']}"


def identify(request: Request, options: SimulatorOptions, dialect: Dialect, now: float) -> Identity:
    """The caller of a request.

    Raises:
        AwsError: no or a malformed signature, a date off the clock, or refused credentials, in the service's words.
    """
    header = request.headers.get("authorization", "")
    if header.startswith("Bearer "):
        return Identity(options.default_account, options.bearer_region, "bearer")
    presigned = {} if header else dict(parse_qsl(request.query))
    found = _CREDENTIAL.search(header)
    credential = found.group(1) if found else presigned.get("X-Amz-Credential")
    if credential is None:
        raise AwsError(dialect.no_signature, "Missing Authentication Token", status=403)
    parts = credential.split("/")
    if len(parts) < 4 or parts[-1] != "aws4_request":  # noqa: PLR2004 -- key, date, (region,) service, terminator
        raise AwsError("IncompleteSignatureException", f"Credential must have a scope, not {credential!r}")
    date = request.headers.get("x-amz-date") or presigned.get("X-Amz-Date", "")
    if options.check_signature_date:
        _check_date(date, dialect, now)
    region = parts[-3] if len(parts) > 4 else request.headers.get("x-amz-region-set", options.bearer_region)  # noqa: PLR2004 -- SigV4a has no region
    token = request.headers.get("x-amz-security-token") or presigned.get("X-Amz-Security-Token")
    revoked = options.revoked_keys.get(parts[0])
    if revoked is not None:
        raise AwsError(revoked, _refusal_message(revoked))
    if _ROLE_KEY.fullmatch(parts[0]):
        return _assumed_role(parts[0], region, _open_token(token), dialect, now)
    return Identity(options.accounts.get(parts[0], options.default_account), region, parts[0])


def _assumed_role(key: str, region: str, session: Mapping[str, Any] | None, dialect: Dialect, now: float) -> Identity:
    if session is None:
        raise AwsError(dialect.unknown_key, _INVALID_KEY)
    if now >= session["until"]:
        raise AwsError(dialect.expired_key, _EXPIRED_KEY)
    return Identity(key[4:16], region, key, session)


def _refusal_message(code: str) -> str:
    return _EXPIRED_KEY if "Expired" in code else _INVALID_KEY


def _check_date(date: str, dialect: Dialect, now: float) -> None:
    try:
        signed = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise AwsError("IncompleteSignatureException", "Date must be in ISO-8601 'basic format'") from error
    if signed < now - SIGNATURE_TOLERANCE_S:
        limit = _basic(now - SIGNATURE_TOLERANCE_S)
        message = f"Signature expired: {date} is now earlier than {limit} ({_basic(now)} - 5 min.)"
        raise AwsError(dialect.bad_signature, message)
    if signed > now + SIGNATURE_TOLERANCE_S:
        limit = _basic(now + SIGNATURE_TOLERANCE_S)
        message = f"Signature not yet current: {date} is still later than {limit} ({_basic(now)} + 5 min.)"
        raise AwsError(dialect.bad_signature, message)


def _basic(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%dT%H%M%SZ")


def assumed_credentials(role_arn: str, session_name: str, until: float, chance: random.Random) -> dict[str, Any]:
    """Temporary credentials of a role, in the members of STS's Credentials shape."""
    account = role_arn.split(":")[4]
    session = {"role": role_arn, "name": session_name, "until": until}
    return {
        "AccessKeyId": f"ASIA{account}{''.join(chance.choices(_ALPHABET, k=4))}",
        "SecretAccessKey": base64.b64encode(chance.randbytes(30)).decode(),
        "SessionToken": base64.b64encode(orjson.dumps(session)).decode(),
        "Expiration": until,
    }


def _open_token(token: str | None) -> dict[str, Any] | None:
    try:
        session = orjson.loads(base64.b64decode(token or "", validate=True))
        return {"role": str(session["role"]), "name": str(session["name"]), "until": float(session["until"])}
    except (binascii.Error, ValueError, KeyError, TypeError):
        return None
