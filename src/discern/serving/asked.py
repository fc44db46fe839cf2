"""What a request asks about: the pictures in its body, or the URLs they are fetched from."""

import base64
import binascii
from dataclasses import dataclass
from typing import Any

from discern.errors import MediaTypeError, RequestError
from discern.serving.json_body import parse_object
from discern.serving.multipart import parse_multipart
from discern.serving.settings import RequestLimits

HELP = (
    "Send the picture as multipart/form-data, as the body with its own type (image/jpeg, …, "
    'application/octet-stream), or as application/json with {"url": …} or {"image": BASE64}.'
)


@dataclass(frozen=True)
class Asked:
    """One picture: its bytes, or where to fetch them; `name` is what the client calls it."""

    name: str | None = None
    data: bytes | None = None
    url: str | None = None


@dataclass(frozen=True)
class Question:
    """The pictures of one request; `many` asks for a list even if there is one."""

    pictures: list[Asked]
    many: bool


def read_question(content_type: str, body: bytes, limits: RequestLimits) -> Question:
    """The pictures that a body holds or names; RequestError says what it should have been."""
    if not body:
        raise RequestError(f"The request has no body. {HELP}")
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        question = _form(content_type, body, limits)
    elif kind == "application/json" or kind.endswith("+json"):
        question = _document(body)
    elif kind.startswith("image/") or kind in ("application/octet-stream", ""):
        question = Question([Asked(data=body)], many=False)
    else:
        raise MediaTypeError(f"Content-Type {kind!r} is not taken. {HELP}")
    if len(question.pictures) > limits.pictures:
        raise RequestError(
            f"{len(question.pictures)} pictures; at most {limits.pictures} are allowed a request."
        )
    return question


def _form(content_type: str, body: bytes, limits: RequestLimits) -> Question:
    parts = parse_multipart(content_type, body, at_most=2 * limits.pictures)
    files = [part for part in parts if part.filename is not None]
    if not files:
        raise RequestError("The form has no file. Send it as: curl -F file=@picture.jpg …")
    asked = [Asked(name=part.filename or None, data=part.data) for part in files]
    return Question(asked, many=len(asked) > 1)


def _document(body: bytes) -> Question:
    document = parse_object(body, '{"url": …} or {"image": BASE64}')
    if document.keys() == {"pictures"} and isinstance(document["pictures"], list):
        pictures = [_named(entry) for entry in document["pictures"]]
        if not pictures:
            raise RequestError('"pictures" is empty; name at least one.')
        return Question(pictures, many=True)
    return Question([_named(document)], many=False)


def _named(entry: Any) -> Asked:
    """{"url": …} or {"image": …}."""
    if isinstance(entry, dict) and len(entry) == 1:
        (key, value), *_ = entry.items()
        if key == "url" and isinstance(value, str) and value:
            return Asked(name=value, url=value)
        if key == "image" and isinstance(value, str) and value:
            return Asked(data=_decoded(value))
    raise RequestError(
        'Expected {"url": "https://…"}, {"image": "BASE64"}, or {"pictures": [those]}.'
    )


def _decoded(text: str) -> bytes:
    """The bytes of base64, plain or as a data: URL."""
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise RequestError(f'"image" is not base64: {exc}.') from exc
