"""TensorFlow Serving's REST interface: status, metadata, predict, classify.

https://www.tensorflow.org/tfx/serving/api_rest. The signatures, and what each answers, stand
in `tensorflow_serving`; without one, predictions are plain lists of probabilities, in the order
of the model's labels. Pixels are whole numbers from 0 to 255: floats are refused even if they
are whole, as a black and white picture that a client has normalised looks just like that.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Depends, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from discern.errors import RequestError
from discern.serving.catalog import Catalog, Servable, VersionStatus
from discern.serving.json_body import json_response, parse_object
from discern.serving.protocols import tensorflow_json, tensorflow_schemas
from discern.serving.protocols import tensorflow_serving as tfs
from discern.serving.protocols.encoded_pictures import run_encoded, run_question
from discern.serving.settings import ServeSettings

EXPECTED = '{"instances": […]}'
MODEL, VERSION, LABEL = "/models/{name}", "/versions/{version}", "/labels/{label}"


class Place(NamedTuple):
    """The model and the version that a path names."""

    name: str
    version: str | None


Locate = Callable[..., Awaitable[Place]]


def router(catalog: Catalog, settings: ServeSettings) -> APIRouter:
    """The routes below /v1, answering from `catalog`."""
    routes = APIRouter(prefix="/v1", tags=["TensorFlow Serving"])

    async def latest(name: str) -> Place:
        return Place(name, None)

    async def versioned(name: str, version: str) -> Place:
        return Place(name, version)

    for path, locate in ((MODEL, latest), (MODEL + VERSION, versioned)):
        _add_questions(routes, path, locate, catalog, settings)
        _add_refusals(routes, path, locate, catalog)
        _add_descriptions(routes, path, locate, catalog)  # after :VERB, which {name} would match
    _add_labels(routes, catalog)
    return routes


def _add_questions(
    routes: APIRouter, path: str, locate: Locate, catalog: Catalog, settings: ServeSettings
) -> None:
    at_most = settings.limits.pictures

    def deadline(request: Request) -> float:
        soon: float = time.monotonic() + settings.limits.seconds
        return float(request.scope.get("deadline", soon))

    @routes.post(path + ":predict", summary="Ask a model", **tensorflow_schemas.PREDICT)
    async def predict(request: Request, place: Annotated[Place, Depends(locate)]) -> Response:
        servable = _find(catalog, place, request)
        document = parse_object(await request.body(), EXPECTED)
        asked = tensorflow_json.read_predict(document, servable, at_most)
        outputs = await run_question(servable, asked.question, deadline(request), settings.queue)
        return json_response(tensorflow_json.predict_answer(asked, outputs))

    @routes.post(path + ":classify", summary="Labels, best first", **tensorflow_schemas.CLASSIFY)
    async def classify(request: Request, place: Annotated[Place, Depends(locate)]) -> Response:
        servable = _find(catalog, place, request)
        document = parse_object(await request.body(), EXPECTED)
        pictures = tensorflow_json.read_classify(document, servable.info, at_most)
        outputs = await run_encoded(servable, pictures, deadline(request), settings.queue)
        return json_response(tensorflow_json.classify_answer(servable.info, outputs))


def _add_refusals(routes: APIRouter, path: str, locate: Locate, catalog: Catalog) -> None:
    @routes.post(path + ":regress", include_in_schema=False)
    async def regress(place: Annotated[Place, Depends(locate)]) -> Response:
        catalog.find(*place)
        raise RequestError(
            "Expected regression signature method_name to be tensorflow/serving/regress. Was: "
            f"{tfs.PREDICT_METHOD}. A classifier does not regress; use :predict or :classify."
        )

    @routes.get(path + ":{verb}", include_in_schema=False)
    async def get_verb() -> Response:
        raise HTTPException(405, headers={"Allow": "POST"})


def _add_descriptions(routes: APIRouter, path: str, locate: Locate, catalog: Catalog) -> None:
    @routes.get(
        path + "/metadata", summary="What it takes and gives", **tensorflow_schemas.METADATA
    )
    async def metadata(place: Annotated[Place, Depends(locate)]) -> Response:
        return json_response(_metadata(catalog.find(*place)))

    @routes.get(path, summary="Where it stands", **tensorflow_schemas.STATUS)
    async def status(place: Annotated[Place, Depends(locate)]) -> Response:
        statuses = tfs.version_statuses(catalog, *place)
        return json_response({"model_version_status": [_status(status) for status in statuses]})


def _add_labels(routes: APIRouter, catalog: Catalog) -> None:
    """Versions named by a label, which TensorFlow Serving has and discern has not."""

    async def refuse(name: str, label: str) -> Response:
        raise tfs.no_labels(catalog.find(name).name, label.partition(":")[0])

    for path in (MODEL + LABEL, MODEL + LABEL + "/metadata"):
        routes.add_api_route(path, refuse, methods=["GET", "POST"], include_in_schema=False)


def _find(catalog: Catalog, place: Place, request: Request) -> Servable:
    servable = catalog.find(*place)
    request.scope["model"] = f"{servable.name}/{servable.version}"
    return servable


def _metadata(servable: Servable) -> dict[str, Any]:
    spec = {"name": servable.name, "signature_name": "", "version": servable.version}
    signatures = {"signature_def": tfs.signature_def_map(servable)}
    return {"model_spec": spec, "metadata": signatures}


def _status(status: VersionStatus) -> dict[str, Any]:
    code = "OK" if status.error is None else "UNKNOWN"
    return {
        "version": status.version,
        "state": tfs.STATES[status.state],
        "status": {"error_code": code, "error_message": status.error or ""},
    }
