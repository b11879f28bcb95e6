"""Checks a request's parameters against its input shape and words the problems as AWS does: in one message.

Invariant: what passes has every required member, no member that the model does not know, and meets every constraint.
AWS itself ignores members it does not know; here they are refused, since they are mistakes in what is being tried.
"""

from collections.abc import Mapping
from typing import Any

from botocore.model import StructureShape

from controller.validation import ShapeValidator


class Inspector:
    """The input shape of one operation."""

    def __init__(self, shape: StructureShape | None) -> None:
        self._validator = ShapeValidator(shape) if shape is not None else None

    def problems(self, parameters: Mapping[str, Any]) -> list[str]:
        """One line for each problem, with the path of its member."""
        if self._validator is None:
            return []
        return [problem.removeprefix(".") for problem in self._validator.problems(parameters, "")]


def sentence(problems: list[str]) -> str:
    """One message for all problems."""
    counted = "1 validation error" if len(problems) == 1 else f"{len(problems)} validation errors"
    return f"{counted} detected: {'; '.join(problems)}"
