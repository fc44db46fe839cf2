"""The HTTP side of every server: the API, the protocols, the page, over any catalog."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from discern import __version__
from discern.errors import DiscernError, RequestError
from discern.runtime.machine import cores
from discern.serving import docs_page, health, model_page, predict, schemas, site
from discern.serving.access import Keys
from discern.serving.access_log import AccessLog
from discern.serving.catalog import Catalog
from discern.serving.door import Door
from discern.serving.fetch import Fetcher
from discern.serving.gate import Gate
from discern.serving.local import Opener
from discern.serving.metrics import Metrics
from discern.serving.problems import problem_response, route_problem
from discern.serving.protocols import open_inference_rest, tensorflow_rest
from discern.serving.rate import RateLimiter
from discern.serving.settings import ServeSettings
from discern.serving.single import SingleModel
from discern.serving.statuses import status_of
from discern.serving.tracing import Tracer, tracer
from discern.serving.workers import Workers

# More threads than cores: while one waits for Python's lock, which the event loop holds now and
# then, another has work for its core. Worth 5 % of the throughput on 2 cores (bench/serve.py).
SPARE_THREADS = 2


@dataclass
class Parts:
    """What a server is made of, before it has models."""

    settings: ServeSettings
    metrics: Metrics
    workers: Workers
    gate: Gate
    tracer: Tracer
    fetcher: Fetcher
    draining: bool = False

    def ready(self, catalog: Catalog) -> bool:
        """Whether requests should be sent here."""
        return catalog.ready and not self.draining


def make_parts(settings: ServeSettings) -> Parts:
    """The parts for these settings and this environment; ConfigError for keys that are no keys."""
    metrics = Metrics()
    workers = Workers(cores() + SPARE_THREADS, settings.queue.capacity(), metrics.waited)
    file = settings.access.keys_file
    keys = Keys.read(Path(file) if file else None, os.environ)
    fetcher = Fetcher(settings.fetch, settings.limits.picture_bytes)
    rate, burst = settings.access.rate, settings.access.burst
    limiter = RateLimiter(rate, burst) if rate else None
    return Parts(settings, metrics, workers, Gate(keys, limiter), tracer(os.environ), fetcher)


async def close(parts: Parts) -> None:
    """End what the parts keep open."""
    parts.workers.close()
    await parts.fetcher.close()
    parts.tracer.close()


def create_app(model: str | Path, settings: ServeSettings = ServeSettings()) -> ASGIApp:
    """An ASGI app that serves one model folder, for any ASGI server.

    The model is loaded when the server starts the app up (ASGI's lifespan).
    """
    parts = make_parts(settings)
    opener = Opener(parts.workers, settings, parts.metrics)
    return build_app(SingleModel(Path(model), opener, parts.metrics), parts)


def build_app(catalog: Catalog, parts: Parts) -> ASGIApp:
    """The ASGI app over any catalog."""
    settings, metrics = parts.settings, parts.metrics
    api = FastAPI(
        title="discern",
        version=__version__,
        description="Pictures in, labels with calibrated probabilities out.",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan(catalog, parts),
    )
    for routes in (
        predict.router(catalog, settings, parts.fetcher, metrics, parts.tracer),
        model_page.router(catalog, settings, bool(parts.gate.keys)),
        tensorflow_rest.router(catalog, settings),
        open_inference_rest.router(catalog, settings, lambda: parts.ready(catalog)),
        health.router(lambda: parts.ready(catalog), metrics),
        docs_page.router("openapi.json"),
        site.router(),
    ):
        api.include_router(routes)
    _translate_errors(api)
    api.openapi = schemas.documented(api, bool(parts.gate.keys))  # type: ignore[method-assign]
    door = Door(
        api,
        settings,
        metrics,
        parts.gate,
        parts.tracer,
        AccessLog(),
        parts.workers.line,
    )
    if not settings.access.origins:
        return door
    allowed = ["content-type", "x-api-key", "authorization", "x-request-id"]
    return CORSMiddleware(
        door, allow_origins=settings.access.origins, allow_methods=["*"], allow_headers=allowed
    )


def _lifespan(catalog: Catalog, parts: Parts):  # type: ignore[no-untyped-def]
    @asynccontextmanager
    async def lifespan(_api: FastAPI) -> AsyncIterator[None]:
        try:
            await catalog.start()
            yield
        finally:
            await catalog.stop()
            await close(parts)

    return lifespan


def _translate_errors(api: FastAPI) -> None:
    """Everything that goes wrong below, as the one who asked should see it."""

    def respond(request: Request, error: BaseException) -> Response:
        visit = request.scope["visit"]
        visit.error = status_of(error).kind
        return problem_response(error, visit.path, visit.id)

    async def expected(request: Request, error: Exception) -> Response:
        return respond(request, error)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        where = " ".join(str(part) for part in first["loc"])
        return respond(request, RequestError(f"{where}: {first['msg']}."))

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        visit = request.scope["visit"]
        visit.error = "route"
        return route_problem(error, visit.path, visit.id)

    api.add_exception_handler(DiscernError, expected)
    api.add_exception_handler(RequestValidationError, invalid)
    api.add_exception_handler(HTTPException, http)
    api.add_exception_handler(Exception, expected)  # a bug: the door logs it
