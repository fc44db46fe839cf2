"""The function: in this process, and behind Lambda's own runtime client."""

import base64
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lambda_runtime import Runtime, function
from starlette.testclient import TestClient
from test_lambda_events import Sent, http_api, read_reply, rest_api
from test_single import other_answers

import discern
from discern.errors import (
    ConfigError,
    DeadlineError,
    FetchError,
    ModelDamagedError,
    PictureError,
    PictureLimitError,
    RequestError,
    UnauthorisedError,
)
from discern.runtime import machine
from discern.serving import lambda_function
from discern.serving.access import hashed, new_key
from discern.serving.app import create_app
from discern.serving.fetch import FetchSettings
from discern.serving.lambda_function import Function, load_function
from discern.serving.settings import ServeSettings


class Context:
    """What the runtime gives along with an event."""

    aws_request_id = "8f3c2a10-5d1b-4b8e-9a51-2f6c1d7e0a42"

    def __init__(self, seconds: float = 20.0) -> None:
        self.until = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int(1000 * (self.until - time.monotonic())))


def as_base64(picture: Path) -> str:
    return base64.b64encode(picture.read_bytes()).decode()


@pytest.fixture
def answer(served: Path) -> Iterator[Function]:
    loaded = Function(served)
    yield loaded
    loaded.close()


def test_direct_events_get_what_the_library_gives(
    answer: Function, served: Path, pictures: list[Path]
) -> None:
    expected = discern.load(served).predict(pictures[:2])
    one = answer({"image": as_base64(pictures[0])}, Context())
    assert (one["label"], one["scores"]) == (expected[0].label, expected[0].scores)
    assert one["model"] == {"name": "pets", "version": "3"}
    flat = answer({"image": as_base64(pictures[0]), "flat": True, "top_k": 1}, Context())
    assert flat == expected[0].top(1)
    images: list[dict[str, Any]] = [{"image": as_base64(path)} for path in pictures[:2]]
    several = answer({"pictures": [*images, {"image": "aGk="}]}, Context())["predictions"]
    assert [p.get("label") for p in several] == [expected[0].label, expected[1].label, None]
    assert several[2]["error"]["status"] == 422


def test_direct_events_that_fail(answer: Function, pictures: list[Path]) -> None:
    with pytest.raises(PictureError, match="unknown format"):
        answer({"image": "aGk="}, Context())
    with pytest.raises(RequestError, match="is not base64"):
        answer({"image": "?"}, Context())
    with pytest.raises(RequestError, match=r'Expected \{"url"'):
        answer({}, Context())
    with pytest.raises(DeadlineError):  # less than what is kept for the answer
        answer({"image": as_base64(pictures[0])}, Context(seconds=0.1))
    assert answer({"image": as_base64(pictures[0])}, Context())["label"]


def test_a_url_that_does_not_answer_is_given_up_in_time(served: Path) -> None:
    loaded = Function(served, ServeSettings(fetch=FetchSettings(private_addresses=True)))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/a.jpg"
        context = Context(seconds=0.6)
        with pytest.raises(FetchError):
            loaded({"url": url}, context)
    assert context.get_remaining_time_in_millis() > 0
    loaded.close()


@pytest.mark.parametrize("shape", [rest_api, http_api])
def test_http_gets_what_a_server_answers(
    answer: Function, served: Path, pictures: list[Path], shape: Any
) -> None:
    picture = {"Content-Type": ["image/png"]}
    requests = [
        Sent("GET", "/", {}, {}, [], b""),
        Sent("GET", "/page/results.js", {}, {}, [], b""),
        Sent("GET", "/docs/favicon.png", {}, {}, [], b""),
        Sent("GET", "/healthz", {}, {}, [], b""),
        Sent("GET", "/nowhere/ü", {}, {}, [], b""),
        Sent("GET", "/v2/models/pets", {}, {}, [], b""),
        Sent("POST", "/predict", {"top_k": ["2"]}, picture, [], pictures[0].read_bytes()),
        Sent("POST", "/predict", {"top_k": ["-1"]}, picture, [], pictures[0].read_bytes()),
        Sent("POST", "/predict", {}, picture, [], b"no picture"),
        Sent("POST", "/predict", {}, {"Content-Type": ["text/plain"]}, [], b"hi"),
    ]
    with TestClient(create_app(served)) as server:
        for sent in requests:
            sent.headers["X-Request-ID"] = ["the-same"]
            headers = {name: ",".join(values) for name, values in sent.headers.items()}
            path = sent.encoded_path()
            expected = server.request(
                sent.method, path, params=sent.query, headers=headers, content=sent.body
            )
            status, found, body = read_reply(answer(shape(sent), Context()))
            assert (status, body) == (expected.status_code, expected.content), path
            known = {name: ", ".join(values) for name, values in found.items()}
            assert known == dict(expected.headers), path


def test_the_page_tells_how_much_an_event_can_hold(answer: Function) -> None:
    event = http_api(Sent("GET", "/model", {}, {}, [], b""))
    assert json.loads(answer(event, Context())["body"])["limits"]["bytes"] == 4_500_000


def test_the_documentation_asks_below_the_stage(answer: Function) -> None:
    event = rest_api(Sent("GET", "/openapi.json", {}, {}, [], b""), "prod")
    assert json.loads(answer(event, Context())["body"])["servers"] == [{"url": "/prod"}]


