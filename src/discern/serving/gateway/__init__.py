"""The gateway's side of serving: models that are answered by model servers, over gRPC."""

from discern.serving.gateway.catalog import UpstreamCatalog

__all__ = ["UpstreamCatalog"]
