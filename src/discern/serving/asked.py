"""What a request asks about: the pictures in its body, or the URLs they are fetched from."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from discern.errors import MediaTypeError, RequestError
from discern.runtime.engine import METADATA
from discern.serving.facts import NOTHING
from discern.serving.json_body import parse_object
from discern.serving.multipart import Part, parse_multipart
from discern.serving.settings import RequestLimits

HELP = (
    "Send the picture as multipart/form-data, as the body with its own type (image/jpeg, …, "
    'application/octet-stream), or as application/json with {"url": …} or {"image": BASE64}.'
)


@dataclass(frozen=True)
class Asked:
    """One picture: its bytes, or where to fetch them; `name` is what the client calls it.

    `metadata` holds what is known beside it, by name.
    """

    name: str | None = None
    data: bytes | None = None
    url: str | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)


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
    asked = [
        Asked(name=part.filename or None, data=part.data, metadata=facts)
        for part, facts in zip(files, _form_facts(parts, len(files)), strict=True)
    ]
    return Question(asked, many=len(asked) > 1)


def _form_facts(parts: list[Part], files: int) -> list[Mapping[str, object]]:
    """Each file's facts: of the form's field "metadata", an object or a list of them in order."""
    fields = [part for part in parts if part.filename is None and part.name == METADATA]
    if not fields:
        return [NOTHING] * files
    if len(fields) > 1:
        raise RequestError(f"{METADATA} is sent {len(fields)} times; send it once, as a list.")
    try:
        given = json.loads(fields[0].data)
    except (ValueError, RecursionError) as exc:
        raise RequestError(f"{METADATA} is not JSON: {exc}.") from exc
    given = given if isinstance(given, list) else [given]
    if len(given) != files:
        raise RequestError(
            f"{METADATA} has {len(given)} entries for {files} files; send a list of one object "
            "for each, in order. Where nothing is known, it is {}."
        )
    return [_facts(entry) for entry in given]


def _facts(given: Any) -> Mapping[str, object]:
    if given is None:
        return NOTHING
    if not isinstance(given, dict):
        raise RequestError(f'{METADATA} must be an object of facts: {{"NAME": VALUE, …}}.')
    return given


def _document(body: bytes) -> Question:
    document = parse_object(body, '{"url": …} or {"image": BASE64}')
    if document.keys() == {"pictures"} and isinstance(document["pictures"], list):
        pictures = [_named(entry) for entry in document["pictures"]]
        if not pictures:
            raise RequestError('"pictures" is empty; name at least one.')
        return Question(pictures, many=True)
    return Question([_named(document)], many=False)


def _named(entry: Any) -> Asked:
    """{"url": …} or {"image": …}, with "metadata" beside it if there are any."""
    if isinstance(entry, dict) and len(keys := entry.keys() - {METADATA}) == 1:
        (key,), facts = keys, _facts(entry.get(METADATA))
        value = entry[key]
        if key == "url" and isinstance(value, str) and value:
            return Asked(name=value, url=value, metadata=facts)
        if key == "image" and isinstance(value, str) and value:
            return Asked(data=_decoded(value), metadata=facts)
    raise RequestError(
        'Expected {"url": "https://…"}, {"image": "BASE64"}, or {"pictures": [those]}; '
        'each may have "metadata", an object, beside it.'
    )


def _decoded(text: str) -> bytes:
    """The bytes of base64, plain or as a data: URL."""
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise RequestError(f'"image" is not base64: {exc}.') from exc
