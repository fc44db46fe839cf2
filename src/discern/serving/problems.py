"""Errors as clients get them: problem+json (RFC 9457), or the shape of the protocol they speak."""

import math
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

from discern.errors import PictureError, UnauthorisedError
from discern.serving.json_body import json_response
from discern.serving.statuses import INTERNAL, status_of

MEDIA_TYPE = "application/problem+json"
PROTOCOLS = ("/v1/", "/v2/")  # TensorFlow Serving's and the Open Inference Protocol's own shape


def problem(error: BaseException) -> dict[str, Any]:
    """What went wrong, in RFC 9457's members; nothing of an error that is not meant to be seen."""
    status = status_of(error)
    internal = status is INTERNAL
    return {
        "type": f"urn:discern:problem:{status.kind}",
        "title": status.http.phrase,
        "status": int(status.http),
        "detail": "The server failed; its log says why." if internal else _words(error),
    }


def _words(error: BaseException) -> str:
    """Pictures' errors are phrases, made to stand behind the picture's name."""
    text = str(error)
    return text[:1].upper() + text[1:] if isinstance(error, PictureError) else text


def problem_response(error: BaseException, path: str, request_id: str) -> Response:
    """The answer to a request that failed as a whole."""
    members, headers = problem(error), {}
    if (seconds := getattr(error, "retry_after", None)) is not None:
        headers["Retry-After"] = str(max(1, math.ceil(seconds)))
    if isinstance(error, UnauthorisedError):
        headers["WWW-Authenticate"] = "Bearer"
    return _response(members, headers, path, request_id)


def route_problem(error: HTTPException, path: str, request_id: str) -> Response:
    """The answer to a request for a path or with a method that does not exist."""
    status = HTTPStatus(error.status_code)
    members = {
        "type": "urn:discern:problem:route",
        "title": status.phrase,
        "status": int(status),
        "detail": f"{status.description or status.phrase}: {path}",
    }
    return _response(members, dict(error.headers or {}), path, request_id)


def _response(
    members: dict[str, Any], headers: dict[str, str], path: str, request_id: str
) -> Response:
    if path.startswith(PROTOCOLS):
        content, media_type = {"error": members["detail"]}, "application/json"
    else:
        content, media_type = members | {"request_id": request_id}, MEDIA_TYPE
    response = json_response(content, members["status"], media_type)
    response.headers.update(headers)
    return response
