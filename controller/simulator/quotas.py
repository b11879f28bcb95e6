"""Service Quotas: ListServiceQuotas over the job quotas that the options set.

Quota codes are stable but the simulator's own: the families' real codes are not published.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from controller.simulator.call import Call, Handler
from controller.simulator.errors import AwsError
from controller.simulator.families import (
    BATCH_INFERENCE,
    BLUEPRINT_OPTIMIZATION,
    CUSTOM_MODEL_KEY,
    MODEL_INVOCATION,
    PROMPT_OPTIMIZATION,
    WHOLE_REGION_KEY,
    partition,
)
from controller.simulator.paging import PageToken

_NAMES: Final[Mapping[str, Mapping[str, str]]] = {
    "bedrock": {
        MODEL_INVOCATION.kind: "Sum of in-progress and submitted batch inference jobs using a base model",
        PROMPT_OPTIMIZATION.kind: "Active advanced prompt optimization jobs",
        BLUEPRINT_OPTIMIZATION.kind: "Active blueprint optimization jobs",
    },
    "personalize": {BATCH_INFERENCE.kind: "Number of pending or in progress batch inference jobs"},
}
_SERVICE_NAMES: Final[Mapping[str, str]] = {"bedrock": "Amazon Bedrock", "personalize": "Amazon Personalize"}
_CUSTOM_NAME: Final = "Sum of in-progress and submitted batch inference jobs using a custom model"


def list_service_quotas(call: Call) -> dict[str, Any]:
    """Raises AwsError for a service without quotas here, or a page token that is not ours."""
    service = call.parameters["ServiceCode"]
    if service not in _NAMES:
        raise AwsError("NoSuchResourceException", f"The request failed because the service {service} does not exist.")
    wanted = call.parameters.get("QuotaCode")
    quotas = [quota for quota in _quotas(call, service) if wanted in (None, quota["QuotaCode"])]
    start = call.read_page_token("NextToken", service)
    begin = start.sequence if start else 0
    end = begin + call.parameters.get("MaxResults", 100)
    token = call.backend.page_tokens.write(PageToken(0.0, end, 1, call.now), service) if end < len(quotas) else None
    return {"Quotas": quotas[begin:end], "NextToken": token}


def _quotas(call: Call, service: str) -> Iterator[dict[str, Any]]:
    account, region = call.place
    for kind, name in _NAMES[service].items():
        for key, value in sorted(call.options.quotas[kind].items()):
            title = _CUSTOM_NAME if key == CUSTOM_MODEL_KEY else name
            title = title if key in (WHOLE_REGION_KEY, CUSTOM_MODEL_KEY) else f"{title}: {key}"
            code = "L-" + hashlib.sha256(f"{kind} {key}".encode()).hexdigest()[:8].upper()
            yield {
                "ServiceCode": service,
                "ServiceName": _SERVICE_NAMES[service],
                "QuotaArn": f"arn:{partition(region)}:servicequotas:{region}:{account}:{service}/{code}",
                "QuotaCode": code,
                "QuotaName": title,
                "Value": float(value),
                "Unit": "None",
                "Adjustable": key != CUSTOM_MODEL_KEY,
                "GlobalQuota": False,
                "QuotaAppliedAtLevel": "ACCOUNT",
            }


HANDLERS: Final[Mapping[str, Handler]] = {"ListServiceQuotas": list_service_quotas}
