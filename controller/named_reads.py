"""Reads just some jobs of a lane, many a call.

Invariant: the pages of the jobs' own submit times are read while that is cheaper than a Get each; what they do not show
is handed back, and nothing is concluded from that. It costs at most twice the cheaper of the two ways.
"""

from collections.abc import Sequence
from contextlib import aclosing
from typing import Final

from controller.comparing import compare
from controller.desk import Desk
from controller.model import Job
from controller.pages import pages
from controller.plans import Counted

FEW: Final = 2
"""So many are read by a Get each."""
SLACK_S: Final = 120.0
"""By how much a submit time may be earlier than the intent of its create."""
SUBMITTED_WITHIN_S: Final = 900.0
"""By how much it may be later: the create waited for its rate, or was sent again."""


async def read_named(desk: Desk, jobs: Sequence[Job], counted: Counted) -> Sequence[Job]:
    """Read jobs from List as far as that is the cheaper way; returns those that were not shown.

    Raises:
        AwsError: a page could not be read.
        PageError: a page cannot be believed.
    """
    listing = desk.kind.listing
    left = {job.current.remote_id: job for job in jobs if job.current is not None and job.current.remote_id}
    if listing is None or not listing.newest_first or not left:
        return list(left.values())
    if len(left) <= FEW and desk.calls.delay_s("get") <= 0:
        return list(left.values())
    began = [job.current.created_at for job in left.values() if job.current is not None]
    after, before = min(began) - SLACK_S, max(began) + SUBMITTED_WITHIN_S
    now = desk.aws_now()
    if counted.window(after, min(before, now)) > len(left):
        return list(left.values())
    read = 0
    async with aclosing(pages(desk, after=after, before=min(before, now + SLACK_S))) as found:
        async for page in found:
            read += 1
            for remote_id in await compare(desk, page):
                left.pop(remote_id, None)
            if read >= len(left):
                break
    return list(left.values())
