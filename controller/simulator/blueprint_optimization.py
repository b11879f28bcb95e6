"""Blueprint optimization: InvokeBlueprintOptimizationAsync and GetBlueprintOptimizationStatus.

There is no token, no name and no list: a caller who loses the reply can only look for its tags.
"""

from collections.abc import Mapping
from typing import Any, Final

from controller.simulator.bedrock import visible_job
from controller.simulator.call import Call, Handler
from controller.simulator.families import BLUEPRINT_OPTIMIZATION

_ERROR_TYPES: Final[Mapping[str, str]] = {"ServiceError": "InternalServerException", "ClientError": "ClientError"}


def invoke(call: Call) -> dict[str, Any]:
    return {"invocationArn": call.backend.create(BLUEPRINT_OPTIMIZATION, call.place, call.parameters, call.now)}


def get_status(call: Call) -> dict[str, Any]:
    job = visible_job(call, BLUEPRINT_OPTIMIZATION, call.parameters["invocationArn"])
    failed = job.status in _ERROR_TYPES
    return {
        "status": job.status,
        "errorType": _ERROR_TYPES[job.status] if failed else None,
        "errorMessage": job.plan.message if failed else None,
        "outputConfiguration": job.parameters["outputConfiguration"],
    }


HANDLERS: Final[Mapping[str, Handler]] = {
    "InvokeBlueprintOptimizationAsync": invoke,
    "GetBlueprintOptimizationStatus": get_status,
}
