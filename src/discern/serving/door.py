"""Every request comes in and goes out here: admitted or refused, bounded, counted, logged.

A plain ASGI middleware, outside of the framework: what is refused costs as little as it can,
which is what keeps an overloaded server answering.
"""

import asyncio
import logging
import math
import time
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from discern.errors import (
    DiscernError,
    MediaTypeError,
    OverloadedError,
    RequestLimitError,
    RequestTimeoutError,
)
from discern.serving.access import key_in
from discern.serving.access_log import AccessLog, request_id
from discern.serving.gate import Gate
from discern.serving.line import RETRY_SECONDS, Line
from discern.serving.metrics import Metrics
from discern.serving.passing_on import PASSED_ON
from discern.serving.problems import problem_response
from discern.serving.settings import ServeSettings
from discern.serving.statuses import status_of
from discern.serving.tracing import Tracer

log = logging.getLogger("discern.serving")

# What anybody may see: whether the server lives, its page, its documentation.
OPEN = (
    *("/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"),
    *("/", "/model", "/docs", "/openapi.json"),
)
OPEN_FOLDERS = ("/page/", "/docs/")
CLOSING = {408, 413}  # the rest of such a body is not waited for
CLIENT_CLOSED = 499  # as nginx logs it: nobody was there to get an answer

SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


@dataclass
class Visit:
    """One request on its way through."""

    scope: Scope
    id: str
    path: str  # below the root path
    started: float
    owner: str | None = None
    status: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    error: str | None = None
    gone: bool = False  # the client hung up
    held: int = 0  # bytes of its body in memory
    headers: dict[bytes, bytes] = field(default_factory=dict)


class Door:
    """The outermost layer of the app; `line` is what requests will wait in."""

    def __init__(
        self,
        app: ASGIApp,
        settings: ServeSettings,
        metrics: Metrics,
        gate: Gate,
        tracer: Tracer,
        access_log: AccessLog,
        line: Line,
    ) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics
        self._gate, self._tracer, self._log, self._line = gate, tracer, access_log, line
        self._held = 0  # bytes of all bodies in memory

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        visit = self._visit(scope)
        try:
            with self._tracer.request(scope["method"], visit.path, scope["headers"]) as span:
                PASSED_ON.set([("x-request-id", visit.id), *self._tracer.headers().items()])
                await self._answer(visit, receive, self._outgoing(visit, send))
                span.finish(visit.status, visit.error, _route(visit))
        finally:
            self._held -= visit.held
            self._leave(visit)

    def _visit(self, scope: Scope) -> Visit:
        headers = dict(scope["headers"])
        path = _below_root(scope)
        visit = Visit(scope, request_id(headers), path, time.monotonic(), headers=headers)
        latest = scope.get("deadline", math.inf)  # Lambda's own
        scope["deadline"] = min(visit.started + self._settings.limits.seconds, latest)
        scope["visit"] = visit
        return visit

    async def _answer(self, visit: Visit, receive: Receive, send: Send) -> None:
        try:
            self._admit(visit)
            await self._inside(visit, receive, send)
        except Exception as exc:
            if not isinstance(exc, DiscernError):
                log.exception("request %s failed", visit.id)
            visit.error = status_of(exc).kind
            if not visit.status:
                response = problem_response(exc, visit.path, visit.id)
                await response(visit.scope, receive, send)

    def _admit(self, visit: Visit) -> None:
        """Refuse, before its body is read, what would be refused anyway."""
        if visit.path not in OPEN and not visit.path.startswith(OPEN_FOLDERS):
            client = visit.scope.get("client")
            key = key_in(visit.scope["headers"])
            visit.owner = self._gate.admit(key, client[0] if client else "")
        if visit.scope["method"] != "POST":
            return
        self._line.admit()
        encoding = visit.headers.get(b"content-encoding", b"identity").lower()
        if encoding not in (b"", b"identity"):
            raise MediaTypeError("A body with a Content-Encoding is not taken; send it plain.")
        length = visit.headers.get(b"content-length", b"")
        if length.isdigit():
            self._check_size(visit, int(length))

    def _check_size(self, visit: Visit, size: int) -> None:
        limits = self._settings.limits
        is_json = b"json" in visit.headers.get(b"content-type", b"").lower()
        allowed = min(limits.json_bytes, limits.body_bytes) if is_json else limits.body_bytes
        if size > allowed:
            raise RequestLimitError(f"The body is {size:,} bytes; at most {allowed:,} are allowed.")

    async def _inside(self, visit: Visit, receive: Receive, send: Send) -> None:
        """The app's own answer, given up when the client hangs up."""
        this, watchers = asyncio.current_task(), list[asyncio.Task[None]]()

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            visit.gone = True
            if this is not None:
                this.cancel()

        async def incoming() -> Message:
            if watchers:  # the body is read: all that can come is the end
                await asyncio.shield(watchers[0])
                return {"type": "http.disconnect"}
            message = await self._body(visit, receive)
            if not message.get("more_body"):
                watchers.append(asyncio.create_task(watch()))
            return message

        try:
            await self._app(visit.scope, incoming, send)
        except asyncio.CancelledError:
            if not visit.gone or this is None or this.uncancel():
                raise
        finally:
            for watcher in watchers:
                watcher.cancel()

    async def _body(self, visit: Visit, receive: Receive) -> Message:
        """The next piece of the body, within its time and size."""
        limits = self._settings.limits
        left = visit.started + limits.body_seconds - time.monotonic()
        try:
            async with asyncio.timeout(max(0.0, left)):
                message = await receive()
        except TimeoutError as exc:
            raise RequestTimeoutError(
                f"The body did not come within {limits.body_seconds:g} seconds."
            ) from exc
        size = len(message.get("body", b""))
        visit.bytes_in += size
        self._check_size(visit, visit.bytes_in)
        self._hold(visit, size)
        return message

    def _hold(self, visit: Visit, size: int) -> None:
        visit.held += size
        self._held += size
        if self._held > self._settings.queue.body_bytes:
            raise OverloadedError("The server is reading too much at once.", RETRY_SECONDS)

    def _outgoing(self, visit: Visit, send: Send) -> Send:
        async def outgoing(message: Message) -> None:
            if message["type"] == "http.response.start":
                visit.status = message["status"]
                headers = [(b"x-request-id", visit.id.encode()), *SECURITY_HEADERS]
                if visit.status in CLOSING:
                    headers.append((b"connection", b"close"))
                message["headers"] = [*message.get("headers", []), *headers]
            else:
                visit.bytes_out += len(message.get("body", b""))
            await send(message)

        return outgoing

    def _leave(self, visit: Visit) -> None:
        if visit.gone and not visit.status:
            visit.status, visit.error = CLIENT_CLOSED, "client-closed"
        if visit.error:
            self._metrics.failed(visit.error)
        seconds = time.monotonic() - visit.started
        self._metrics.answered(_route(visit) or "none", str(visit.status), seconds)
        self._log.write(visit, seconds)


def _below_root(scope: Scope) -> str:
    """The path below the root path. uvicorn has put that before it, as is right behind a proxy
    that strips it; behind one that does not, it is there twice, and is taken away once."""
    root: str = scope.get("root_path", "")
    if root and scope["path"].startswith(f"{root}{root}/"):
        scope["path"] = scope["path"].removeprefix(root)
    path: str = scope["path"]
    return path.removeprefix(root)


def _route(visit: Visit) -> str | None:
    """The route's pattern: a client's own paths would be metrics without end."""
    route: Any = visit.scope.get("route")
    return getattr(route, "path", None)
