"""Resource Groups Tagging API: GetResources over the tags that jobs were created with.

Tags of a finished Bedrock batch job cannot be read at AWS, so those jobs are left out once they have ended. Whether
blueprint optimizations appear at all is an option.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from controller.simulator.call import Call, Handler
from controller.simulator.errors import AwsError
from controller.simulator.families import BLUEPRINT_OPTIMIZATION, MODEL_INVOCATION
from controller.simulator.faults import EmptyPage, StaleList, first
from controller.simulator.paging import PageToken
from controller.simulator.world import Job

_PAGE_SIZE_MAX: Final = 100
_PAGE_SIZE_DEFAULT: Final = 50
_LIST_KEY: Final = "tagging"


def get_resources(call: Call) -> dict[str, Any]:
    """Raises AwsError for a page token that is not ours, or a page size AWS does not allow."""
    asked = call.parameters
    size = asked.get("ResourcesPerPage", _PAGE_SIZE_DEFAULT)
    if not 1 <= size <= _PAGE_SIZE_MAX:
        raise AwsError("InvalidParameterException", "ResourcesPerPage must be between 1 and 100.")
    key = repr((_LIST_KEY, call.place, asked.get("TagFilters"), asked.get("ResourceTypeFilters")))
    start = call.read_page_token("PaginationToken", key)
    after = start.sequence if start else 0
    if first(call.effects, EmptyPage):
        return {"ResourceTagMappingList": [], "PaginationToken": _write_token(call, key, after)}
    found = list(islice(_matching(call, after), size + 1))
    token = _write_token(call, key, found[size - 1].sequence) if len(found) > size else ""
    mappings = [
        {"ResourceARN": job.arn, "Tags": [{"Key": name, "Value": value} for name, value in job.tags.items()]}
        for job in found[:size]
    ]
    return {"ResourceTagMappingList": mappings, "PaginationToken": token}


def _write_token(call: Call, key: str, sequence: int) -> str:
    return call.backend.page_tokens.write(PageToken(0.0, sequence, 1, call.now), key)


def _matching(call: Call, after: int) -> Iterator[Job]:
    call.backend.world.advance(call.now)
    stale = first(call.effects, StaleList)
    at = call.now - stale.age_s if stale else call.now
    arns = call.parameters.get("ResourceARNList")
    filters = call.parameters.get("TagFilters", ())
    types = call.parameters.get("ResourceTypeFilters", ())
    for job in call.backend.world.tagged(call.place, _most_telling(filters)):
        if job.sequence <= after or not _readable(call, job, at) or (arns and job.arn not in arns):
            continue
        if all(_passes(job.tags, wanted) for wanted in filters) and (not types or _has_type(job, types)):
            yield job


def _most_telling(filters: Iterable[Mapping[str, Any]]) -> tuple[str, str] | None:
    """A (key, value) that every result has, if the filters name one."""
    for wanted in filters:
        if len(wanted.get("Values", ())) == 1:
            return wanted.get("Key", ""), wanted["Values"][0]
    return None


def _readable(call: Call, job: Job, at: float) -> bool:
    if max(job.created_at, job.tagged_from) > at:
        return False
    if job.family is BLUEPRINT_OPTIMIZATION:
        return call.options.tags_show_blueprint_optimizations
    return not (job.family is MODEL_INVOCATION and job.ended)


def _passes(tags: Mapping[str, str], wanted: Mapping[str, Any]) -> bool:
    key = wanted.get("Key", "")
    return key in tags and (not wanted.get("Values") or tags[key] in wanted["Values"])


def _has_type(job: Job, types: Iterable[str]) -> bool:
    service, kind = job.family.arn_service, f"{job.family.arn_service}:{job.family.resource}"
    return any(wanted in (service, kind) for wanted in types)


HANDLERS: Final[Mapping[str, Handler]] = {"GetResources": get_resources}
