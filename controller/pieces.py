"""Long work on the event loop, in pieces between which it turns.

Invariant: whatever has at most a piece's length costs no turn. What else happens during a turn is for the caller to
withstand; so is a cancellation, which comes there as at any other await.
"""

from collections.abc import Sequence
from typing import Final, Generic, Self, TypeVar

from anyio.lowlevel import checkpoint

T = TypeVar("T")

PIECE: Final = 50
"""Of what takes up to a tenth of a millisecond each."""


class InPieces(Generic[T]):
    """Iterates over the parts of a sequence, with a turn of the event loop before each but the first."""

    def __init__(self, values: Sequence[T], length: int = PIECE) -> None:
        self._values = values
        self._length = length
        self._begin = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Sequence[T]:
        begin, self._begin = self._begin, self._begin + self._length
        if begin >= len(self._values):
            raise StopAsyncIteration
        if begin:
            await checkpoint()
        return self._values[begin : self._begin]
