"""TensorFlow Serving's REST routes as /docs and /openapi.json describe them."""

from typing import Any, Literal

from pydantic import BaseModel

Route = dict[str, Any]


class TensorflowError(BaseModel):
    """What went wrong."""

    error: str


class LoadStatus(BaseModel):
    """Why a version is not served, if it is not."""

    error_code: Literal["OK", "UNKNOWN"]
    error_message: str


class VersionState(BaseModel):
    """Where a version stands."""

    version: str
    state: Literal["LOADING", "AVAILABLE", "UNLOADING", "END"]
    status: LoadStatus


class ModelStatus(BaseModel):
    """Where a model's versions stand."""

    model_version_status: list[VersionState]


class ModelSpec(BaseModel):
    """Which model answered."""

    name: str
    signature_name: str
    version: str


class Metadata(BaseModel):
    """What a model takes and gives, signature by signature."""

    model_spec: ModelSpec
    metadata: dict[str, dict[str, Any]]


class Predictions(BaseModel):
    """An answer in row form."""

    predictions: list[list[float] | dict[str, list[float]]]


class Columns(BaseModel):
    """An answer in column form."""

    outputs: list[list[float]] | dict[str, list[list[float]]]


class Classes(BaseModel):
    """Every picture's labels with their scores, best first; twice, as servers and papers differ."""

    results: list[list[tuple[str, float]]]
    result: list[list[tuple[str, float]]]


def _route(answer: Any, *errors: int) -> Route:
    responses = {status: {"model": TensorflowError} for status in errors}
    return {"response_model": answer, "responses": responses}


def _asking(schema: dict[str, Any]) -> Route:
    content = {"application/json": {"schema": schema}}
    return {"openapi_extra": {"requestBody": {"required": True, "content": content}}}


_REFUSED = (401, 404, 429, 503)
_FAILED = (*_REFUSED, 400, 408, 413, 415, 422, 502, 504)

_ENCODED = {
    "type": "object",
    "title": "Encoded picture",
    "properties": {"b64": {"type": "string", "contentEncoding": "base64", "minLength": 1}},
    "required": ["b64"],
    "additionalProperties": False,
}
_PIXELS = {"type": "array", "title": "Pixels, [height, width, 3]", "items": {"type": "array"}}
_PICTURE = {"anyOf": [_ENCODED, _PIXELS]}
_FACTS = {"type": "array", "title": "Encoded facts, [M] each, of models that take them"}


def _named(tensor: dict[str, Any]) -> dict[str, Any]:
    properties = {"images": tensor, "metadata": _FACTS}
    members = {"type": "object", "properties": properties, "required": ["images"]}
    return {"anyOf": [tensor, members | {"additionalProperties": False}]}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "items": items}


def _form(key: str, values: dict[str, Any]) -> dict[str, Any]:
    properties = {"signature_name": {"type": "string"}, key: values}
    return {"type": "object", "properties": properties, "required": [key]}


STATUS = _route(ModelStatus, *_REFUSED)
METADATA = _route(Metadata, *_REFUSED)
PREDICT = _route(Predictions | Columns, *_FAILED) | _asking(
    {
        "oneOf": [
            _form("instances", _list(_named(_PICTURE))),
            _form("inputs", _named(_list(_PICTURE))),
        ]
    }
)
CLASSIFY = _route(Classes, *_FAILED) | _asking(
    _form(
        "examples",
        _list({"type": "object", "properties": {"image": _ENCODED}, "required": ["image"]}),
    )
)
