"""Bedrock batch inference: Create, Get, List and StopModelInvocationJob."""

import re
from collections.abc import Mapping
from typing import Any, Final

from controller.simulator.call import Call, Handler
from controller.simulator.errors import AwsError
from controller.simulator.families import MODEL_INVOCATION, Family, partition
from controller.simulator.lifecycle import DEFAULT_TIMEOUT_HOURS, position_at, records_at
from controller.simulator.listing import Query, list_page
from controller.simulator.world import Job

_ECHOED: Final = (
    "roleArn",
    "clientRequestToken",
    "inputDataConfig",
    "outputDataConfig",
    "vpcConfig",
    "modelInvocationType",
)
_PROFILE = re.compile(r"(us|eu|apac|global|us-gov|au|jp|ca)\.[a-z0-9-]+\.[a-zA-Z0-9.:-]+")


def visible_job(call: Call, family: Family, identifier: str) -> Job:
    """The job that an id or an ARN names, for the caller.

    Raises:
        AwsError: ResourceNotFoundException, also while the job is too young to be seen.
    """
    call.backend.world.advance(call.now)
    job = call.backend.world.shelf(call.place, family).by_identifier.get(identifier.rsplit("/", 1)[-1])
    if job is None or job.seen_from > call.now or (identifier.startswith("arn:") and identifier != job.arn):
        raise AwsError("ResourceNotFoundException", "The provided job identifier is not valid or does not exist.")
    return job


def stop_job(call: Call, family: Family) -> dict[str, Any]:
    """Stops a job; one that is stopping already stays so, one that has ended is a conflict."""
    job = visible_job(call, family, call.parameters["jobIdentifier"])
    if job.status not in family.active:
        raise AwsError("ConflictException", f"The job cannot be stopped in its current status {job.status}.")
    if job.status != "Stopping":
        call.backend.stop(job, call.operation.name, call.now)
    return {}


def job_query(call: Call, **filters: Any) -> Query:
    """The paging and order members that Bedrock's lists share."""
    order = call.parameters.get("sortOrder")
    return Query(
        size=call.parameters.get("maxResults", call.options.page_size_default),
        newest_first=call.options.newest_first if order is None else order == "Descending",
        token=call.parameters.get("nextToken"),
        **filters,
    )


def create(call: Call) -> dict[str, Any]:
    return {"jobArn": call.backend.create(MODEL_INVOCATION, call.place, call.parameters, call.now)}


def get(call: Call) -> dict[str, Any]:
    job = visible_job(call, MODEL_INVOCATION, call.parameters["jobIdentifier"])
    return _summary(job, call.now, call)


def list_jobs(call: Call) -> dict[str, Any]:
    asked = call.parameters
    query = job_query(
        call,
        status=asked.get("statusEquals"),
        after=asked.get("submitTimeAfter"),
        before=asked.get("submitTimeBefore"),
        name_part=asked.get("nameContains"),
    )
    summaries, token = list_page(call, MODEL_INVOCATION, query, lambda job, at: _summary(job, at, call))
    return {"invocationJobSummaries": summaries, "nextToken": token}


def stop(call: Call) -> dict[str, Any]:
    return stop_job(call, MODEL_INVOCATION)


def _summary(job: Job, at: float, call: Call) -> dict[str, Any]:
    """What Get and List show, which is the same for this family."""
    given = job.parameters
    changed_at, status = job.timeline[position_at(job.timeline, at)]
    records = records_at(job.plan, job.timeline, MODEL_INVOCATION.working, at)
    ended = status in MODEL_INVOCATION.final
    hours = given.get("timeoutDurationInHours", DEFAULT_TIMEOUT_HOURS)
    return {
        "jobArn": job.arn,
        "jobName": job.name,
        "modelId": _model(given, job, profile_arns=call.options.profile_arns),
        "status": status,
        "submitTime": job.created_at,
        "lastModifiedTime": changed_at,
        "endTime": changed_at if ended else None,
        "message": job.plan.message if ended and status == job.plan.final else None,
        "timeoutDurationInHours": hours,
        "jobExpirationTime": job.created_at + hours * 3600,
        "totalRecordCount": records.total,
        "processedRecordCount": records.processed,
        "successRecordCount": records.succeeded,
        "errorRecordCount": records.failed,
        **{member: given[member] for member in _ECHOED if member in given},
    }


def _model(given: Mapping[str, Any], job: Job, *, profile_arns: bool) -> str:
    model = str(given["modelId"])
    if not profile_arns or _PROFILE.fullmatch(model) is None:
        return model
    account, region = job.place
    return f"arn:{partition(region)}:bedrock:{region}:{account}:inference-profile/{model}"


HANDLERS: Final[Mapping[str, Handler]] = {
    "CreateModelInvocationJob": create,
    "GetModelInvocationJob": get,
    "ListModelInvocationJobs": list_jobs,
    "StopModelInvocationJob": stop,
}
