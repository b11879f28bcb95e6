"""What a kind is: the description of one family of jobs.

Invariant: a `Kind` holds no state and makes no call. Reading an answer never raises for a member that is missing, new
or of an unexpected type: an answer from the network is untrusted.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from controller.kinds.permissions import Permissions
from controller.model import FINISHED, Observation, Parameters, Records, Standing
from controller.untrusted import COUNT_MAX, fit_identifier, fit_message, fit_text

ALL_JOBS = "*"
"""The quota key of a kind whose jobs share one quota in a lane."""
MARKER_TAG = "ferryman:token"
"""The tag by which a remote job without token or name is found again."""


@dataclass(frozen=True, slots=True)
class Members:
    """Names of the members in which an answer carries what Ferryman needs; None where there is none."""

    id: str | None
    status: str
    name: str | None = None
    token: str | None = None
    message: str | None = None
    submitted: str | None = None
    ended: str | None = None
    """Holds the end of a remote job that has finished; of another it may hold anything."""
    total: str | None = None
    processed: str | None = None
    succeeded: str | None = None
    failed: str | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """How the List operation pages, and what it can filter by."""

    operation: str
    items: str
    page_size_max: int
    status_filter: str | None = None
    """Request member that takes ONE status."""
    submitted_after: str | None = None
    """Request member that takes the beginning of a window of submit times."""
    submitted_before: str | None = None
    """Request member that takes the end of one."""
    newest_first: Parameters = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Kind:
    """One family of jobs with one API, named `<botocore service>.<Family>`."""

    name: str
    service: str
    create: str
    get: str
    get_parameter: str
    created_id: str
    """Member of the create's answer that holds the remote id."""
    members: Members
    statuses: Mapping[str, Standing]
    active_statuses: tuple[str, ...]
    """In life-cycle order, so that a job which moves on during a scan is seen twice and never missed."""
    quota_keys: Callable[[Parameters], tuple[str, ...]]
    """Of a spec, and of a List summary where it has the members: the queue's key first."""
    output: Callable[[Parameters, str | None], tuple[str | None, str | None]]
    """Of a spec and a remote id: where the output is, and its manifest."""
    permissions: Permissions
    detail: str | None = None
    """Member of the Get's answer that wraps the job."""
    listing: Listing | None = None
    stop: str | None = None
    stop_parameter: str = ""
    delete: str | None = None
    delete_parameter: str = ""
    delete_batch_max: int = 1
    token_member: str | None = None
    name_member: str | None = None
    name_length_max: int = 63
    tags_member: str | None = "tags"
    tag_key: str = "key"
    tag_value: str = "value"
    marks_with_tag: bool = False
    detail_wanted: frozenset[Standing] = frozenset()
    """Standings for which List lacks something that only Get has."""
    fixed_slots: Mapping[str, int] = field(default_factory=dict)
    """Slots of keys that begin so, whatever the settings say."""
    default_slots: Mapping[str, int] = field(default_factory=lambda: {ALL_JOBS: 20})
    job_life_s_max: float | None = None
    """The longest that such a remote job can live; None where AWS gives no bound."""

    @property
    def short(self) -> str:
        return self.name.partition(".")[2]

    @property
    def can_stop(self) -> bool:
        return self.stop is not None

    @property
    def can_delete(self) -> bool:
        return self.delete is not None

    @property
    def can_list(self) -> bool:
        return self.listing is not None

    @property
    def repeatable(self) -> bool:
        """Whether sending one attempt again is safe: its token or its unique name stops a second job."""
        return self.token_member is not None or self.name_member is not None

    @property
    def list(self) -> str | None:
        return self.listing.operation if self.listing else None

    def parameters(self, spec: Parameters, token: str, remote_name: str) -> dict[str, Any]:
        """The create request of one attempt; the same for the same arguments, always."""
        request = dict(spec)
        if self.name_member is not None:
            request[self.name_member] = remote_name
        if self.token_member is not None:
            request[self.token_member] = token
        if self.marks_with_tag and self.tags_member is not None:
            mark = {self.tag_key: MARKER_TAG, self.tag_value: token}
            request[self.tags_member] = [*request.get(self.tags_member, ()), mark]
        return request

    def standing(self, status: str) -> Standing:
        return self.statuses.get(status, Standing.UNKNOWN)

    def can_be(self, remote_id: str, *, region: str, account: str) -> bool:
        """Whether an id can be that of a job of this kind, in a Region and account as far as these are known."""
        _, _, service, _, _, resource = self.permissions.job.split(":", 5)
        parts = remote_id.split(":", 5)
        if len(parts) <= resource.count(":") + 5 or parts[0] != "arn" or parts[2] != service:
            return False
        placed = (not region or parts[3] == region) and (not account or parts[4] == account)
        return placed and parts[5].startswith(resource.removesuffix("*"))

    def observe_summary(self, summary: object) -> Observation | None:
        """Read one item of a List page; None where it has no id."""
        if not isinstance(summary, Mapping):
            return None
        remote_id = fit_identifier(_member(summary, self.members.id))
        return self._observation(summary, remote_id, detailed=False) if remote_id else None

    def observe_detail(self, answer: Mapping[str, Any], remote_id: str) -> Observation | None:
        """Read a Get's answer about `remote_id`; None where it has no status or speaks of another job."""
        body = answer.get(self.detail) if self.detail else answer
        if not isinstance(body, Mapping):
            return None
        if self.members.id is not None and _member(body, self.members.id) not in (None, remote_id):
            return None
        observation = self._observation(body, remote_id, detailed=True)
        return observation if observation.status else None

    def _observation(self, body: Mapping[str, Any], remote_id: str, *, detailed: bool) -> Observation:
        members = self.members
        status = fit_text(_member(body, members.status)) or ""
        standing = self.standing(status)
        return Observation(
            remote_id=remote_id,
            status=status,
            standing=standing,
            name=fit_text(_member(body, members.name)),
            token=fit_text(_member(body, members.token)),
            message=fit_message(_member(body, members.message)),
            records=_records(body, members),
            submitted_at=_seconds(body, members.submitted),
            ended_at=_seconds(body, members.ended) if standing in FINISHED else None,
            quota_keys=tuple(fit_text(key) or ALL_JOBS for key in self.quota_keys(body)),
            detailed=detailed,
        )

    def differs(self, spec: Parameters, body: Mapping[str, Any]) -> tuple[str, ...]:
        """Members in which a remote job, as a List or Get shows it, is not what `spec` asks for.

        Only members that both have are compared; a model named by profile or ARN equals its base model.
        """
        ours = {self.name_member, self.token_member, self.tags_member}
        shared = [member for member in spec if member in body and member not in ours]
        return tuple(member for member in shared if not self._same(spec, body, member))

    def _same(self, spec: Parameters, body: Mapping[str, Any], member: str) -> bool:
        if member == "modelId":
            return self.quota_keys(spec) == self.quota_keys(body)
        return _covers(body[member], spec[member])

    def lacks_detail(self, observation: Observation) -> bool:
        """Whether a finished remote job must be read once more by Get before it is settled."""
        return not observation.detailed and observation.standing in self.detail_wanted & FINISHED


