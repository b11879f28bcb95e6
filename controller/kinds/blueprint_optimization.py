"""Data Automation blueprint optimization: `bedrock-data-automation.BlueprintOptimization`.

Facts of the API: no token, no name, no List, no stop. A reply that is lost may hide a paid job, and nothing but a tag
can find it; so every request is marked with one, and it is never sent twice. Whether two optimizations of one blueprint
may run at a time is not known: they go one after the other.
"""

from typing import Final

from controller.kinds.kind import ALL_JOBS, Kind, Members, member_at
from controller.kinds.permissions import BUCKETS_AS_CALLER, Permissions
from controller.model import Parameters, Standing

BLUEPRINT_PREFIX: Final = "blueprint:"


def _quota_keys(body: Parameters) -> tuple[str, ...]:
    arn = member_at(body, "blueprint", "blueprintArn")
    return (f"{BLUEPRINT_PREFIX}{arn}", ALL_JOBS) if arn else (ALL_JOBS,)


def _output(spec: Parameters, _remote_id: str | None) -> tuple[str | None, str | None]:
    return member_at(spec, "outputConfiguration", "s3Object", "s3Uri"), None


KIND: Final = Kind(
    name="bedrock-data-automation.BlueprintOptimization",
    service="bedrock-data-automation",
    create="InvokeBlueprintOptimizationAsync",
    get="GetBlueprintOptimizationStatus",
    get_parameter="invocationArn",
    created_id="invocationArn",
    members=Members(id=None, status="status", message="errorMessage"),
    statuses={
        "Created": Standing.WAITING,
        "InProgress": Standing.WORKING,
        "Success": Standing.COMPLETED,
        "ServiceError": Standing.SERVICE_ERROR,
        "ClientError": Standing.CLIENT_ERROR,
    },
    active_statuses=("Created", "InProgress"),
    quota_keys=_quota_keys,
    output=_output,
    permissions=Permissions(
        prefix="bedrock",
        job="arn:{partition}:bedrock:{region}:{account}:blueprint-optimization-invocation/*",
        nowhere="00000000-0000-0000-0000-000000000000",
        create_on=(
            "arn:{partition}:bedrock:{region}:{account}:blueprint/*",
            # A profile's ARN may name an account of AWS, and another Region.
            "arn:{partition}:bedrock:*:*:data-automation-profile/*",
        ),
        as_caller=BUCKETS_AS_CALLER,
    ),
    marks_with_tag=True,
    fixed_slots={BLUEPRINT_PREFIX: 1},
)
