"""gRPC's standard health check, which Kubernetes and load balancers ask."""

from collections.abc import Callable
from typing import Any

import grpc

from discern.errors import UnknownModelError
from discern.serving.metrics import Metrics
from discern.serving.protocols import messages
from discern.serving.protocols.grpc_server import Call, service
from discern.serving.protocols.tensors import shown
from discern.serving.settings import ServeSettings

SERVICE = "grpc.health.v1.Health"
SERVING, NOT_SERVING = 1, 2


def grpc_service(
    ready: Callable[[], bool], settings: ServeSettings, metrics: Metrics
) -> grpc.GenericRpcHandler:
    """The service; anybody may ask, as probes have no keys."""
    response = messages.message("grpc.health.v1.HealthCheckResponse")

    async def check(request: Any, _call: Call) -> Any:
        _check_name(request.service)
        return response(status=SERVING if ready() else NOT_SERVING)

    return service(SERVICE, {"Check": check}, settings, metrics)


def _check_name(service: str) -> None:
    """Nothing is the whole server; the services of this package live and die with it."""
    try:
        if service:
            messages.methods(service)
    except KeyError as exc:
        raise UnknownModelError(f"There is no service {shown(service)}.") from exc
