"""The Open Inference Protocol over HTTP, with its binary tensor data extension.

https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from discern import __version__
from discern.errors import RequestError
from discern.serving.catalog import Catalog, Servable, State
from discern.serving.json_body import json_response, parse_object
from discern.serving.protocols import open_inference as oip
from discern.serving.protocols import open_inference_schemas as schemas
from discern.serving.protocols import tensors
from discern.serving.protocols.encoded_pictures import Question
from discern.serving.protocols.tensors import shown
from discern.serving.settings import ServeSettings

EXPECTED = '{"inputs": […]}'
JSON_LENGTH = "Inference-Header-Content-Length"
LONGEST_NUMBER = 18  # digits
# https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_model_repository.md
TRITON_STATES: Mapping[State, str] = {
    "loading": "LOADING",
    "available": "READY",
    "unloading": "UNLOADING",
    "end": "UNAVAILABLE",
}

Find = Callable[..., Awaitable[Servable]]
T = TypeVar("T")


def router(catalog: Catalog, settings: ServeSettings, is_ready: Callable[[], bool]) -> APIRouter:
    """The routes below /v2, answering from `catalog`."""
    routes = APIRouter(prefix="/v2", tags=["Open Inference Protocol"])
    _add_server_routes(routes, catalog, is_ready)

    async def latest(name: str) -> Servable:
        return catalog.find(name)

    async def versioned(name: str, version: str) -> Servable:
        return catalog.find(name, version)

    _add_model_routes(routes, "/models/{name}", latest, catalog, settings)
    _add_model_routes(routes, "/models/{name}/versions/{version}", versioned, catalog, settings)
    return routes


def _add_server_routes(routes: APIRouter, catalog: Catalog, is_ready: Callable[[], bool]) -> None:
    @routes.get("", summary="What this server is", responses=schemas.SERVER)
    async def server() -> Response:
        members = {"name": oip.SERVER, "version": __version__, "extensions": oip.EXTENSIONS}
        return json_response(members)

    @routes.get("/health/live", summary="Is the process alive?", responses=schemas.LIVE)
    async def live() -> Response:
        return json_response({"live": True})

    @routes.get("/health/ready", summary="Can every model be asked?", responses=schemas.READY)
    async def ready() -> Response:
        is_so = is_ready()
        return json_response({"ready": is_so}, 200 if is_so else 503)

    @routes.post("/repository/index", summary="All models", responses=schemas.INDEX)
    async def index() -> Response:
        return json_response(
            [
                {
                    "name": name,
                    "version": status.version,
                    "state": TRITON_STATES[status.state],
                    "reason": status.error or "",
                }
                for name, statuses in catalog.statuses().items()
                for status in statuses
            ]
        )


def _add_model_routes(
    routes: APIRouter, prefix: str, find: Find, catalog: Catalog, settings: ServeSettings
) -> None:
    """The routes of a model, `find` tells which by the path."""

    @routes.get(prefix, summary="What the model takes and gives", responses=schemas.MODEL)
    async def metadata(servable: Annotated[Servable, Depends(find)]) -> Response:
        return json_response(_metadata(servable, catalog))

    @routes.get(prefix + "/ready", summary="Can it be asked?", responses=schemas.MODEL_READY)
    async def model_ready(servable: Annotated[Servable, Depends(find)]) -> Response:
        return json_response({"name": servable.name, "ready": True})

    @routes.post(prefix + "/infer", summary="Ask it", **schemas.INFER)
    async def infer(request: Request, servable: Annotated[Servable, Depends(find)]) -> Response:
        request.scope["model"] = f"{servable.name}/{servable.version}"
        deadline = request.scope.get("deadline", time.monotonic() + settings.limits.seconds)
        asked = _read(await _body(request), servable, settings.limits.pictures)
        wanted = tuple(asked.wanted)
        outputs = await oip.answer(servable, asked.question, wanted, deadline, settings)
        return _response(asked, servable, outputs)


def _metadata(servable: Servable, catalog: Catalog) -> dict[str, Any]:
    info = servable.info
    return {
        "name": servable.name,
        "versions": oip.versions(catalog, servable.name),
        "platform": oip.PLATFORM,
        "inputs": [tensor._asdict() for tensor in oip.model_inputs(servable)],
        "outputs": [tensor._asdict() for tensor in oip.model_outputs(info)],
        "properties": {"labels": info.labels},
    }


@dataclass(frozen=True)
class _Body:
    """A request's JSON, and the tensor data behind it if it has any."""

    document: Mapping[str, Any]
    binary: memoryview | None


@dataclass(frozen=True)
class _Asked:
    """What a request asks; `wanted` says of each output whether it is wanted in binary."""

    question: Question
    wanted: Mapping[str, bool]
    id: str | None


async def _body(request: Request) -> _Body:
    body = await request.body()
    length = request.headers.get(JSON_LENGTH)
    if length is None:
        return _Body(parse_object(body, EXPECTED), None)
    if not (length.isascii() and length.isdigit() and len(length) <= LONGEST_NUMBER):
        raise RequestError(f"{JSON_LENGTH} must be a number; it is {shown(length)}.")
    size = int(length)
    if not 0 < size <= len(body):
        raise RequestError(
            f"{JSON_LENGTH} is {size:,}; expected 1 to {len(body):,}, the length of the body."
        )
    return _Body(parse_object(body[:size], EXPECTED), memoryview(body)[size:])