def test_the_requests_id_is_lambdas(answer: Function) -> None:
    reply = answer(http_api(Sent("GET", "/healthz", {}, {}, [], b"")), Context())
    assert reply["headers"]["x-request-id"] == Context.aws_request_id


def test_an_answer_that_lambda_would_not_pass_on(
    answer: Function, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lambda_function, "PAYLOAD_BYTES", 1500)
    entries = [{"image": as_base64(pictures[0])}] * 30
    with pytest.raises(PictureLimitError, match="Ask for less at once"):
        answer({"pictures": entries}, Context())
    body = json.dumps({"pictures": entries}).encode()
    sent = Sent("POST", "/predict", {}, {"Content-Type": ["application/json"]}, [], body)
    reply = answer(http_api(sent), Context())
    assert reply["statusCode"] == 413
    assert json.loads(reply["body"])["request_id"] == Context.aws_request_id


def test_keys_hold_for_direct_events_too(
    served: Path, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = new_key()
    monkeypatch.setenv("DISCERN_API_KEYS", f"alice:{hashed(key)}")
    loaded = load_function({"DISCERN_MODEL": str(served)})
    with pytest.raises(UnauthorisedError):
        loaded({"image": as_base64(pictures[0])}, Context())
    assert loaded({"image": as_base64(pictures[0]), "key": key}, Context())["label"]
    loaded.close()


def test_settings_come_from_a_file(served: Path, tmp_path: Path, pictures: list[Path]) -> None:
    config = tmp_path / "serve.toml"
    config.write_text("[limits]\npicture_bytes = 100")
    loaded = load_function({"DISCERN_MODEL": str(served), "DISCERN_CONFIG": str(config)})
    with pytest.raises(PictureLimitError):
        loaded({"image": as_base64(pictures[0])}, Context())
    loaded.close()


def test_a_model_that_gives_other_answers_is_refused(model_folder: Path) -> None:
    other_answers(model_folder)
    with pytest.raises(ModelDamagedError, match="1 of 1 reference pictures"):
        Function(model_folder)


def test_no_model_is_named() -> None:
    with pytest.raises(ConfigError, match="DISCERN_MODEL is not set"):
        load_function({})


@pytest.mark.parametrize(("memory", "cores"), [("128", 1), ("1769", 1), ("3538", 2)])
def test_a_function_has_processors_by_memory(
    memory: str, cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", memory)
    machine.cores.cache_clear()
    try:
        assert machine.cores() <= cores
    finally:
        machine.cores.cache_clear()


def test_the_function_loads_nothing_that_it_does_not_need(served: Path) -> None:
    code = (
        "import sys\nfrom discern.serving import lambda_function\n"
        "before = {m.split('.')[0] for m in sys.modules}\nlambda_function.handler\n"
        "print(*{m.split('.')[0] for m in sys.modules}, '|', 'onnxruntime' in before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "DISCERN_MODEL": str(served)},
    )
    assert done.returncode == 0, done.stderr
    names, _, early = done.stdout.partition("|")
    assert not {"grpc", "google", "uvicorn", "torch", "openvino", "sklearn"} & set(names.split())
    assert early.strip() == "False"  # an import alone loads no engine


@pytest.fixture
def running(served: Path) -> Iterator[Runtime]:
    pytest.importorskip("awslambdaric")
    with function({"DISCERN_MODEL": str(served)}) as runtime:
        assert runtime.ready.wait(30)
        assert runtime.init_error is None
        yield runtime


def test_behind_the_real_client(running: Runtime, pictures: list[Path]) -> None:
    image = as_base64(pictures[0])
    assert running.invoke({"image": image, "top_k": 1}).document["label"] in ("cat", "dog", "fish")
    refused = running.invoke({"url": "http://127.0.0.1/a.jpg"})
    assert refused.error == refused.document["errorType"] == "FetchRefusedError"
    assert running.invoke({"image": "aGk="}).error == "PictureError"
    assert running.invoke([]).error == "RequestError"
    assert running.invoke(b"{no JSON").error == "Runtime.UnmarshalError"
    assert running.invoke({"image": image}, seconds=0.1).error == "DeadlineError"
    icon = running.invoke(http_api(Sent("GET", "/docs/favicon.png", {}, {}, [], b""))).document
    assert base64.b64decode(icon["body"]).startswith(b"\x89PNG")
    assert running.invoke({"image": image}).error is None

    assert running.process is not None
    running.process.terminate()
    assert running.process.wait(10) == 0
    assert running.process.stdout is not None
    lines = [json.loads(line) for line in running.process.stdout if line.strip()]
    statuses = [line["status"] for line in lines if "status" in line]
    assert statuses == [200, 403, 422, 504, 200, 200]


def test_a_model_that_cannot_be_loaded_is_told_in_the_init_phase(tmp_path: Path) -> None:
    pytest.importorskip("awslambdaric")
    with function({"DISCERN_MODEL": str(tmp_path)}) as runtime:
        assert runtime.ready.wait(30)
        assert runtime.init_error is not None
        assert runtime.init_error["errorType"] == "ModelFormatError"
        assert runtime.process is not None
        assert runtime.process.wait(10) == 1
