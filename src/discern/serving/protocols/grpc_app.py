"""The gRPC side of the model server: every protocol over one catalog."""

from collections.abc import Mapping
from typing import Any

from discern.serving.access import key_in_metadata
from discern.serving.access_log import AccessLog
from discern.serving.app import Parts
from discern.serving.catalog import Catalog
from discern.serving.protocols import (
    grpc_health,
    model_folder,
    open_inference_grpc,
    tensorflow_grpc,
)
from discern.serving.protocols.grpc_journal import Journal
from discern.serving.protocols.grpc_server import create_grpc_server
from discern.serving.rate import peer_address


def build_grpc_server(
    catalog: Catalog, parts: Parts, shared_port: bool = False, log: AccessLog | None = None
) -> Any:
    """The gRPC server, without a port; made in the event loop that runs it."""
    settings, metrics = parts.settings, parts.metrics

    def admit(metadata: Mapping[str, str], peer: str) -> None:
        parts.gate.admit(key_in_metadata(metadata), peer_address(peer))

    def ready() -> bool:
        return parts.ready(catalog)

    services = [
        open_inference_grpc.grpc_service(catalog, ready, settings, metrics, admit),
        *tensorflow_grpc.grpc_services(catalog, settings, metrics, admit),
        model_folder.grpc_service(catalog, settings, metrics, admit),
        grpc_health.grpc_service(ready, settings, metrics),
    ]
    journal = Journal(log or AccessLog(), parts.tracer)
    return create_grpc_server(services, settings, shared_port, [journal])
