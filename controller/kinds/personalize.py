"""Personalize batch inference: `personalize.BatchInferenceJob`.

Facts of the API: no token; the job name is unique and stops a second job; no stop, no delete; at most 5 jobs pending or
in progress per Region. Statuses are documented in two spellings, and code must cope with both.
"""

from typing import Final

from controller.kinds.kind import ALL_JOBS, Kind, Listing, Members, member_at
from controller.kinds.permissions import Permissions
from controller.model import Parameters, Standing


def _quota_keys(_body: Parameters) -> tuple[str, ...]:
    return (ALL_JOBS,)


def _output(spec: Parameters, _remote_id: str | None) -> tuple[str | None, str | None]:
    return member_at(spec, "jobOutput", "s3DataDestination", "path"), None


KIND: Final = Kind(
    name="personalize.BatchInferenceJob",
    service="personalize",
    create="CreateBatchInferenceJob",
    get="DescribeBatchInferenceJob",
    get_parameter="batchInferenceJobArn",
    created_id="batchInferenceJobArn",
    detail="batchInferenceJob",
    name_member="jobName",
    tag_key="tagKey",
    tag_value="tagValue",
    members=Members(
        id="batchInferenceJobArn",
        name="jobName",
        status="status",
        message="failureReason",
        submitted="creationDateTime",
        ended="lastUpdatedDateTime",
    ),
    statuses={
        "PENDING": Standing.WAITING,
        "CREATE PENDING": Standing.WAITING,
        "IN PROGRESS": Standing.WORKING,
        "IN_PROGRESS": Standing.WORKING,
        "CREATE IN_PROGRESS": Standing.WORKING,
        "CREATE IN PROGRESS": Standing.WORKING,
        "ACTIVE": Standing.COMPLETED,
        "CREATE FAILED": Standing.FAILED,
        "FAILED": Standing.FAILED,
    },
    active_statuses=("PENDING", "CREATE PENDING", "IN PROGRESS", "CREATE IN_PROGRESS"),
    quota_keys=_quota_keys,
    output=_output,
    permissions=Permissions(
        prefix="personalize",
        job="arn:{partition}:personalize:{region}:{account}:batch-inference-job/*",
        nowhere="ferryman-doctor-nothing",
        create_on=("arn:{partition}:personalize:{region}:{account}:solution/*",),
        passes_role_to="personalize.amazonaws.com",
    ),
    listing=Listing(operation="ListBatchInferenceJobs", items="batchInferenceJobs", page_size_max=100),
    default_slots={ALL_JOBS: 5},
)
