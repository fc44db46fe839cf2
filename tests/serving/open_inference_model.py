"""A tiny model behind the Open Inference Protocol, for its tests."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response

from discern.errors import DiscernError
from discern.model import load
from discern.serving.catalog import Catalog
from discern.serving.local import Opener
from discern.serving.metrics import Metrics
from discern.serving.protocols import open_inference_rest
from discern.serving.settings import RequestLimits, ServeSettings
from discern.serving.single import SingleModel
from discern.serving.statuses import status_of
from discern.serving.workers import Workers

SETTINGS = ServeSettings(limits=RequestLimits(pictures=4))
SIDE, LABELS = 16, ["cat", "dog", "fish"]
PIXELS = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)


@dataclass(frozen=True)
class Served:
    """A catalog of the model, and what its predictor says."""

    catalog: Catalog
    app: FastAPI
    probabilities: Any  # of PIXELS, [2, 3]
    embedding: Any  # [2, 8]
    pictures: list[bytes]
    by_picture: Any  # probabilities of the pictures, [n, 3]


@contextmanager
def serve(model_folder: Path, pictures: list[Path]) -> Iterator[Served]:
    """The model loaded, and its REST routes as the whole app would have them."""
    predictor = load(model_folder).predictor(engine="onnxruntime")
    outputs = predictor.engine.run(PIXELS)
    by_picture: Any = [answer["probabilities"] for answer in predictor.outputs(pictures[:3])]  # type: ignore[call-overload,index]
    workers, metrics = Workers(2, 40), Metrics()
    catalog = SingleModel(model_folder, Opener(workers, SETTINGS, metrics), metrics)
    asyncio.run(catalog.start())
    yield Served(
        catalog,
        app_over(catalog),
        outputs["probabilities"],
        outputs["embedding"],
        [path.read_bytes() for path in pictures[:3]],
        np.stack(by_picture),
    )
    workers.close()


def app_over(catalog: Catalog) -> FastAPI:
    app = FastAPI()
    app.include_router(open_inference_rest.router(catalog, SETTINGS, lambda: catalog.ready))
    app.add_exception_handler(DiscernError, _as_json)
    return app


async def _as_json(_request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, int(status_of(error).http))
