"""Lists of jobs over all lanes, the newest acceptance first.

Invariant: the place of a job in a list is `(accepted_at, id)`, and a cursor is the place of the last job shown: jobs
that come, change or end between two pages neither move the others nor are shown twice. A job that begins anew is
accepted anew, and goes to the front. The ids of a page are chosen first; rows are read for these alone.

A filter is either common or rare, and which is not known before: so the next few jobs are looked through first, each
by itself, and only where they do not fill a page is every job asked, by way of the indexes.
"""

import math
import re
import struct
from typing import Any, Final

from sqlalchemy import Float, Select, exists, literal, or_, select, tuple_

from controller.errors import NotFoundError
from controller.model import Job
from controller.store import Selection
from controller.store.lane_reads import jobs_where, with_attempts
from controller.store.schema import BIG, JOBS, LABELS
from controller.store.searching import holds, jobs_found

LOOKED_THROUGH: Final = 4000
"""Jobs looked through before all are asked: a few milliseconds."""
_J: Final = JOBS.c
_CURSOR: Final = re.compile(r"([0-9a-f]{16})-([0-9]{1,18})", re.ASCII)


def newest_of_all(selection: Selection, after: str | None, count: int) -> Select[Any]:
    """The statement of a page, for `read_jobs`.

    Raises:
        NotFoundError: `after` is no cursor.
    """
    return _whole(_in_order(select(_J.id).where(*of_all(selection)), after, count))


def newest_of_next(selection: Selection, after: str | None, count: int) -> Select[Any]:
    """The same among the next `LOOKED_THROUGH` jobs alone.

    Raises:
        NotFoundError: `after` is no cursor.
    """
    following = _in_order(select(_J.id, _J.accepted_at), after, LOOKED_THROUGH).subquery("following")
    chosen = (
        select(_J.id)
        .join(following, following.c.id == _J.id)
        .where(*_of_itself(selection))
        .order_by(following.c.accepted_at.desc(), following.c.id.desc())
        .limit(count)
    )
    return _whole(chosen)


def of_all(selection: Selection) -> list[Any]:
    """The conditions of a selection, where labels and texts are found by their own indexes."""
    conditions = _plain(selection)
    if selection.search is not None:
        conditions.append(_J.id.in_(jobs_found(selection.search)))
    conditions.extend(
        _J.id.in_(select(LABELS.c.job_id).where(LABELS.c.key == key, LABELS.c.value == value))
        for key, value in selection.labels.items()
    )
    return conditions


def _of_itself(selection: Selection) -> list[Any]:
    """The same conditions, judged of one job after the other."""
    conditions = _plain(selection)
    own = LABELS.c.job_id == _J.id
    if selection.search is not None:
        label = exists().where(own, holds(LABELS.c.value, selection.search))
        conditions.append(or_(holds(_J.name, selection.search), holds(_J.remote_id, selection.search), label))
    # Not as EXISTS: PostgreSQL would begin with all jobs of the label where it takes them to be few.
    conditions.extend(
        select(LABELS.c.value).where(own, LABELS.c.key == key).scalar_subquery() == value
        for key, value in selection.labels.items()
    )
    return conditions


def _plain(selection: Selection) -> list[Any]:
    conditions: list[Any] = []
    if selection.scope is not None and selection.kind is not None:
        conditions.append(_J.lane == f"{selection.scope}/{selection.kind}")
    elif selection.scope is not None:
        conditions.append(_J.scope == selection.scope)
    elif selection.kind is not None:
        conditions.append(_J.kind == selection.kind)
    if selection.name is not None:
        conditions.append(_J.name == selection.name)
    if selection.phases:
        conditions.append(_J.phase.in_(sorted(phase.value for phase in selection.phases)))
    if selection.reasons:
        conditions.append(_J.reason.in_(sorted(map(str, selection.reasons))))
    if selection.group is not None:
        conditions.append(_J.group_name == selection.group)
    if selection.text is not None:
        conditions.append(_J.name.contains(selection.text, autoescape=True))
    return conditions


def _in_order(jobs: Select[Any], after: str | None, count: int) -> Select[Any]:
    if after is not None:
        accepted_at, id_ = _place(after)
        last = tuple_(literal(accepted_at, Float), literal(id_, BIG))
        jobs = jobs.where(tuple_(_J.accepted_at, _J.id) < last)
    return jobs.order_by(_J.accepted_at.desc(), _J.id.desc()).limit(count)


def _whole(chosen: Select[Any]) -> Select[Any]:
    return with_attempts(jobs_where(_J.id.in_(chosen)), "-accepted_at", "-id")


def cursor_behind(job: Job) -> str:
    """The cursor of the page behind a job: every bit of the time, for places are compared exactly."""
    return f"{struct.pack('>d', job.accepted_at).hex()}-{job.id}"


def _place(cursor: str) -> tuple[float, int]:
    found = _CURSOR.fullmatch(cursor)
    accepted_at = struct.unpack(">d", bytes.fromhex(found[1]))[0] if found else math.nan
    if found is None or not math.isfinite(accepted_at):
        raise NotFoundError(f"{cursor!r} is not the cursor of a page: use the `next` of the page before")
    return accepted_at, int(found[2])
