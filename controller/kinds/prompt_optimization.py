"""Bedrock advanced prompt optimization: `bedrock.AdvancedPromptOptimizationJob`.

Facts of the API: a summary has neither token nor failure message; List has no filter; finished jobs can be deleted, 25
a call, each item with an error of its own; 20 jobs per account and Region.
"""

from typing import Final

from controller.kinds.kind import ALL_JOBS, Kind, Listing, Members, member_at
from controller.kinds.permissions import BUCKETS_AS_CALLER, EVERY_MODEL, AsCaller, Permissions
from controller.model import Parameters, Standing


def _quota_keys(_body: Parameters) -> tuple[str, ...]:
    return (ALL_JOBS,)


def _output(spec: Parameters, _remote_id: str | None) -> tuple[str | None, str | None]:
    return member_at(spec, "outputConfig", "s3Uri"), None


KIND: Final = Kind(
    name="bedrock.AdvancedPromptOptimizationJob",
    service="bedrock",
    create="CreateAdvancedPromptOptimizationJob",
    get="GetAdvancedPromptOptimizationJob",
    get_parameter="jobIdentifier",
    created_id="jobArn",
    stop="StopAdvancedPromptOptimizationJob",
    stop_parameter="jobIdentifier",
    delete="BatchDeleteAdvancedPromptOptimizationJob",
    delete_parameter="jobIdentifiers",
    delete_batch_max=25,
    token_member="clientToken",  # noqa: S106 - the name of a member
    name_member="jobName",
    name_length_max=100,
    members=Members(
        id="jobArn",
        name="jobName",
        status="jobStatus",
        message="failureMessage",
        submitted="creationTime",
        ended="lastModifiedTime",
    ),
    statuses={
        "InProgress": Standing.WORKING,
        "Stopping": Standing.STOPPING,
        "Deleting": Standing.DELETING,
        "Completed": Standing.COMPLETED,
        "PartiallyCompleted": Standing.PARTIAL,
        "Failed": Standing.FAILED,
        "Stopped": Standing.STOPPED,
    },
    active_statuses=("InProgress", "Stopping"),
    quota_keys=_quota_keys,
    output=_output,
    permissions=Permissions(
        prefix="bedrock",
        job="arn:{partition}:bedrock:{region}:{account}:advanced-prompt-optimization-job/*",
        nowhere="000000000000",
        as_caller=(
            AsCaller("Models", ("bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"), EVERY_MODEL),
            *BUCKETS_AS_CALLER,
        ),
    ),
    listing=Listing(
        operation="ListAdvancedPromptOptimizationJobs",
        items="jobSummaries",
        page_size_max=1000,
        newest_first={"sortBy": "CreationTime", "sortOrder": "Descending"},
    ),
    detail_wanted=frozenset({Standing.FAILED, Standing.PARTIAL}),
)
