"""The service models which botocore ships: what each API takes, in the words of AWS.

Invariant: reading a model makes no client, no session and no call, and happens once per process, however many sessions
there are. What Ferryman itself knows about a kind is not here but in the table of kinds.
"""

from functools import cache

from botocore.loaders import Loader, create_loader
from botocore.model import OperationModel, ServiceModel


@cache
def loader(data_path: str | None = None) -> Loader:
    """What reads models, and keeps those it has read; `data_path` as in the SDK's setting of that name."""
    return create_loader(data_path)


@cache
def service_model(service: str) -> ServiceModel:
    """The newest installed model of a service.

    Takes about 10 ms of event-loop time (Bedrock: 50 ms) on the first call for a service.

    Raises:
        botocore.exceptions.UnknownServiceError: no such service is installed.
    """
    return ServiceModel(loader().load_service_model(service, "service-2"), service)


@cache
def operation_model(service: str, operation: str) -> OperationModel:
    """The model of one operation, named as AWS names it (`CreateModelInvocationJob`).

    Raises:
        botocore.exceptions.UnknownServiceError: no such service is installed.
        botocore.model.OperationNotFoundError: the service has no such operation.
    """
    return service_model(service).operation_model(operation)
