"""Answers as JSON."""

from typing import Any

import orjson
from fastapi import Response


def json_answer(value: Any, status: int = 200, media_type: str = "application/json") -> Response:
    """A JSON answer; `value` as the service built it."""
    return Response(orjson.dumps(value), status, media_type=media_type)
