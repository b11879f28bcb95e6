"""What is fixed about each family of jobs: its statuses in order, which of them hold a slot, and how a job is named.

Invariant: everything here follows from AWS's models and documentation and is the same for every simulated world.
What a user may turn (durations, quotas, the answers nobody could confirm) belongs in `options`; behaviour belongs in
the module of the service.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

Parameters = Mapping[str, Any]

CUSTOM_MODEL_KEY: Final = "custom-model"
WHOLE_REGION_KEY: Final = "*"

_GEOGRAPHY = re.compile(r"^(us|eu|apac|global|us-gov|au|jp|ca|sa|me|af)\.(?=[a-z0-9-]+\.)")
_BEDROCK_CUSTOM = re.compile(r":(custom-model|imported-model|provisioned-model)/")


@dataclass(frozen=True, slots=True)
class Family:
    """One family of jobs.

    Attributes:
        kind: `<botocore service>.<Family>`, as in documents.
        stages: passing statuses in order; the first is the one a new job has.
        working: the stage in which records are processed.
        active: statuses that hold a job slot.
        name_member: the request member with the job's name, or None where jobs have none.
        token_member: the request member with the idempotency token, or None.
        group_member: the request member that List can filter by, or None.
        quota_keys: from the request's parameters to the keys under which the job holds a slot.
    """

    kind: str
    arn_service: str
    resource: str
    stages: tuple[str, ...]
    working: str
    success: str
    failure: str
    active: frozenset[str]
    final: frozenset[str]
    create: str
    name_member: str | None
    token_member: str | None
    group_member: str | None
    quota_keys: Callable[[Parameters], tuple[str, ...]]


def quota_model(model_id: str) -> str:
    """The base model whose slots a `modelId` takes: geography prefix and ARN removed, custom models share one key."""
    if _BEDROCK_CUSTOM.search(model_id):
        return CUSTOM_MODEL_KEY
    return _GEOGRAPHY.sub("", model_id.rsplit("/", 1)[-1])


def _model_keys(parameters: Parameters) -> tuple[str, ...]:
    return (quota_model(parameters["modelId"]),)


def _one_key(_: Parameters) -> tuple[str, ...]:
    return (WHOLE_REGION_KEY,)


def _blueprint_keys(parameters: Parameters) -> tuple[str, ...]:
    return (WHOLE_REGION_KEY, parameters["blueprint"]["blueprintArn"])


MODEL_INVOCATION = Family(
    kind="bedrock.ModelInvocationJob",
    arn_service="bedrock",
    resource="model-invocation-job",
    stages=("Submitted", "Validating", "Scheduled", "InProgress"),
    working="InProgress",
    success="Completed",
    failure="Failed",
    active=frozenset({"Submitted", "Validating", "Scheduled", "InProgress", "Stopping"}),
    final=frozenset({"Completed", "Failed", "Stopped", "PartiallyCompleted", "Expired"}),
    create="CreateModelInvocationJob",
    name_member="jobName",
    token_member="clientRequestToken",  # noqa: S106 -- the name of a member, not a secret
    group_member=None,
    quota_keys=_model_keys,
)

PROMPT_OPTIMIZATION = Family(
    kind="bedrock.AdvancedPromptOptimizationJob",
    arn_service="bedrock",
    resource="advanced-prompt-optimization-job",
    stages=("InProgress",),
    working="InProgress",
    success="Completed",
    failure="Failed",
    active=frozenset({"InProgress", "Stopping"}),
    final=frozenset({"Completed", "Failed", "PartiallyCompleted", "Stopped"}),
    create="CreateAdvancedPromptOptimizationJob",
    name_member="jobName",
    token_member="clientToken",  # noqa: S106 -- the name of a member, not a secret
    group_member=None,
    quota_keys=_one_key,
)

BLUEPRINT_OPTIMIZATION = Family(
    kind="bedrock-data-automation.BlueprintOptimization",
    arn_service="bedrock",
    resource="blueprint-optimization-invocation",
    stages=("Created", "InProgress"),
    working="InProgress",
    success="Success",
    failure="ServiceError",
    active=frozenset({"Created", "InProgress"}),
    final=frozenset({"Success", "ServiceError", "ClientError"}),
    create="InvokeBlueprintOptimizationAsync",
    name_member=None,
    token_member=None,
    group_member=None,
    quota_keys=_blueprint_keys,
)

BATCH_INFERENCE = Family(
    kind="personalize.BatchInferenceJob",
    arn_service="personalize",
    resource="batch-inference-job",
    stages=("CREATE PENDING", "CREATE IN_PROGRESS"),
    working="CREATE IN_PROGRESS",
    success="ACTIVE",
    failure="CREATE FAILED",
    active=frozenset({"CREATE PENDING", "CREATE IN_PROGRESS"}),
    final=frozenset({"ACTIVE", "CREATE FAILED"}),
    create="CreateBatchInferenceJob",
    name_member="jobName",
    token_member=None,
    group_member="solutionVersionArn",
    quota_keys=_one_key,
)

FAMILIES: Final[Mapping[str, Family]] = {
    family.kind: family for family in (MODEL_INVOCATION, PROMPT_OPTIMIZATION, BLUEPRINT_OPTIMIZATION, BATCH_INFERENCE)
}


def partition(region: str) -> str:
    """The ARN partition of a region."""
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def tags_of(parameters: Parameters) -> Mapping[str, str]:
    """The tags of a create request; Personalize spells the members its own way."""
    return {
        tag.get("key", tag.get("tagKey")): tag.get("value", tag.get("tagValue")) for tag in parameters.get("tags", ())
    }