def _member(body: Mapping[str, Any], member: str | None) -> object:
    return body.get(member) if member else None


def _seconds(body: Mapping[str, Any], member: str | None) -> float | None:
    value = body.get(member) if member else None
    return value.timestamp() if isinstance(value, datetime) else None


def _covers(shown: object, wanted: object) -> bool:
    """Whether everything wanted is shown.

    AWS may add members of its own and a slash at the end of a URI, and need not keep the order of ids, as of subnets.
    """
    if isinstance(wanted, Mapping) and isinstance(shown, Mapping):
        return all(key in shown and _covers(shown[key], value) for key, value in wanted.items())
    if isinstance(wanted, list) and isinstance(shown, list):
        if len(wanted) != len(shown):
            return False
        if all(isinstance(item, str) for item in (*wanted, *shown)):
            wanted, shown = sorted(wanted), sorted(shown)
        return all(map(_covers, shown, wanted))
    if isinstance(wanted, str) and isinstance(shown, str):
        return wanted.rstrip("/") == shown.rstrip("/")
    return shown == wanted


def _count(body: Mapping[str, Any], member: str | None) -> int:
    value = body.get(member) if member else None
    return min(value, COUNT_MAX) if isinstance(value, int) and value > 0 else 0


def _records(body: Mapping[str, Any], members: Members) -> Records | None:
    if members.total is None or body.get(members.total) is None:
        return None
    return Records(
        total=_count(body, members.total),
        processed=_count(body, members.processed),
        succeeded=_count(body, members.succeeded),
        failed=_count(body, members.failed),
    )


def member_at(body: Mapping[str, Any], *path: str) -> str | None:
    """The text at a path of nested members, or None."""
    value: Any = body
    for member in path:
        value = value.get(member) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) else None
