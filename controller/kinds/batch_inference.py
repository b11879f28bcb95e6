"""Bedrock batch inference: `bedrock.ModelInvocationJob`.

Facts of the API: a summary carries everything, the token included; List filters by one status or by a window of submit
times; at most 20 jobs per base model and Region are submitted or in progress, 3 for custom models.
"""

import re
from typing import Final

from controller.kinds.kind import Kind, Listing, Members, member_at
from controller.kinds.permissions import EVERY_MODEL, Permissions
from controller.model import Parameters, Standing

CUSTOM_MODEL: Final = "custom-model"
_GEOGRAPHY = re.compile(r"^(?:us-gov|us|eu|apac|ap|ca|sa|jp|au|global)\.(?=[a-z0-9-]+\.)")
"""Prefix by which a cross-Region inference profile differs from the base model whose quota it uses."""
_HOUR_S = 3600.0


def normalise_model(model_id: str) -> str:
    """The quota key of a `modelId`: the base model, whether it was named by id, ARN or inference profile.

    An application inference profile does not show its base model, so it is a key of its own.
    """
    if ":custom-model/" in model_id or "custom-model-deployment/" in model_id:
        return CUSTOM_MODEL
    resource = model_id
    if model_id.startswith("arn:"):
        resource = model_id.split(":", 5)[-1]
        family, _, name = resource.partition("/")
        resource = name if family in {"foundation-model", "inference-profile"} else resource
    return _GEOGRAPHY.sub("", resource)


def _quota_keys(body: Parameters) -> tuple[str, ...]:
    return (normalise_model(str(body.get("modelId", ""))),)


def _output(spec: Parameters, remote_id: str | None) -> tuple[str | None, str | None]:
    base = member_at(spec, "outputDataConfig", "s3OutputDataConfig", "s3Uri")
    if base is None or remote_id is None:
        return base, None
    folder = f"{base.rstrip('/')}/{remote_id.rpartition('/')[2]}/"
    return folder, f"{folder}manifest.json.out"


KIND: Final = Kind(
    name="bedrock.ModelInvocationJob",
    service="bedrock",
    create="CreateModelInvocationJob",
    get="GetModelInvocationJob",
    get_parameter="jobIdentifier",
    created_id="jobArn",
    stop="StopModelInvocationJob",
    stop_parameter="jobIdentifier",
    token_member="clientRequestToken",  # noqa: S106 - the name of a member
    name_member="jobName",
    members=Members(
        id="jobArn",
        name="jobName",
        token="clientRequestToken",  # noqa: S106 - the name of a member
        status="status",
        message="message",
        submitted="submitTime",
        ended="endTime",
        total="totalRecordCount",
        processed="processedRecordCount",
        succeeded="successRecordCount",
        failed="errorRecordCount",
    ),
    statuses={
        "Submitted": Standing.WAITING,
        "Validating": Standing.WAITING,
        "Scheduled": Standing.WAITING,
        "InProgress": Standing.WORKING,
        "Stopping": Standing.STOPPING,
        "Completed": Standing.COMPLETED,
        "PartiallyCompleted": Standing.PARTIAL,
        "Failed": Standing.FAILED,
        "Stopped": Standing.STOPPED,
        "Expired": Standing.EXPIRED,
    },
    active_statuses=("Submitted", "Validating", "Scheduled", "InProgress", "Stopping"),
    quota_keys=_quota_keys,
    output=_output,
    permissions=Permissions(
        prefix="bedrock",
        job="arn:{partition}:bedrock:{region}:{account}:model-invocation-job/*",
        nowhere="000000000000",
        create_on=(*EVERY_MODEL, "arn:{partition}:bedrock:{region}:{account}:custom-model/*"),
        passes_role_to="bedrock.amazonaws.com",
    ),
    listing=Listing(
        operation="ListModelInvocationJobs",
        items="invocationJobSummaries",
        page_size_max=1000,
        status_filter="statusEquals",
        submitted_after="submitTimeAfter",
        submitted_before="submitTimeBefore",
        newest_first={"sortBy": "CreationTime", "sortOrder": "Descending"},
    ),
    default_slots={"*": 20, CUSTOM_MODEL: 3},
    job_life_s_max=(168 + 24) * _HOUR_S,
)
