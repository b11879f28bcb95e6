"""What List shows of our own jobs, compared with what the store holds, a page at a time.

Invariant: only what differs is written; a job that waits for its Get is left to it. What a page does not show is not
looked at here, nor are the jobs of others.
"""

from collections.abc import Mapping
from functools import partial

from controller.desk import Desk, Rule
from controller.model import AT_AWS, FINISHED, Job, Observation, Standing, Todo
from controller.pages import Page
from controller.store import Mirror
from controller.transitions.running import observe, read_again, worth_writing
from controller.transitions.step import Step


async def compare(desk: Desk, page: Page) -> Mapping[str, Mirror]:
    """Write what a page shows of our jobs; returns those that it shows, by remote id."""
    shown = {observation.remote_id: observation for observation, _ in page}
    mirrors = await desk.store.mirrors(desk.lane, list(shown))
    rules: list[tuple[int, Rule]] = []
    for remote_id, mirror in mirrors.items():
        observation = shown[remote_id]
        if (
            mirror.phase in AT_AWS
            and (mirror.todo is not Todo.GET or _is_the_end(desk, observation))
            and worth_writing(mirror.remote_status, mirror.records, mirror.phase, observation)
        ):
            rules.append((mirror.job_id, partial(_observed, desk=desk, observation=observation)))
    if rules:
        await desk.apply(rules)
    return mirrors


def _is_the_end(desk: Desk, observation: Observation) -> bool:
    """A Get that is due, and may be denied, would not say more."""
    return observation.standing in FINISHED and not desk.kind.lacks_detail(observation)


def _observed(job: Job, desk: Desk, observation: Observation) -> Step | None:
    if job.current is None or job.current.remote_id != observation.remote_id:
        return None
    if observation.standing is Standing.UNKNOWN:
        desk.log.warning("a status that this release does not know counts as running", status=observation.status)
    return observe(job, observation, desk.context(), detail_wanted=desk.kind.lacks_detail(observation))


def look_now(job: Job, now: float) -> Step | None:
    """A Get of a job that runs, unless it waits for something else already."""
    return read_again(job, now) if job.phase in AT_AWS and job.todo is None else None
