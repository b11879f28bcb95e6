"""Validation: checks a value against a botocore shape, the whole of it, and says all that is wrong with it at once.

Invariant: it ends in bounded time for every value that JSON can hold, raises nothing, and neither changes nor keeps the
value. What botocore's own validator refuses is refused here too; botocore leaves out maximums, enums and patterns,
which AWS then refuses after the call.

What a document is, and which members Ferryman fills in itself, does not belong here.
"""

from controller.validation.findings import NODES_MAX, PROBLEMS_MAX, Findings
from controller.validation.quoting import child_path, described, did_you_mean, quoted
from controller.validation.shapes import ShapeValidator

__all__ = [
    "NODES_MAX",
    "PROBLEMS_MAX",
    "Findings",
    "ShapeValidator",
    "child_path",
    "described",
    "did_you_mean",
    "quoted",
]
