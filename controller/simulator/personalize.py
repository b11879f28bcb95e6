"""Personalize batch inference: Create, Describe and ListBatchInferenceJobs."""

from collections.abc import Mapping
from typing import Any, Final

from controller.simulator.bedrock import visible_job
from controller.simulator.call import Call, Handler
from controller.simulator.families import BATCH_INFERENCE
from controller.simulator.lifecycle import position_at
from controller.simulator.listing import Query, list_page
from controller.simulator.world import Job

_BARE: Final[Mapping[str, str]] = {"CREATE PENDING": "PENDING", "CREATE IN_PROGRESS": "IN PROGRESS"}
_ECHOED: Final = (
    "filterArn",
    "numResults",
    "jobInput",
    "jobOutput",
    "batchInferenceJobConfig",
    "roleArn",
    "themeGenerationConfig",
)
_PAGE_SIZE_MAX: Final = 100


def create(call: Call) -> dict[str, Any]:
    return {"batchInferenceJobArn": call.backend.create(BATCH_INFERENCE, call.place, call.parameters, call.now)}


def describe(call: Call) -> dict[str, Any]:
    job = visible_job(call, BATCH_INFERENCE, call.parameters["batchInferenceJobArn"])
    echoed = {member: job.parameters[member] for member in _ECHOED if member in job.parameters}
    return {"batchInferenceJob": {**_summary(job, call.now, call), **echoed}}


def list_jobs(call: Call) -> dict[str, Any]:
    asked = call.parameters
    query = Query(
        size=asked.get("maxResults", min(_PAGE_SIZE_MAX, call.options.page_size_default)),
        newest_first=call.options.newest_first,
        token=asked.get("nextToken"),
        group=asked.get("solutionVersionArn"),
    )
    summaries, token = list_page(call, BATCH_INFERENCE, query, lambda job, at: _summary(job, at, call))
    return {"batchInferenceJobs": summaries, "nextToken": token}


def _summary(job: Job, at: float, call: Call) -> dict[str, Any]:
    changed_at, status = job.timeline[position_at(job.timeline, at)]
    spelt = _BARE.get(status, status) if call.options.personalize_statuses == "bare" else status
    return {
        "batchInferenceJobArn": job.arn,
        "jobName": job.name,
        "status": spelt,
        "creationDateTime": job.created_at,
        "lastUpdatedDateTime": changed_at,
        "failureReason": job.plan.message if status == BATCH_INFERENCE.failure else None,
        "solutionVersionArn": job.parameters["solutionVersionArn"],
        "batchInferenceJobMode": job.parameters.get("batchInferenceJobMode", "BATCH_INFERENCE"),
    }


HANDLERS: Final[Mapping[str, Handler]] = {
    "CreateBatchInferenceJob": create,
    "DescribeBatchInferenceJob": describe,
    "ListBatchInferenceJobs": list_jobs,
}
