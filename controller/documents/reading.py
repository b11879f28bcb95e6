"""Bytes to documents, parsing and judging in one step.

Invariant: one outcome for each item of the text, in its order.
"""

from collections.abc import Iterator, Mapping

from anyio import to_thread

from controller.documents.bounds import FILE_BOUNDS, INLINE_BYTES_MAX, MESSAGE_BOUNDS, Bounds
from controller.documents.create_shape import CreateKind
from controller.documents.envelope import read_document
from controller.documents.parsing import parse_file, parse_file_in_parts, parse_message
from controller.documents.policy import Policy
from controller.documents.rejection import Rejection
from controller.model import Document


def read_message(
    data: bytes, kinds: Mapping[str, CreateKind], policy: Policy, bounds: Bounds = MESSAGE_BOUNDS
) -> list[Document | Rejection]:
    """The documents of one queue message or HTTP body; never empty.

    Takes about 50 us for a usual document, and up to 0.3 s for the worst megabyte: on the event loop use `receive`.
    """
    return [read_document(raw, kinds, policy) for raw in parse_message(data, bounds)]


def read_file(
    data: bytes, suffix: str, kinds: Mapping[str, CreateKind], policy: Policy, bounds: Bounds = FILE_BOUNDS
) -> list[Document | Rejection]:
    """The documents of one file; never empty. To be called in a thread."""
    return [read_document(raw, kinds, policy) for raw in parse_file(data, suffix, bounds)]


def read_file_in_parts(
    data: bytes, suffix: str, kinds: Mapping[str, CreateKind], policy: Policy, bounds: Bounds = FILE_BOUNDS
) -> Iterator[list[Document | Rejection]]:
    """The same a part at a time, so that a long file is not in memory many times over. To be called in a thread."""
    for raws in parse_file_in_parts(data, suffix, bounds):
        yield [read_document(raw, kinds, policy) for raw in raws]


async def receive(
    data: bytes, kinds: Mapping[str, CreateKind], policy: Policy, bounds: Bounds = MESSAGE_BOUNDS
) -> list[Document | Rejection]:
    """`read_message` for the event loop, which a short message holds for less than 50 ms; a long one goes to a thread.

    Work in a thread is not cut short by a cancellation, which waits for it.
    """
    if len(data) <= INLINE_BYTES_MAX:
        return read_message(data, kinds, policy, bounds)
    return await to_thread.run_sync(read_message, data, kinds, policy, bounds)
