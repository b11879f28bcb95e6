"""Everything about a simulated AWS that can be turned, as one frozen tree that is also readable from JSON.

Invariant: an option's default is the answer AWS documents; where nobody could confirm AWS's answer (marked `[?]`), both
answers are offered. Durations and lags are in simulated seconds and are divided by `speed`; the lifetime of tokens,
throttles and signatures is in seconds of the simulator's clock.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from controller.simulator.families import CUSTOM_MODEL_KEY, FAMILIES, WHOLE_REGION_KEY

Seconds = Annotated[float, Field(ge=0)]
Span = tuple[Seconds, Seconds]
Share = Annotated[float, Field(ge=0, le=1)]
Account = Annotated[str, Field(pattern=r"^[0-9]{12}$")]


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Refusal(Frozen):
    """An error answer: `code` as AWS names it; without `status` the modelled HTTP status is used."""

    code: str
    message: str = "Simulated refusal"
    status: int | None = Field(default=None, ge=300, le=599)


class OutcomeRule(Frozen):
    """What happens to jobs whose name, role and kind match (shell patterns). The first rule that matches decides.

    Attributes:
        times: how many creates the rule decides before it steps aside; None is for ever.
        refuse: the create is refused with this error, and nothing is created.
        status: the final status instead of a drawn one.
        stage: the passing status in which the job ends (without `status`: fails); default is the working stage.
        message: the failure message.
        durations: stage to (least, most) simulated seconds, over the options' own.
        records: total number of records; `error_share` of them fail.
        processed_share: how far the work gets before the final status.
    """

    kind: str = "*"
    name: str = "*"
    role: str = "*"
    account: str = "*"
    times: int | None = Field(default=None, ge=1)
    refuse: Refusal | None = None
    status: str | None = None
    stage: str | None = None
    message: str | None = None
    durations: Mapping[str, Span] = {}
    records: int | None = Field(default=None, ge=0)
    error_share: Share | None = None
    processed_share: Share | None = None


class Rate(Frozen):
    """A token bucket: `rate` calls a second on average, `burst` at once."""

    rate: float = Field(gt=0)
    burst: float = Field(default=1, ge=1)


_DURATIONS: Mapping[str, Mapping[str, Span]] = {
    "bedrock.ModelInvocationJob": {
        "Submitted": (20, 60),
        "Validating": (60, 180),
        "Scheduled": (60, 900),
        "InProgress": (600, 3600),
        "Stopping": (30, 120),
    },
    "bedrock.AdvancedPromptOptimizationJob": {
        "InProgress": (900, 5400),
        "Stopping": (30, 120),
        "Deleting": (5, 30),
    },
    "bedrock-data-automation.BlueprintOptimization": {"Created": (5, 30), "InProgress": (120, 900)},
    "personalize.BatchInferenceJob": {"CREATE PENDING": (60, 300), "CREATE IN_PROGRESS": (900, 3600)},
}

_QUOTAS: Mapping[str, Mapping[str, int]] = {
    "bedrock.ModelInvocationJob": {WHOLE_REGION_KEY: 20, CUSTOM_MODEL_KEY: 3},
    "bedrock.AdvancedPromptOptimizationJob": {WHOLE_REGION_KEY: 20},
    "bedrock-data-automation.BlueprintOptimization": {WHOLE_REGION_KEY: 20},
    "personalize.BatchInferenceJob": {WHOLE_REGION_KEY: 5},
}


class SimulatorOptions(Frozen):
    """One simulated AWS.

    Attributes:
        seed: with a job's name (or ARN) and how often it was used, decides durations and outcomes.
        speed: simulated seconds per second of the clock; life cycles and lags only.
        accounts: access key to account; other keys belong to `default_account`.
        revoked_keys: access key to the error code it gets, e.g. ExpiredTokenException.
        check_signature_date: refuse signatures more than five minutes off the simulator's clock.
        bearer_region: region of calls signed with a Bedrock API key, which names none.
        durations: kind to stage to (least, most) simulated seconds; what is left out keeps its default.
        outcomes: kind to final status to probability; the rest succeeds.
        failing_stage_share: how many of the random failures happen before the working stage.
        records: (least, most) records of a job. error_share: the part of them that fails in jobs that complete.
        repeated_token: [?] the same token again answers with the same ARN, or with Conflict.
        token_lifetime_s: [?] after which a token is forgotten; None is never.
        changed_token: [?] the same token with other parameters: Conflict, ValidationException or the same ARN.
        unique_names: [?] kinds whose job names must be unique among existing jobs.
        quotas: kind to quota key to the most active jobs; `*` is for every key that is not named.
        enforce_quotas: False only measures. over_quota: [?] the job above is refused, or waits in its first status.
        list_lag_s: how long a new job stays invisible in lists. get_lag_s: ... to Get. tag_lag_s: ... to tagging.
        tags_show_blueprint_optimizations: [?] whether tagging lists them at all.
        personalize_statuses: [?] `create` is CREATE PENDING and CREATE IN_PROGRESS, `bare` is PENDING and IN PROGRESS.
        profile_arns: an inference profile's id comes back as a full ARN.
        throttles: operation (shell pattern) to its rate, per account and region; the first match counts.
        page_size_default: size of a page when the caller names none. page_size_max: the most a page holds.
        page_token_lifetime_s: after which a page token is refused; None is never.
        newest_first: [?] the order of lists when the caller names none.
        jobs_kept_max: the oldest finished jobs beyond are forgotten. ledger_kept_max: entries kept in memory.
    """

    seed: int = 0
    speed: float = Field(default=1.0, gt=0)
    default_account: Account = "123456789012"
    accounts: Mapping[str, Account] = {}
    revoked_keys: Mapping[str, str] = {}
    check_signature_date: bool = False
    bearer_region: str = "us-east-1"
    durations: Mapping[str, Mapping[str, Span]] = _DURATIONS
    outcomes: Mapping[str, Mapping[str, Share]] = {}
    failing_stage_share: Share = 0.25
    rules: tuple[OutcomeRule, ...] = ()
    records: tuple[int, int] = (100, 5000)
    error_share: Share = 0.0
    repeated_token: Literal["same_arn", "conflict"] = "same_arn"  # noqa: S105 -- an answer, not a secret
    token_lifetime_s: Seconds | None = None
    changed_token: Literal["conflict", "validation", "same_arn"] = "conflict"  # noqa: S105 -- an answer, not a secret
    unique_names: frozenset[str] = frozenset({"personalize.BatchInferenceJob"})
    quotas: Mapping[str, Mapping[str, int]] = _QUOTAS
    enforce_quotas: bool = True
    over_quota: Literal["refuse", "queue"] = "refuse"
    list_lag_s: Span = (0, 0)
    get_lag_s: Span = (0, 0)
    tag_lag_s: Span = (0, 0)
    tags_show_blueprint_optimizations: bool = True
    personalize_statuses: Literal["create", "bare"] = "create"
    profile_arns: bool = False
    throttles: Mapping[str, Rate] = {}
    page_size_default: int = Field(default=100, ge=1, le=1000)
    page_size_max: int = Field(default=1000, ge=1, le=1000)
    page_token_lifetime_s: Seconds | None = None
    newest_first: bool = True
    jobs_kept_max: int = Field(default=1_000_000, ge=1)
    ledger_kept_max: int = Field(default=2_000_000, ge=1)

    @field_validator("durations", mode="after")
    @classmethod
    def _complete_durations(cls, given: Mapping[str, Mapping[str, Span]]) -> Mapping[str, Mapping[str, Span]]:
        return {kind: {**stages, **given.get(kind, {})} for kind, stages in _DURATIONS.items()}

    @field_validator("quotas", mode="after")
    @classmethod
    def _complete_quotas(cls, given: Mapping[str, Mapping[str, int]]) -> Mapping[str, Mapping[str, int]]:
        return {kind: given.get(kind, keys) for kind, keys in _QUOTAS.items()}

    @field_validator("durations", "outcomes", "quotas", "unique_names", mode="before")
    @classmethod
    def _known_kinds(cls, given: Any) -> Any:
        unknown = set(given) - set(FAMILIES)
        if unknown:
            raise ValueError(f"unknown kind {min(unknown)!r}; known are {', '.join(FAMILIES)}")
        return given

    @model_validator(mode="after")
    def _known_statuses(self) -> "SimulatorOptions":
        for kind, outcomes in self.outcomes.items():
            _check_statuses(kind, outcomes)
        for rule in self.rules:
            if rule.kind in FAMILIES and rule.status is not None:
                _check_statuses(rule.kind, {rule.status: 1.0})
        return self

    def with_changes(self, changes: Mapping[str, Any]) -> "SimulatorOptions":
        """A validated copy with `changes` (field to value, JSON or Python)."""
        return SimulatorOptions.model_validate({**self.model_dump(), **changes})

    def quota_limit(self, kind: str, key: str) -> int | None:
        """The most active jobs under `key`, or None where there is no limit."""
        limits = self.quotas[kind]
        if key.startswith("arn:"):  # a blueprint's own slot: measured, and limited only when named
            return limits.get(key, limits.get("blueprint"))
        return limits.get(key, limits.get(WHOLE_REGION_KEY))


def _check_statuses(kind: str, outcomes: Mapping[str, float]) -> None:
    unknown = set(outcomes) - FAMILIES[kind].final
    if unknown:
        allowed = ", ".join(sorted(FAMILIES[kind].final))
        raise ValueError(f"{min(unknown)!r} is no final status of {kind}; those are {allowed}")
    if sum(outcomes.values()) > 1:
        raise ValueError(f"the outcomes of {kind} add up to more than 1")
