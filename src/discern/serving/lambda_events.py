"""Lambda's events as HTTP requests, and HTTP answers as what Lambda expects for each.

An event is one of three: a request that a REST API passed on (payload 1.0), one that an HTTP API
or a function URL did (2.0; an HTTP API can be set to 1.0), or a *direct* one, which somebody with
the right to invoke the function wrote: what `POST /predict` takes as JSON, and its options beside.
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
"""

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlencode

from starlette.types import Scope

from discern.errors import DiscernError, RequestError, ServingError
from discern.serving.statuses import STATUSES

Event = Mapping[str, Any]
Headers = list[tuple[bytes, bytes]]

OPTIONS = ("top_k", "flat", "coverage", "explain", "model", "version")  # of a direct event
KEY = "key"  # and the API key, where the server asks for one
EXPECTED = (
    'Expected {"url": "https://…"}, {"image": "BASE64"} or {"pictures": [those]}, with '
    f"{', '.join(OPTIONS)} beside it if you like; or an event of API Gateway or a function URL."
)


@dataclass(frozen=True)
class Call:
    """One HTTP request, whatever event it came in."""

    method: str
    path: str  # below the root, decoded
    root: str = ""  # what stands before it in the client's URL: an API's stage
    query: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    client: str | None = None  # its address

    def scope(self) -> Scope:
        """The request as ASGI has it, without its body."""
        # A stage that is called as a path begins ("v1") would be taken for the root path twice.
        root = "" if self.path.startswith(f"{self.root}/") else self.root
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "https",  # there is nothing else before a function
            "method": self.method,
            "path": root + self.path,
            "root_path": root,
            "query_string": self.query,
            "headers": list(self.headers),
            "client": (self.client, 0) if self.client else None,
            "server": None,
        }


@dataclass(frozen=True)
class Answer:
    """What the app said to a call."""

    status: int
    headers: Headers
    body: bytes


Reply = Callable[[Answer], Any]  # an answer as the sender of the event expects it


def read_event(event: Any) -> tuple[Call, Reply]:
    """The request in an event, and how to answer it; RequestError for an event of another kind."""
    if not isinstance(event, Mapping):
        raise RequestError(f"The event is no object. {EXPECTED}")
    if "requestContext" not in event:
        return _direct(event), _document
    if event.get("version") == "2.0":
        return _second(event), _second_reply
    if "httpMethod" in event and "elb" not in event["requestContext"]:
        return _first(event), _first_reply
    raise RequestError(f"Events of this kind are not taken. {EXPECTED}")


def _direct(event: Event) -> Call:
    """A direct event is `POST /predict` with its options in the query."""
    query = {name: _as_query(name, event[name]) for name in OPTIONS if name in event}
    document = {name: value for name, value in event.items() if name not in (*OPTIONS, KEY)}
    headers = [(b"content-type", b"application/json")]
    if KEY in event:
        headers.append((b"x-api-key", _header(event[KEY])))
    return Call(
        "POST",
        "/predict",
        query=urlencode(query).encode(),
        headers=tuple(headers),
        body=json.dumps(document).encode(),
    )


