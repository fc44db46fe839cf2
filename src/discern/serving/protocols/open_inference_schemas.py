"""The Open Inference Protocol's REST routes as /docs and /openapi.json describe them."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

Schema = dict[str, Any]
Responses = dict[int | str, dict[str, Any]]

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
PARAMETERS: Schema = {"type": "object"}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _object(properties: Mapping[str, Schema], *optional: str) -> Schema:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": dict(properties), "required": required}


def _json(schema: Schema) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _responses(answer: Schema, *errors: int) -> Responses:
    """The answer, and the statuses of errors that the route has."""
    described: Responses = {200: {"description": "The answer.", "content": _json(answer)}}
    error = _json(_object({"error": TEXT}))
    for status in errors:
        described[status] = {"description": HTTPStatus(status).phrase, "content": error}
    return described


TENSOR_INFO = _object({"name": TEXT, "datatype": TEXT, "shape": _list({"type": "integer"})})
IS_READY = _object({"ready": FLAG})
BUSY = (401, 429, 503)
FOUND = (*BUSY, 404, 422)

SERVER = _responses(_object({"name": TEXT, "version": TEXT, "extensions": _list(TEXT)}), *BUSY)
LIVE = _responses(_object({"live": FLAG}), *BUSY)
READY = _responses(IS_READY, *BUSY) | {
    503: {"description": "Still loading.", "content": _json(IS_READY)}
}
INDEX = _responses(
    _list(_object({"name": TEXT, "version": TEXT, "state": TEXT, "reason": TEXT})),
    *BUSY,
    408,
    413,
)
MODEL = _responses(
    _object(
        {
            "name": TEXT,
            "versions": _list(TEXT),
            "platform": TEXT,
            "inputs": _list(TENSOR_INFO),
            "outputs": _list(TENSOR_INFO),
            "properties": _object({"labels": _list(TEXT)}),
        }
    ),
    *FOUND,
)
MODEL_READY = _responses(_object({"name": TEXT, "ready": FLAG}), *FOUND)

_BYTES = {"type": "string", "format": "binary"}
_INPUT = _object(
    {
        "name": {"enum": ["images", "metadata"]},
        "datatype": {"enum": ["UINT8", "BYTES", "FP32"]},
        "shape": _list({"type": "integer"}),
        "data": {
            "type": "array",
            "description": "Of images: pixels, [N, height, width, 3] flat or nested, or pictures "
            "in base64. Of metadata, where the model takes them: encoded facts, [N, M].",
        },
        "parameters": PARAMETERS,
    },
    "data",
    "parameters",
)
_QUESTION = _object(
    {
        "id": TEXT,
        "parameters": PARAMETERS,
        "inputs": _list(_INPUT) | {"minItems": 1, "maxItems": 2},
        "outputs": _list(_object({"name": TEXT, "parameters": PARAMETERS}, "parameters")),
    },
    "id",
    "parameters",
    "outputs",
)
_OUTPUT = _object(
    {
        "name": TEXT,
        "datatype": TEXT,
        "shape": _list({"type": "integer"}),
        "data": {"type": "array"},
        "parameters": PARAMETERS,
    },
    "data",
    "parameters",
)
_ANSWER = _object(
    {"model_name": TEXT, "model_version": TEXT, "id": TEXT, "outputs": _list(_OUTPUT)}, "id"
)


def _infer_responses() -> Responses:
    described = _responses(_ANSWER, *FOUND, 400, 408, 413, 415, 502, 504)
    described[200]["content"]["application/octet-stream"] = {"schema": _BYTES}
    return described


INFER: dict[str, Any] = {
    "responses": _infer_responses(),
    "openapi_extra": {
        "parameters": [
            {
                "name": "Inference-Header-Content-Length",
                "in": "header",
                "required": False,
                "description": "The length of the JSON, where tensor data follows it in binary.",
                "schema": {"type": "integer", "minimum": 1},
            }
        ],
        "requestBody": {
            "required": True,
            "content": {
                **_json(_QUESTION),
                "application/octet-stream": {"schema": _BYTES},
            },
        },
    },
}
