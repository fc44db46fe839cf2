"""HTTP through every shape of event: what the client sent is what the app gets, and back."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette._utils import get_route_path
from starlette.requests import Request

from discern.errors import DiscernError, RequestError
from discern.serving.lambda_events import Answer, read_event
from discern.serving.statuses import STATUSES, status_of

ADDRESS = "198.51.100.7"


@dataclass(frozen=True)
class Sent:
    """A request as a client sends it; names of headers as it spells them."""

    method: str
    path: str  # decoded
    query: dict[str, list[str]]
    headers: dict[str, list[str]]
    cookies: list[str]
    body: bytes

    def encoded_path(self) -> str:
        return quote(self.path)


def grouped(sent: Sent) -> dict[str, list[str]]:
    return sent.headers | ({"Cookie": ["; ".join(sent.cookies)]} if sent.cookies else {})


def with_body(event: dict[str, Any], body: bytes) -> dict[str, Any]:
    return event | {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}


# What follows does what AWS does. Which of its services decode paths is from captures of live
# events that were published in github.com/hotsock/voker, pull request 8.


def rest_api(sent: Sent, stage: str = "prod") -> dict[str, Any]:
    """A REST API: paths as they were sent; its stage in one of two."""
    event = {
        "resource": "/" if sent.path == "/" else "/{proxy+}",
        "path": sent.encoded_path(),
        "httpMethod": sent.method,
        "headers": {name: values[-1] for name, values in grouped(sent).items()},
        "multiValueHeaders": grouped(sent),
        "multiValueQueryStringParameters": sent.query or None,
        "pathParameters": {"proxy": sent.path[1:]} if sent.path != "/" else None,
        "requestContext": {
            "path": f"/{stage}{sent.encoded_path()}",
            "stage": stage,
            "identity": {"sourceIp": ADDRESS},
        },
    }
    return with_body(event, sent.body)


def rest_api_on_a_domain(sent: Sent) -> dict[str, Any]:
    """A REST API below a base path of somebody's own domain: no stage, but that path."""
    event = rest_api(sent)
    path = f"/shop{sent.encoded_path()}"
    return event | {"path": path, "requestContext": event["requestContext"] | {"path": path}}


def http_api_first(sent: Sent, stage: str = "prod") -> dict[str, Any]:
    """An HTTP API set to payload 1.0: paths decoded, the stage in them."""
    event = {
        "version": "1.0",
        "resource": "$default",
        "path": f"/{stage}{sent.path}",
        "httpMethod": sent.method,
        "multiValueHeaders": grouped(sent),
        "multiValueQueryStringParameters": sent.query or None,
        "pathParameters": None,
        "requestContext": {"stage": stage, "identity": {"sourceIp": ADDRESS}},
    }
    return with_body(event, sent.body)


def http_api(sent: Sent, stage: str = "$default") -> dict[str, Any]:
    """An HTTP API: paths decoded, with the stage unless it is $default; cookies apart."""
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": sent.path if stage == "$default" else f"/{stage}{sent.path}",
        "rawQueryString": urlencode(sent.query, doseq=True),
        "headers": {name.lower(): ",".join(values) for name, values in sent.headers.items()},
        "requestContext": {
            "stage": stage,
            "domainName": "a1.execute-api.eu-central-1.amazonaws.com",
            "http": {"method": sent.method, "sourceIp": ADDRESS},
        },
    }
    return with_body(event | ({"cookies": sent.cookies} if sent.cookies else {}), sent.body)


def http_api_with_stage(sent: Sent) -> dict[str, Any]:
    return http_api(sent, "prod")


def http_api_with_a_route(sent: Sent) -> dict[str, Any]:
    event = http_api(sent, "prod")
    if sent.path == "/":
        return event | {"routeKey": "ANY /"}
    return event | {"routeKey": "ANY /{proxy+}", "pathParameters": {"proxy": sent.path[1:]}}


