"""One call on its way through: what handlers know of it.

Invariant: handlers are synchronous and read time from `now` alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from controller.simulator.backend import Backend
from controller.simulator.errors import AwsError
from controller.simulator.faults import Effect, ExpiredPageToken, first
from controller.simulator.identity import Identity
from controller.simulator.operation import Operation
from controller.simulator.options import SimulatorOptions
from controller.simulator.paging import PageToken
from controller.simulator.world import Place


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated, well-formed request. `effects` are the faults that hit it."""

    operation: Operation
    identity: Identity
    parameters: Mapping[str, Any]
    now: float
    backend: Backend
    effects: tuple[Effect, ...] = ()

    @property
    def options(self) -> SimulatorOptions:
        return self.backend.options

    @property
    def place(self) -> Place:
        return (self.identity.account, self.identity.region)

    def read_page_token(self, member: str, list_key: str) -> PageToken | None:
        """The page token of the request; None where it has none.

        Raises:
            AwsError: it is not one of this list, too old, or refused by a fault; in the service's own words.
        """
        text = self.parameters.get(member)
        if not text:
            return None
        dialect, lifetime = self.operation.dialect, self.options.page_token_lifetime_s
        if first(self.effects, ExpiredPageToken) is None:
            token = self.backend.page_tokens.read(text, list_key, now=self.now, lifetime_s=lifetime)
            if token is not None:
                return token
        raise AwsError(dialect.bad_page_token or dialect.invalid, "The page token is invalid or has expired.")


Handler = Callable[[Call], dict[str, Any]]
