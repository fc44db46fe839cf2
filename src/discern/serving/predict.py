"""`POST /predict`: pictures in, labels with probabilities out."""

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from discern.errors import DiscernError
from discern.runtime.machine import cores
from discern.serving import answers, schemas
from discern.serving.asked import Asked, read_question
from discern.serving.catalog import Catalog, Servable
from discern.serving.fetch import Fetcher
from discern.serving.json_body import json_response
from discern.serving.metrics import Metrics
from discern.serving.problems import problem
from discern.serving.settings import ServeSettings
from discern.serving.statuses import status_of
from discern.serving.tracing import Tracer


@dataclass(frozen=True)
class _Wish:
    """What the answers to a request should hold, and by when they are wanted."""

    deadline: float
    top_k: int | None
    coverage: float | None
    explain: bool


@dataclass(frozen=True)
class _Asker:
    """Fetches what must be fetched, asks, and puts the answers into words."""

    fetcher: Fetcher
    metrics: Metrics
    tracer: Tracer

    async def ask(self, servable: Servable, asked: Asked, wish: _Wish) -> dict[str, Any]:
        """One picture's answer."""
        data = asked.data
        if asked.url is not None:
            with self.tracer.step("fetch"):
                data = await self.fetcher.fetch(asked.url, wish.deadline)
        assert data is not None  # it is one of the two
        with self.tracer.step("classify"):
            prediction = await servable.predict(data, wish.deadline, asked.metadata, wish.coverage)
        found = answers.answer(servable, prediction, wish.top_k)
        if prediction.unknown:
            self.metrics.unknown(servable.name, servable.version)
        if wish.explain and servable.explains:
            found["heatmap"] = await self._heatmap(servable, data, found["label"], asked, wish)
        return found

    async def _heatmap(
        self, servable: Servable, data: bytes, label: str, asked: Asked, wish: _Wish
    ) -> str | None:
        with self.tracer.step("explain"):
            png = await servable.heatmap(data, label, wish.deadline, asked.metadata)
        return None if png is None else answers.data_url(png)

    async def ask_several(
        self, servable: Servable, pictures: list[Asked], wish: _Wish
    ) -> list[dict[str, Any]]:
        """Each picture's answer or error, in order."""
        turn = asyncio.Semaphore(cores())  # so that one request does not fill the line

        async def ask_or_fail(asked: Asked) -> dict[str, Any]:
            try:
                async with turn:
                    found = await self.ask(servable, asked, wish)
            except DiscernError as exc:
                found = {"error": problem(exc)}
                self.metrics.failed(status_of(exc).kind)
            return {"name": asked.name, **found}

        return await asyncio.gather(*map(ask_or_fail, pictures))


def router(
    catalog: Catalog,
    settings: ServeSettings,
    fetcher: Fetcher,
    metrics: Metrics,
    tracer: Tracer,
) -> APIRouter:
    """The route, answering from `catalog`."""
    routes, asker = APIRouter(), _Asker(fetcher, metrics, tracer)

    @routes.post("/predict", tags=["predict"], summary="Classify pictures", **schemas.PREDICT)
    async def predict(
        request: Request,
        top_k: Annotated[
            int | None, Query(ge=1, description="Only the k most probable labels.")
        ] = None,
        flat: Annotated[bool, Query(description="Answer just {label: probability, …}.")] = False,
        explain: Annotated[
            bool,
            Query(
                description="With a heat map of what spoke for the label, where the model has "
                "them; takes as long as another picture."
            ),
        ] = False,
        coverage: Annotated[
            float | None,
            Query(
                gt=0, lt=1, description="How often `set` is to hold the right label; as trained."
            ),
        ] = None,
        model: Annotated[
            str | None, Query(description="Which model, where several are served.")
        ] = None,
        version: Annotated[str | None, Query(description="Which version; the latest.")] = None,
    ) -> Response:
        """One picture gets an object, several get a list of them, in order. Among several, a
        picture that cannot be used has an `error` of its own and does not fail the others."""
        servable = catalog.find(model, version)
        request.scope["model"] = f"{servable.name}/{servable.version}"
        content_type = request.headers.get("content-type", "")
        question = read_question(content_type, await request.body(), settings.limits)
        wish = _Wish(request.scope["deadline"], top_k, coverage, explain and not flat)
        if not question.many:
            one = await asker.ask(servable, question.pictures[0], wish)
            return json_response(answers.flat(one) if flat else one)
        several = await asker.ask_several(servable, question.pictures, wish)
        return json_response(
            [answers.flat(one) for one in several] if flat else {"predictions": several}
        )

    return routes
