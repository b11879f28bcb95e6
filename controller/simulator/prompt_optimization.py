"""Advanced prompt optimization: Create, Get, List, Stop and BatchDelete."""

from collections.abc import Mapping
from typing import Any, Final

from controller.simulator.bedrock import job_query, stop_job, visible_job
from controller.simulator.call import Call, Handler
from controller.simulator.errors import AwsError
from controller.simulator.families import PROMPT_OPTIMIZATION
from controller.simulator.lifecycle import position_at
from controller.simulator.listing import list_page
from controller.simulator.world import Job

_ECHOED: Final = ("jobDescription", "inputConfig", "outputConfig", "encryptionKeyArn", "modelConfigurations")


def create(call: Call) -> dict[str, Any]:
    return {"jobArn": call.backend.create(PROMPT_OPTIMIZATION, call.place, call.parameters, call.now)}


def get(call: Call) -> dict[str, Any]:
    job = visible_job(call, PROMPT_OPTIMIZATION, call.parameters["jobIdentifier"])
    failed = job.status == job.plan.final
    echoed = {member: job.parameters[member] for member in _ECHOED if member in job.parameters}
    return {**_summary(job, call.now), "failureMessage": job.plan.message if failed else None, **echoed}


def list_jobs(call: Call) -> dict[str, Any]:
    summaries, token = list_page(call, PROMPT_OPTIMIZATION, job_query(call), _summary)
    return {"jobSummaries": summaries, "nextToken": token}


def stop(call: Call) -> dict[str, Any]:
    return stop_job(call, PROMPT_OPTIMIZATION)


def batch_delete(call: Call) -> dict[str, Any]:
    """Deletes what can be deleted; each job that cannot has an error of its own."""
    deleted, errors = [], []
    for identifier in call.parameters["jobIdentifiers"]:
        try:
            deleted.append(_delete(call, identifier))
        except AwsError as error:
            errors.append({"jobIdentifier": identifier, "code": error.code, "message": error.message})
    return {"errors": errors, "advancedPromptOptimizationJobs": deleted}


def _delete(call: Call, identifier: str) -> dict[str, str]:
    job = visible_job(call, PROMPT_OPTIMIZATION, identifier)
    if job.status in PROMPT_OPTIMIZATION.active:
        raise AwsError("ConflictException", f"The job cannot be deleted in its current status {job.status}.")
    if job.ended:  # a job that is being deleted already stays so
        call.backend.delete(job, call.operation.name, call.now)
    return {"jobIdentifier": identifier, "jobStatus": "Deleting"}


def _summary(job: Job, at: float) -> dict[str, Any]:
    changed_at, status = job.timeline[position_at(job.timeline, at)]
    return {
        "jobArn": job.arn,
        "jobName": job.name,
        "jobStatus": status,
        "creationTime": job.created_at,
        "lastModifiedTime": changed_at,
    }


HANDLERS: Final[Mapping[str, Handler]] = {
    "CreateAdvancedPromptOptimizationJob": create,
    "GetAdvancedPromptOptimizationJob": get,
    "ListAdvancedPromptOptimizationJobs": list_jobs,
    "StopAdvancedPromptOptimizationJob": stop,
    "BatchDeleteAdvancedPromptOptimizationJob": batch_delete,
}
