"""What an ARN says."""

from typing import Final

_REGION: Final = 3
_PARTS: Final = 6


def region_of(arn: str) -> str:
    """The Region of an ARN; empty where it names none, or where it is no ARN."""
    parts = arn.split(":", _PARTS - 1)
    return parts[_REGION] if len(parts) == _PARTS and parts[0] == "arn" else ""