def function_url(sent: Sent) -> dict[str, Any]:
    """A function URL: as an HTTP API, but the path is as it was sent."""
    event = http_api(sent)
    context = event["requestContext"] | {"domainName": "b2.lambda-url.eu-central-1.on.aws"}
    return event | {"rawPath": sent.encoded_path(), "requestContext": context}


SHAPES = [
    rest_api,
    rest_api_on_a_domain,
    http_api_first,
    http_api,
    http_api_with_stage,
    http_api_with_a_route,
    function_url,
]
NAMES = st.sampled_from(["Accept", "Content-Type", "X-Request-ID", "X-Api-Key", "Via"])
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_characters=",\x7f"))
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
REQUESTS = st.builds(
    Sent,
    method=st.sampled_from(["GET", "POST", "HEAD", "DELETE"]),
    path=st.lists(TEXT, max_size=4).map(lambda parts: "/" + "/".join(parts)),
    query=st.dictionaries(TEXT, st.lists(TEXT, min_size=1, max_size=3), max_size=3),
    headers=st.dictionaries(NAMES, st.lists(VALUES, min_size=1, max_size=3), max_size=4),
    cookies=st.lists(st.sampled_from(["a=1", "b=2", "c="]), max_size=3, unique=True),
    body=st.binary(max_size=200),
)


@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=50, deadline=None)
@given(sent=REQUESTS)
def test_the_app_gets_what_was_sent(shape: Callable[[Sent], Any], sent: Sent) -> None:
    call, _ = read_event(shape(sent))
    request = Request(call.scope())
    assert request.method == sent.method
    assert get_route_path(request.scope) == sent.path
    assert {key: request.query_params.getlist(key) for key in request.query_params} == sent.query
    for name, values in sent.headers.items():
        assert ",".join(request.headers.getlist(name)) == ",".join(values)
    assert request.cookies == dict(cookie.split("=") for cookie in sent.cookies)
    assert call.body == sent.body
    assert request.client is not None
    assert request.client.host == ADDRESS


@pytest.mark.parametrize(
    ("shape", "root"),
    [
        (rest_api, "/prod"),
        (rest_api_on_a_domain, "/shop"),
        (http_api_first, "/prod"),
        (http_api, ""),
        (http_api_with_stage, "/prod"),
        (function_url, ""),
    ],
)
def test_what_stands_before_the_apps_paths_is_the_root(
    shape: Callable[[Sent], Any], root: str
) -> None:
    scope = read_event(shape(Sent("GET", "/docs", {}, {}, [], b"")))[0].scope()
    assert (scope["root_path"], scope["path"]) == (root, f"{root}/docs")


@pytest.mark.parametrize("shape", [rest_api, http_api])
@pytest.mark.parametrize("path", ["/v1/models/pets", "/predict", "/"])
def test_a_stage_that_is_called_as_a_path_begins(
    shape: Callable[[Sent, str], Any], path: str
) -> None:
    call, _ = read_event(shape(Sent("GET", path, {}, {}, [], b""), "v1"))
    assert get_route_path(call.scope()) == path


def test_a_stage_alone_is_the_page() -> None:
    event = http_api(Sent("GET", "", {}, {}, [], b""), "prod")
    assert get_route_path(read_event(event)[0].scope()) == "/"


def test_what_the_console_sends_to_try_a_rest_api_out() -> None:
    event = {
        "resource": "/{proxy+}",
        "path": "/healthz",
        "httpMethod": "GET",
        "headers": None,
        "multiValueHeaders": None,
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": {"proxy": "healthz"},
        "requestContext": {"path": "/healthz", "stage": "test-invoke-stage", "identity": {}},
        "body": None,
        "isBase64Encoded": False,
    }
    scope = read_event(event)[0].scope()
    assert (scope["path"], scope["root_path"], scope["client"]) == ("/healthz", "", None)


def test_text_comes_as_it_is() -> None:
    event = http_api(Sent("POST", "/predict", {}, {}, [], b""))
    call, _ = read_event(event | {"body": '{"url": "ü"}', "isBase64Encoded": False})
    assert call.body == '{"url": "ü"}'.encode()