def _read(body: _Body, servable: Servable, at_most: int) -> _Asked:
    inputs = _entries(body.document, "inputs")
    names = [_member(entry, "name", str, "an input") for entry in inputs]
    oip.check_inputs(servable, names)
    given, left = {}, body.binary
    for entry in inputs:
        given[entry["name"]], left = _value(entry, left, servable, at_most)
    if left:
        raise RequestError(f"{len(left):,} bytes of binary data belong to no input.")
    question = oip.question(servable, given)
    return _Asked(question, _wanted(body.document, servable), _id(body.document))


def _value(
    entry: Mapping[str, Any], binary: memoryview | None, servable: Servable, at_most: int
) -> tuple[oip.Value, memoryview | None]:
    """An input, and what it leaves of the binary data."""
    name: str = entry["name"]
    datatype = _member(entry, "datatype", str, name)
    offer = oip.Offer(name, datatype, _member(entry, "shape", list, name))
    shape = oip.check_offer(offer, servable, at_most)
    size = _parameters(entry, name).get("binary_data_size")
    if size is not None or (binary is not None and "data" not in entry):
        mine, rest = _binary(name, size, binary)
        return oip.from_raw(offer, shape, mine), rest
    data = _member(entry, "data", list, name)
    if datatype == oip.PIXELS:
        return tensors.pixels_from_values(name, data, shape), binary
    if datatype == oip.FLOATS:
        return tensors.floats_from_values(name, data, shape), binary
    return tensors.strings_from_base64(name, data, shape[0]), binary


def _binary(name: str, size: object, binary: memoryview | None) -> tuple[memoryview, memoryview]:
    """An input's part of the binary data, and what is left: inputs lie one after the other."""
    if binary is None:
        raise RequestError(f"{name} has binary_data_size, but there is no {JSON_LENGTH} header.")
    if type(size) is not int or not 0 <= size <= len(binary):
        raise RequestError(
            f"{name} has binary_data_size {shown(size)}; {len(binary):,} bytes follow the JSON."
        )
    return binary[:size], binary[size:]


def _wanted(document: Mapping[str, Any], servable: Servable) -> Mapping[str, bool]:
    """The outputs asked for, and whether in binary."""
    default = _flag(_parameters(document, "The request"), "binary_data_output", False)
    entries = _entries(document, "outputs") if document.get("outputs") is not None else []
    asked = {}
    for entry in entries:
        name = _member(entry, "name", str, "an output")
        parameters = _parameters(entry, shown(name))
        if parameters.get("classification"):
            raise RequestError("Outputs are not given as classifications; ask for 'label'.")
        asked[name] = _flag(parameters, "binary_data", default)
    names = [entry["name"] for entry in entries]
    return {name: asked.get(name, default) for name in oip.check_outputs(servable.info, names)}


def _id(document: Mapping[str, Any]) -> str | None:
    given = document.get("id")
    if given is not None and not isinstance(given, str):
        raise RequestError("id must be a string.")
    return given


def _response(asked: _Asked, servable: Servable, outputs: Sequence[oip.Tensor]) -> Response:
    """JSON, and behind it the data of those outputs that are wanted in binary."""
    raws: list[bytes] = []
    described = []
    for output in outputs:
        entry: dict[str, Any] = {
            "name": output.name,
            "datatype": output.datatype,
            "shape": output.shape,
        }
        if asked.wanted[output.name]:
            raws.append(tensors.to_bytes(output.values))
            entry["parameters"] = {"binary_data_size": len(raws[-1])}
        else:
            entry["data"] = _plain(output)
        described.append(entry)
    members: dict[str, Any] = {
        "model_name": servable.name,
        "model_version": servable.version,
    }
    if asked.id is not None:
        members["id"] = asked.id
    members["outputs"] = described
    if not raws:
        return json_response(members)
    document = json.dumps(members).encode()
    return Response(
        b"".join([document, *raws]),
        headers={JSON_LENGTH: str(len(document))},
        media_type="application/octet-stream",
    )


def _plain(output: oip.Tensor) -> list[Any]:
    if isinstance(output.values, list):
        return [text.decode() for text in output.values]
    flat: list[Any] = output.values.ravel().tolist()
    return flat


def _entries(document: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    entries = _member(document, key, list, "The request")
    if not all(isinstance(entry, dict) for entry in entries):
        raise RequestError(f"{key} must be a list of objects.")
    return entries


def _parameters(entry: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    parameters = entry.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise RequestError(f"{where}: parameters must be an object.")
    return parameters


def _flag(parameters: Mapping[str, Any], key: str, default: bool) -> bool:
    value = parameters.get(key, default)
    if not isinstance(value, bool):
        raise RequestError(f"{key} must be true or false.")
    return value


def _member(entry: Mapping[str, Any], key: str, kind: type[T], where: str) -> T:
    """A member that must be there, and be a text or a list."""
    if key not in entry:
        raise RequestError(f"{where} has no {key}.")
    value = entry[key]
    if not isinstance(value, kind):
        raise RequestError(f"{where}: {key} must be a {'text' if kind is str else 'list'}.")
    return value
