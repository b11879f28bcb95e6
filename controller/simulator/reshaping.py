"""Changes what an answer shows of jobs, as a fault asks: unknown statuses, missing members, new members."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any, Final

from controller.simulator.faults import Reshape

_LIST_MEMBERS: Final = ("invocationJobSummaries", "jobSummaries", "batchInferenceJobs")
_SHOWS_ONE_JOB: Final = frozenset(
    {"GetModelInvocationJob", "GetAdvancedPromptOptimizationJob", "GetBlueprintOptimizationStatus"}
)


def reshape(operation: str, wire: dict[str, Any], fault: Reshape) -> None:
    """Changes an encoded answer in place."""
    for job in _jobs_in(operation, wire):
        if fnmatchcase(str(job.get("jobName", "")), fault.name):
            for member in fault.remove:
                job.pop(member, None)
            job.update({member: value for member, value in fault.set.items() if fault.add or member in job})


def _jobs_in(operation: str, wire: dict[str, Any]) -> Iterable[dict[str, Any]]:
    for member in _LIST_MEMBERS:
        if member in wire:
            jobs: list[dict[str, Any]] = wire[member]
            return jobs
    if "batchInferenceJob" in wire:
        return [wire["batchInferenceJob"]]
    return [wire] if operation in _SHOWS_ONE_JOB else []