def _as_query(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise RequestError(f"{name} is {value!r}; expected a value such as ?{name}= takes.")


def _first(event: Event) -> Call:
    """Payload 1.0. A REST API leaves the path as the client encoded it, an HTTP API decodes it."""
    context = event["requestContext"]
    is_http_api = event.get("version") == "1.0"
    path = event["path"] if is_http_api else unquote(context.get("path") or event["path"])
    root, path = _divided(path, context.get("stage"), event.get("resource"), event)
    query = event.get("multiValueQueryStringParameters") or {}
    headers = event.get("multiValueHeaders")
    if headers is None:
        headers = {name: [value] for name, value in (event.get("headers") or {}).items()}
    return Call(
        event["httpMethod"],
        path,
        root,
        urlencode(query, doseq=True).encode(),
        tuple(_headers((name, value) for name, values in headers.items() for value in values)),
        _body(event),
        (context.get("identity") or {}).get("sourceIp"),
    )


def _second(event: Event) -> Call:
    """Payload 2.0. An HTTP API decodes the path, a function URL leaves it as it was."""
    context = event["requestContext"]
    is_function_url = ".lambda-url." in context.get("domainName", "")
    path = unquote(event["rawPath"]) if is_function_url else event["rawPath"]
    route = event.get("routeKey", "").rpartition(" ")[2]
    root, path = _divided(path, context.get("stage"), route, event)
    headers = _headers((event.get("headers") or {}).items())
    if cookies := event.get("cookies"):
        headers.append((b"cookie", _header("; ".join(cookies))))
    return Call(
        context["http"]["method"],
        path,
        root,
        event.get("rawQueryString", "").encode(),
        tuple(headers),
        _body(event),
        context["http"].get("sourceIp"),
    )


def _divided(path: str, stage: str | None, route: str | None, event: Event) -> tuple[str, str]:
    """A decoded path as the root before the app's own paths, and the path below it.

    The root is the API's stage, or what a domain's base path mapping put there, which only shows
    by what the routes "/" and "/{proxy+}" have left over.
    """
    below = (event.get("pathParameters") or {}).get("proxy", "")
    if route in ("/", "/{proxy+}") and path.endswith(f"/{below}"):
        return path.removesuffix(f"/{below}"), f"/{below}"
    if stage and (path == f"/{stage}" or path.startswith(f"/{stage}/")):
        return f"/{stage}", path.removeprefix(f"/{stage}") or "/"
    return "", path


def _headers(pairs: Iterable[tuple[str, str]]) -> Headers:
    return [(_header(name.lower()), _header(value)) for name, value in pairs]


def _header(text: object) -> bytes:
    return str(text).encode("latin-1", "replace")


def _body(event: Event) -> bytes:
    body = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return str(body).encode("utf-8", "replace")
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise RequestError(f"The event's body is not base64: {exc}.") from exc


def _first_reply(answer: Answer) -> dict[str, Any]:
    """For payload 1.0, where every header may have several values."""
    headers: dict[str, list[str]] = {}
    for name, value in answer.headers:
        headers.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
    return {"statusCode": answer.status, "multiValueHeaders": headers, **_text(answer.body)}


def _second_reply(answer: Answer) -> dict[str, Any]:
    """For payload 2.0, where values of one name are joined and cookies have a place of theirs."""
    headers: dict[str, str] = {}
    cookies: list[str] = []
    for raw, value in answer.headers:
        name, text = raw.decode("latin-1"), value.decode("latin-1")
        if name.lower() == "set-cookie":
            cookies.append(text)
        else:
            headers[name] = f"{headers[name]}, {text}" if name in headers else text
    reply = {"statusCode": answer.status, "headers": headers, **_text(answer.body)}
    return reply | {"cookies": cookies} if cookies else reply


def _text(body: bytes) -> dict[str, Any]:
    """A body in JSON: as it is where it is text, else in base64. Both arrive as the same bytes."""
    try:
        return {"body": body.decode(), "isBase64Encoded": False}
    except UnicodeDecodeError:
        return {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}


def _document(answer: Answer) -> Any:
    """The answer to a direct event: what `/predict` answers, or its error, raised."""
    document = json.loads(answer.body)
    if answer.status < 400:
        return document
    raise _error_of(document)


def _error_of(problem: Mapping[str, Any]) -> DiscernError:
    """A problem as the error it came from: Lambda's errorType is then that error's name."""
    error = _ERRORS.get(str(problem["type"]).rpartition(":")[2], ServingError)
    return error(problem["detail"])


# Where errors share a kind, the one that stands first in the table.
_ERRORS = {status.kind: error for error, status in reversed(STATUSES.items())}