def read_reply(reply: Any) -> tuple[int, dict[str, list[str]], bytes]:
    """What a client gets of a reply, by the rules that AWS publishes."""
    headers = {name: [value] for name, value in reply.get("headers", {}).items()}
    headers |= reply.get("multiValueHeaders", {})
    if "cookies" in reply:
        headers["set-cookie"] = reply["cookies"]
    body = reply["body"]
    raw = base64.b64decode(body) if reply["isBase64Encoded"] else body.encode()
    return reply["statusCode"], headers, raw


@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=50, deadline=None)
@given(
    status=st.sampled_from([200, 304, 422, 503]),
    names=st.lists(st.sampled_from(["content-type", "vary", "set-cookie"])),
    body=st.one_of(st.binary(), st.text().map(lambda text: text.encode("utf-8", "replace"))),
)
def test_the_client_gets_what_the_app_said(
    shape: Callable[[Sent], Any], status: int, names: list[str], body: bytes
) -> None:
    said = [(name.encode(), f"v{i}".encode()) for i, name in enumerate(names)]
    _, reply = read_event(shape(Sent("GET", "/", {}, {}, [], b"")))
    event = json.loads(json.dumps(reply(Answer(status, said, body))))
    got_status, headers, got_body = read_reply(event)
    assert (got_status, got_body) == (status, body)
    for name in names:
        values = [value.decode() for key, value in said if key.decode() == name]
        assert headers[name] in (values, [", ".join(values)])
        assert name != "set-cookie" or headers[name] == values


class TestDirect:
    def test_options_are_the_query_and_the_rest_is_the_body(self) -> None:
        event = {"url": "https://a.example/ü?b=c&d", "top_k": 3, "flat": True, "explain": False}
        event |= {"coverage": 0.9, "model": "pets", "version": "3", "metadata": {"lat": 1.5}}
        call, _ = read_event(event)
        request = Request(call.scope())
        assert (request.method, request.url.path) == ("POST", "/predict")
        assert dict(request.query_params) == {
            **{"top_k": "3", "flat": "true", "explain": "false"},
            **{"coverage": "0.9", "model": "pets", "version": "3"},
        }
        assert json.loads(call.body) == {"url": event["url"], "metadata": event["metadata"]}
        assert request.headers["content-type"] == "application/json"

    def test_a_key_is_a_header(self) -> None:
        call, _ = read_event({"image": "aGk=", "key": "dk_1"})
        assert Request(call.scope()).headers["x-api-key"] == "dk_1"
        assert json.loads(call.body) == {"image": "aGk="}

    @pytest.mark.parametrize("event", [None, [], "a.jpg", 3, {"url": "x", "top_k": [1]}])
    def test_what_is_no_event(self, event: Any) -> None:
        with pytest.raises(RequestError, match=r"[Ee]xpected"):
            read_event(event)

    def test_events_of_other_services(self) -> None:
        balancer = {"httpMethod": "GET", "path": "/", "requestContext": {"elb": {}}}
        socket = {"requestContext": {"connectionId": "a"}, "body": "hi"}
        for event in (balancer, socket):
            with pytest.raises(RequestError, match="of this kind are not taken"):
                read_event(event)

    @pytest.mark.parametrize("kind", STATUSES)
    def test_a_problem_becomes_an_error_of_its_kind(self, kind: type[DiscernError]) -> None:
        status = STATUSES[kind]
        problem = {"type": f"urn:discern:problem:{status.kind}", "detail": "So it is."}
        _, reply = read_event({"url": "x"})
        with pytest.raises(DiscernError, match=r"So it is\.") as raised:
            reply(Answer(int(status.http), [], json.dumps(problem).encode()))
        assert status_of(raised.value) == status

    def test_an_answer_is_its_document(self) -> None:
        _, reply = read_event({"url": "x"})
        assert reply(Answer(200, [], b'{"label": "cat"}')) == {"label": "cat"}
