"""Whether the server lives and is ready, and what it has counted."""

from collections.abc import Callable

from fastapi import APIRouter
from starlette.responses import PlainTextResponse, Response

from discern.serving.metrics import Metrics


def router(ready: Callable[[], bool], metrics: Metrics) -> APIRouter:
    """`/healthz` for liveness, `/readyz` for readiness, `/metrics` for Prometheus."""
    routes = APIRouter(tags=["operations"])

    @routes.get("/healthz", summary="Is the process alive?", response_class=PlainTextResponse)
    async def healthz() -> PlainTextResponse:
        return PlainTextResponse("alive\n")

    @routes.get(
        "/readyz",
        summary="Is a model loaded and warm?",
        response_class=PlainTextResponse,
        responses={503: {"description": "Still loading, or shutting down."}},
    )
    async def readyz() -> PlainTextResponse:
        return PlainTextResponse("ready\n") if ready() else PlainTextResponse("not ready\n", 503)

    @routes.get("/metrics", summary="Prometheus", response_class=PlainTextResponse)
    async def metrics_page() -> Response:
        return Response(metrics.text(), media_type=metrics.content_type)

    return routes
