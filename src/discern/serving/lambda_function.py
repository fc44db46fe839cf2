"""AWS Lambda: `discern.serving.lambda_function.handler`, the app of `discern serve` in a function.

Lambda gives a process one event at a time, so the event loop runs while there is one and rests in
between. The model is loaded when the runtime looks for `handler`, in Lambda's init phase:
DISCERN_MODEL names its folder, DISCERN_CONFIG settings in TOML if there are any.

Own code rather than Mangum, which starts the app up for each event, and knows no direct ones.
"""

import asyncio
import json
import os
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from starlette.types import Message

from discern.config import read_settings
from discern.errors import ConfigError, RequestLimitError
from discern.serving.app import build_app, close, make_parts
from discern.serving.lambda_events import Answer, Call, Headers, Reply, read_event
from discern.serving.local import ModelSettings, Opener
from discern.serving.problems import problem_response
from discern.serving.settings import ServeSettings
from discern.serving.single import SingleModel

MODEL, CONFIG = "DISCERN_MODEL", "DISCERN_CONFIG"
MARGIN_SECONDS = 0.25  # before Lambda's own deadline, which ends the process
PAYLOAD_BYTES = 6 * 1024 * 1024  # of an event, and of an answer, as JSON
UPLOAD_BYTES = 4_500_000  # of a picture in an event, where it is base64
# What measuring the fastest engine needs, a second and a place to remember it, is not here.
ENGINE = ModelSettings(engine="onnxruntime", precision="f32", device="cpu")


class Context(Protocol):
    """What discern uses of the context that the runtime gives along with an event."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int: ...


class Function:
    """A model that answers events, one at a time."""

    def __init__(self, folder: Path, settings: ServeSettings = ServeSettings()) -> None:
        """Load the model; raises what `SingleModel.start` raises."""
        self._parts = parts = make_parts(settings)
        opener = Opener(parts.workers, settings, parts.metrics, alone=True)
        catalog = SingleModel(folder, opener, parts.metrics, ENGINE)
        parts.settings = _told(settings)
        self._app = build_app(catalog, parts)
        self._runner = asyncio.Runner()
        try:
            self._runner.run(catalog.start())
        except BaseException:
            self.close()
            raise

    def __call__(self, event: Any, context: Context) -> Any:
        """The answer to an event. One over HTTP is always an answer, errors are problem+json; a
        direct one that fails raises its DiscernError."""
        call, reply = read_event(event)
        answer = self._runner.run(self._answer(call, context))
        return _fitting(answer, reply, context.aws_request_id)

    def close(self) -> None:
        """End its threads and the event loop; Lambda just ends the process."""
        self._runner.run(close(self._parts))
        self._runner.close()

    async def _answer(self, call: Call, context: Context) -> Answer:
        scope = call.scope()
        seconds = context.get_remaining_time_in_millis() / 1000 - MARGIN_SECONDS
        scope["deadline"] = time.monotonic() + seconds
        scope["headers"] = _with_id(scope["headers"], context.aws_request_id)
        request: list[Message] = [{"type": "http.request", "body": call.body}]
        messages: list[Message] = []

        async def receive() -> Message:
            if not request:
                await asyncio.get_running_loop().create_future()  # nobody hangs up
            return request.pop()

        async def send(message: Message) -> None:
            messages.append(message)

        await self._app(scope, receive, send)
        start, *rest = messages
        body = b"".join(message.get("body", b"") for message in rest)
        return Answer(start["status"], start["headers"], body)


def _told(settings: ServeSettings) -> ServeSettings:
    """The settings as people are told of them: the page then says that a picture is too large,
    not API Gateway. Pictures that are fetched may be larger."""
    most = min(settings.limits.picture_bytes, UPLOAD_BYTES)
    return replace(settings, limits=replace(settings.limits, picture_bytes=most))


def _with_id(headers: Headers, request_id: str) -> Headers:
    """The log's lines then have the id that Lambda's own lines have."""
    if any(name == b"x-request-id" for name, _ in headers):
        return headers
    return [*headers, (b"x-request-id", request_id.encode())]


def _fitting(answer: Answer, reply: Reply, request_id: str) -> Any:
    """The answer as the event's sender expects it; 413 if Lambda would end the process for it."""
    replied = reply(answer)
    if (size := len(json.dumps(replied))) <= PAYLOAD_BYTES:
        return replied
    error = RequestLimitError(
        f"The answer has {size:,} bytes; Lambda passes on {PAYLOAD_BYTES:,}. Ask for less at once."
    )
    problem = problem_response(error, "", request_id)
    return reply(Answer(problem.status_code, problem.raw_headers, bytes(problem.body)))


def __getattr__(name: str) -> Any:
    """`handler`, made when the runtime asks for it: an import alone loads no model."""
    if name != "handler":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _handler()


@cache
def _handler() -> Function:
    _end_when_told()
    return load_function(os.environ)


def load_function(environment: Mapping[str, str]) -> Function:
    """The function that the environment describes; ConfigError where it names no model."""
    if not (folder := environment.get(MODEL)):
        raise ConfigError(f"{MODEL} is not set. Set it to the model folder in the image.")
    config = environment.get(CONFIG)
    settings = read_settings(ServeSettings, Path(config)) if config else ServeSettings()
    return Function(Path(folder), settings)


def _end_when_told() -> None:
    """End at SIGTERM. Python's handlers wait for the main thread, which waits in the runtime's
    client for an event; what its handler in C writes at once, a thread reads. Blocking the signal
    and waiting for it would not do: libraries' threads that already run would take it, and for
    the first process of a container it is then lost."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    signal.set_wakeup_fd(writing)

    def wait() -> None:
        while os.read(reading, 1) != bytes([signal.SIGTERM]):
            pass
        os._exit(0)

    threading.Thread(target=wait, name="sigterm", daemon=True).start()
