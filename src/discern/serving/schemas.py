"""What the HTTP API takes and gives, for its documentation at /docs and /openapi.json."""

from collections.abc import Callable
from functools import cache
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, Field


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str | None = None


class ModelName(BaseModel):
    """Which model answered."""

    name: str
    version: str


class Answer(BaseModel):
    """What the model says about one picture."""

    label: str
    probability: float = Field(ge=0, le=1, description="Calibrated.")
    unknown: bool | None = Field(
        description="Whether it is likely none of the classes; null: not known to this model."
    )
    set: list[str] | None = Field(
        description="Labels of which one is right as often as `coverage` says, best first; "
        "null: not known to this model."
    )
    scores: dict[str, float] = Field(description="Probabilities by label, best first.")
    heatmap: str | None = Field(
        description="A data: URL of a PNG to lay over the picture, transparent where nothing spoke "
        "for the label; null: not asked for, or this model has none."
    )
    model: ModelName
    name: str | None = Field(None, description="The file's name or its URL, among several.")


class Failure(BaseModel):
    """One picture, among several, that could not be used."""

    name: str | None
    error: Problem


class Answers(BaseModel):
    """Several pictures' answers, in order."""

    predictions: list[Answer | Failure]


Flat = dict[str, float]
FlatFailure = dict[str, Problem]

_PROBLEMS = {
    400: "The request is malformed.",
    401: "A key is asked for.",
    403: "This URL is not fetched.",
    404: "There is no such model or version.",
    408: "The body came too slowly.",
    413: "It is larger than the limits allow.",
    415: "A body of this kind is not taken.",
    422: "The picture cannot be used.",
    429: "Too many requests from this sender; see Retry-After.",
    502: "The model server behind this gateway failed.",
    503: "The server is busy or not ready; see Retry-After.",
    504: "It took too long.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The documentation of these error statuses."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {
            "description": _PROBLEMS[status],
            "content": {"application/problem+json": {"schema": schema}},
        }
        for status in statuses
    }


_KEYS = {
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "bearer": {"type": "http", "scheme": "bearer"},
}


def documented(api: FastAPI, needs_key: bool) -> Callable[[], dict[str, Any]]:
    """The app's OpenAPI document, without the framework's own errors, which are never sent."""

    @cache
    def document() -> dict[str, Any]:
        found = get_openapi(
            title=api.title,
            version=api.version,
            description=api.description,
            routes=api.routes,
            servers=api.servers or None,  # the root path, as the first request showed it
        )
        for path in found["paths"].values():
            for operation in path.values():
                if "HTTPValidationError" in str(operation["responses"].get("422")):
                    del operation["responses"]["422"]
        for name in ("HTTPValidationError", "ValidationError"):
            found["components"]["schemas"].pop(name, None)
        if needs_key:
            found["components"]["securitySchemes"] = _KEYS
            found["security"] = [{name: []} for name in _KEYS]
        return found

    return document


_PICTURE = {"type": "string", "format": "binary"}
_FACTS: dict[str, Any] = {
    "type": "object",
    "description": "What is known beside the picture, by name; /model says what can be given.",
    "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
}
_NAMED: list[dict[str, Any]] = [
    {
        "type": "object",
        "title": "By URL",
        "properties": {"url": {"type": "string", "minLength": 1}, "metadata": _FACTS},
        "required": ["url"],
        "additionalProperties": False,
    },
    {
        "type": "object",
        "title": "As base64",
        "properties": {"image": {"type": "string", "minLength": 1}, "metadata": _FACTS},
        "required": ["image"],
        "additionalProperties": False,
    },
]
_SEVERAL = {
    "type": "object",
    "title": "Several",
    "properties": {"pictures": {"type": "array", "minItems": 1, "items": {"oneOf": _NAMED}}},
    "required": ["pictures"],
    "additionalProperties": False,
}

PREDICT: dict[str, Any] = {
    "response_model": Answer | Answers | Flat | list[Flat | FlatFailure],
    "responses": problems(*_PROBLEMS),
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "properties": {
                            "file": {"type": "array", "items": _PICTURE},
                            "metadata": {
                                "description": "JSON: an object, or a list of one for each file.",
                                "anyOf": [_FACTS, {"type": "array", "items": _FACTS}],
                            },
                        },
                        "required": ["file"],
                    }
                },
                "image/*": {"schema": _PICTURE},
                "application/octet-stream": {"schema": _PICTURE},
                "application/json": {"schema": {"oneOf": [*_NAMED, _SEVERAL]}},
            },
        }
    },
}
