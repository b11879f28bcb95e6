"""Removes what is too old, for as long as a daemon runs: delivered events, dead letters, stubs, forgotten sinks.

Invariant: a bounded number of rows a commit, and a pause between two: others write too. Terminal jobs are their
lanes' own, and pruned there.
"""

from collections.abc import Sequence
from typing import Final

import structlog

from controller.errors import StoreUnavailableError
from controller.seams import Clock
from controller.settings import StoreSettings
from controller.store import Store

AGAIN_S: Final = 300.0
SOON_S: Final = 0.5
"""Between two batches where there is more to remove."""
ROWS: Final = 2000

_log = structlog.get_logger("ferryman")


async def tidy(store: Store, keep: StoreSettings, sinks: Sequence[str], clock: Clock) -> None:
    """Let events wait for the sinks of these settings alone, and now and then remove what is too old; until cancelled.

    Args:
        store: of the daemon.
        keep: for how many seconds each is kept.
        sinks: the names of those that there are.
        clock: for times and pauses.
    """
    forgotten = False
    while True:
        now = clock.now()
        try:
            if not forgotten:
                await store.keep_sinks(sinks)
                forgotten = True
            removed = await store.prune(
                events_before=now - keep.keep_events_s,
                dead_letters_before=now - keep.keep_dead_letters_s,
                stubs_before=now - keep.keep_stubs_s,
                limit=ROWS,
            )
        except StoreUnavailableError as error:
            _log.warning("what is too old was not removed", error=str(error))
            removed = 0
        await clock.sleep(SOON_S if removed == ROWS else AGAIN_S)
