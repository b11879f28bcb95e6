"""What must be true of a seed: what the sinks heard and what AWS has, held against what the documents want.

Invariant: an oracle allows no more than the plan gives reason for. A job of which one document was sent, once, ends as
its remote job did, or says why there is none.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.reliability.oracles import UNLIMITED, judge
from tests.reliability.simulate_faults import REFUSED
from tests.reliability.simulate_world import SimulatedWorld
from tests.reliability.user import ENDS, document_of

SUCCESSES = frozenset({"Completed", "ACTIVE", "Success", "PartiallyCompleted"})
REASONS: Mapping[str, frozenset[str]] = {
    "JobFailed": frozenset({"Failed", "CREATE FAILED"}),
    "Expired": frozenset({"Expired"}),
    "ServiceError": frozenset({"ServiceError"}),
    "ClientError": frozenset({"ClientError"}),
    "Partial": frozenset({"PartiallyCompleted"}),
}
"""By reason of Failed: the statuses of a remote job that give it."""
Document = Mapping[str, Any]


def judge_seed(world: SimulatedWorld) -> list[str]:
    """Every oracle on a seed that is over; without a problem, all is well."""
    quotas = _quotas(world)
    problems = judge(world, {}, quotas)
    if not world.finished:
        return problems
    for name, versions in world.plan.versions.items():
        problems += _one_job(world, name, versions)
    problems += _no_orphans(world)
    if world.user.rejected < world.watcher.poison:
        problems.append(f"O2: {world.watcher.poison} lines were no documents, and {world.user.rejected} were rejected")
    return problems


def _quotas(world: SimulatedWorld) -> Mapping[str, int]:
    """The most remote jobs at a time, where nobody else has any and no person lets one go."""
    limits = world.plan.settings["limits"]
    foreign = {entry.kind for entry in world.simulator.ledger.entries if entry.foreign}
    let_go = {str(seen.data["kind"]) for seen in world.user.jobs.values() if _let_go(seen.types)}
    return {kind: UNLIMITED if kind in foreign | let_go else each["jobs"]["*"] for kind, each in limits.items()}


def _let_go(types: Sequence[str]) -> bool:
    return "uncertain" in types


def _one_job(world: SimulatedWorld, name: str, versions: Sequence[Document]) -> Iterator[str]:
    seen, shown = world.user.jobs.get(name), world.final.get(name)
    if seen is None:
        yield f"O2: {name} was handed over, and nothing was ever heard of it"
        return
    if shown is None:
        if seen.last not in ENDS or world.plan.settings["store"]["keep_terminal_s"] > 1000:
            yield f"O2: {name} is gone, and the last that was heard of it is {seen.types}"
        return
    newest = versions[-1]
    if shown["phase"] != seen.data["phase"] and shown["phase"] != "Uncertain":
        yield f"O5: {name} is {shown['phase']}, and the last event says {seen.data['phase']}"
    allowed = _allowed(world, name, versions)
    if shown["phase"] not in allowed:
        yield f"O2: {name} is {shown['phase']} ({shown['reason']}), and should be {' or '.join(sorted(allowed))}"
    waits = shown["phase"] in {"Running", "Uncertain"} and any(
        document.get("onSpecChange") == "replace" for document in versions
    )
    applied = waits or shown["phase"] == "Deleted" or world.plan.may_be_refused(name)
    if shown["generation"] != newest.get("generation") and not applied:
        yield f"O2: {name} has generation {shown['generation']}, and {newest.get('generation')} was sent"
    yield from _as_at_aws(world, name, shown)
    yield from _attempts(world, name, versions, shown)
    yield from _deadline(world, name, versions, shown)


def _allowed(world: SimulatedWorld, name: str, versions: Sequence[Document]) -> frozenset[str]:
    """The phases in which a job may rest."""
    newest = versions[-1]
    wanted = {str(document.get("desired", "Completed")) for document in versions}
    goes_on = {"Running"} if world.watcher.goes_on(name) else set()
    held = {"Uncertain"} if world.user.policy[name] == "hold" else set()
    ends = {"Succeeded", "Failed"}
    if newest.get("desired") == "Absent":
        return frozenset({"Deleted"} | goes_on | held)
    if name in world.watcher.commanded:
        return frozenset(ends | {"Stopped", "Deleted"} | goes_on | held)
    replaced = any(document.get("onSpecChange") == "replace" for document in versions)
    if wanted - {"Completed"} or replaced:
        ends.add("Stopped")
    if "Absent" in wanted:
        ends.add("Deleted")
    return frozenset(ends | goes_on | held)


def _as_at_aws(world: SimulatedWorld, name: str, shown: Document) -> Iterator[str]:
    """A job ends as its remote job did, or for a reason that needs none."""
    attempts = shown["attempts"]
    remote_id = attempts[-1]["remoteId"] if attempts else None
    remote = world.simulator.world.by_arn(remote_id) if remote_id else None
    status = remote.status if remote is not None else None
    phase, reason = shown["phase"], shown["reason"]
    deleted = remote is None and any(document.get("desired") == "Absent" for document in world.plan.versions[name])
    if phase == "Succeeded" and status not in SUCCESSES and not deleted:
        yield f"O2: {name} Succeeded, and its remote job is {status}"
    if phase in ENDS.values() and remote is not None and status in remote.family.active:
        yield f"O2: {name} is {phase} ({reason}), and its remote job still is {status}"
    if phase == "Running" and (remote is None or status not in remote.family.active):
        yield f"O2: {name} is Running, and its remote job is {status}"
    if phase == "Failed" and reason in REASONS and status not in REASONS[reason] and not deleted:
        yield f"O2: {name} Failed ({reason}), and its remote job is {status}"
    if phase == "Failed" and reason not in REASONS and not _has_reason(world, name, reason):
        yield f"O2: {name} Failed ({reason}: {shown['message']}), for which there is no reason"


def _has_reason(world: SimulatedWorld, name: str, reason: str) -> bool:
    match reason:
        case "CreateRefused":
            return name.startswith(REFUSED)
        case "Lost":
            return world.user.policy[name] == "fail" and "resolved" in world.user.jobs[name].types
        case "AccessDenied":
            return bool(world.met["P22 access denied"])
        case "DeadlineExceeded":
            return any("deadlineSeconds" in document for document in world.plan.versions[name])
    return False


def _attempts(world: SimulatedWorld, name: str, versions: Sequence[Document], shown: Document) -> Iterator[str]:
    """No more remote jobs than the documents allow."""
    most = max(document.get("retry", {}).get("attempts", 1) for document in versions)
    if "uncertain" in world.user.jobs[name].types:
        most += 3
    lives = 1 + sum(document.get("desired", "Completed") == "Completed" for document in versions[1:])
    made = Counter(document_of(entry) for entry in world.creates())[name]
    if made > most * lives:
        yield f"O1: {name} has {made} remote jobs, and its documents allow {most * lives}"
    if shown["incarnation"] > lives:
        yield f"O1: {name} is in incarnation {shown['incarnation']}, and its documents allow {lives}"
    if shown["attempt"] > most:
        yield f"O1: {name} is in attempt {shown['attempt']}, and its documents allow {most}"


def _deadline(world: SimulatedWorld, name: str, versions: Sequence[Document], shown: Document) -> Iterator[str]:
    """No deadline fires early, by AWS's clock."""
    limits = [document["deadlineSeconds"] for document in versions if "deadlineSeconds" in document]
    if shown["reason"] != "DeadlineExceeded" or not limits:
        return
    heard_at = world.user.jobs[name].at
    if heard_at < world.watcher.sent_at[name] + min(limits):
        yield f"O2: the deadline of {name} fired after {heard_at - world.watcher.sent_at[name]:.1f} s"


def _no_orphans(world: SimulatedWorld) -> Iterator[str]:
    """Every remote job is known as an attempt's, but for those that a person or `onUncertain` gave up."""
    known = {attempt["remoteId"] for event in world.event_list() for attempt in event["data"].get("attempts", ())}
    for entry in world.creates():
        name = document_of(entry)
        if entry.arn not in known and not _given_up(world, name):
            yield f"O1: nobody knows {entry.arn}, made for {name}"


def _given_up(world: SimulatedWorld, name: str) -> bool:
    if name not in world.user.jobs or "uncertain" not in world.user.jobs[name].types:
        return False
    again = any(document.get("onUncertain") == "retry" for document in world.plan.versions[name])
    return again or world.user.policy[name] != "truth"
