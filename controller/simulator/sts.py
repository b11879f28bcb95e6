"""STS: GetCallerIdentity and AssumeRole."""

from collections.abc import Mapping
from typing import Any, Final

from controller.simulator.call import Call, Handler
from controller.simulator.errors import AwsError
from controller.simulator.identity import assumed_credentials

_DEFAULT_DURATION_S: Final = 3600
_ARN_PARTS: Final = 6


def get_caller_identity(call: Call) -> dict[str, Any]:
    identity = call.identity
    user = "AIDASIMULATOR" if identity.session is None else f"AROASIMULATOR:{identity.session['name']}"
    return {"UserId": user, "Account": identity.account, "Arn": identity.arn}


def assume_role(call: Call) -> dict[str, Any]:
    """Credentials that carry the role's account, whoever asks: the simulator knows no trust policies."""
    role, name = call.parameters["RoleArn"], call.parameters["RoleSessionName"]
    parts = role.split(":", _ARN_PARTS - 1)
    if len(parts) != _ARN_PARTS or not (parts[4].isascii() and parts[4].isdigit() and len(parts[4]) == 12):  # noqa: PLR2004 -- digits of an account
        raise AwsError("ValidationError", f"{role} is invalid")
    until = call.now + call.parameters.get("DurationSeconds", _DEFAULT_DURATION_S)
    arn = f"arn:{parts[1]}:sts::{parts[4]}:assumed-role/{role.rsplit('/', 1)[-1]}/{name}"
    return {
        "Credentials": assumed_credentials(role, name, until, call.backend.chance),
        "AssumedRoleUser": {"AssumedRoleId": f"AROASIMULATOR:{name}", "Arn": arn},
        "PackedPolicySize": 0,
    }


HANDLERS: Final[Mapping[str, Handler]] = {"GetCallerIdentity": get_caller_identity, "AssumeRole": assume_role}
