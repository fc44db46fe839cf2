"""JSON as requests bring it and answers take it."""

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from discern.errors import RequestError


def parse_object(body: bytes, expected: str) -> Mapping[str, Any]:
    """The JSON object that a body is; RequestError, showing what was `expected`, if it is none."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise RequestError(f"The body is not JSON: {exc}.") from exc
    if not isinstance(document, dict):
        raise RequestError(f"The JSON body must be an object: {expected}.")
    return document


def json_response(
    document: Any, status: int = 200, media_type: str = "application/json"
) -> Response:
    """A document as an answer; what a client sent and UTF-8 cannot hold becomes a question mark."""
    content = json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")
    return Response(content, status, media_type=media_type)
