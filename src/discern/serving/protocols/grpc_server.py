"""gRPC services made of plain coroutines, and the server they run in.

A handler takes a message and its `Call` and returns a message, or raises. What a failure means
to the client stands in `discern.serving.statuses`; nothing of an unforeseen one leaves the
server. A client that hangs up cancels its handler, and so the work that waits for it.
"""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from discern.errors import OverloadedError, RequestError
from discern.serving.line import RETRY_SECONDS
from discern.serving.metrics import Metrics
from discern.serving.protocols import messages
from discern.serving.settings import ServeSettings
from discern.serving.statuses import INTERNAL, status_of

log = logging.getLogger("discern.serving")

FAILED = "The server failed; its log says why."
LONGEST_DETAILS = 800  # characters; clients take 8 KiB of trailing metadata, percent-encoded
CALLS_PER_PICTURE = 4  # calls at the same time, for each picture that the server takes on
FEWEST_CALLS = 64
CALLS_OF_A_CLIENT = 500  # on one connection; gRPC cancels calls when 1000 wait to be looked at
KEEPALIVE_MS = 60_000
KEEPALIVE_TIMEOUT_MS = 20_000
PINGS_ALLOWED_MS = 10_000  # clients that keep their connections alive may ping so often


@dataclass(frozen=True)
class Call:
    """What a handler knows about its call beside the message."""

    deadline: float  # of time.monotonic()
    metadata: Mapping[str, str]  # names in lower case; binary values are left out


Handler = Callable[[Any, Call], Awaitable[Any]]  # request message -> response message
Admit = Callable[[Mapping[str, str], str], None]  # metadata, peer; raises to refuse


def admit_all(_metadata: Mapping[str, str], _peer: str) -> None:
    """Refuse nobody."""


def service(
    name: str,
    handlers: Mapping[str, Handler],
    settings: ServeSettings,
    metrics: Metrics,
    admit: Admit = admit_all,
) -> grpc.GenericRpcHandler:
    """The unary methods of the service `name`; those without a handler are UNIMPLEMENTED."""
    desk, kinds = _Desk(settings, metrics, admit), messages.methods(name)
    # Without (de)serialisers gRPC hands over bytes: those refused need not be parsed, and what
    # cannot be parsed is an error of the client's.
    methods = {
        method: grpc.unary_unary_rpc_method_handler(
            desk.method(f"/{name}/{method}", kinds[method][0], handler)
        )
        for method, handler in handlers.items()
    }
    return grpc.method_handlers_generic_handler(name, methods)


def create_grpc_server(
    services: Sequence[grpc.GenericRpcHandler],
    settings: ServeSettings,
    shared_port: bool = False,
    interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
) -> grpc.aio.Server:
    """A server without a port yet; made in the event loop that runs it.

    Several processes may listen on one port if all of them say that it is shared.
    """
    return grpc.aio.server(
        handlers=services,
        interceptors=interceptors,
        options=[
            # Else a port that is taken would not be an error, but take half of the calls.
            ("grpc.so_reuseport", int(shared_port)),
            ("grpc.max_receive_message_length", settings.limits.body_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.max_concurrent_streams", CALLS_OF_A_CLIENT),
            ("grpc.keepalive_time_ms", KEEPALIVE_MS),
            ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_ping_interval_without_data_ms", PINGS_ALLOWED_MS),
        ],
    )


class _Desk:
    """Where a service's calls come in: admitted or refused, bounded, counted, answered."""

    def __init__(self, settings: ServeSettings, metrics: Metrics, admit: Admit) -> None:
        self._settings, self._metrics, self._admit = settings, metrics, admit
        # gRPC's own bound, maximum_concurrent_rpcs, gives no retry advice, and counts wrongly in
        # versions up to 1.76 (grpc/grpc#41531).
        self._room = max(FEWEST_CALLS, CALLS_PER_PICTURE * settings.queue.capacity())
        self._calls = 0
        self._held = 0  # bytes of all messages in memory

    def method(self, route: str, kind: Any, handler: Handler) -> Callable[..., Awaitable[bytes]]:
        """`handler` as gRPC calls it: bytes in, bytes or an abort out."""

        async def answer(request: bytes, context: Any) -> bytes:
            started, status, failure = time.monotonic(), "CANCELLED", None
            try:
                response = await self._answer(kind, handler, request, context)
                status = "OK"
                return response
            except asyncio.CancelledError:
                self._metrics.failed("client-closed")
                raise
            except Exception as exc:
                failure, status = exc, status_of(exc).grpc
            finally:
                self._metrics.answered(route, status, time.monotonic() - started)
            await self._abort(route, failure, context)
            raise AssertionError("abort raises")

        return answer

    async def _answer(self, kind: Any, handler: Handler, request: bytes, context: Any) -> bytes:
        call = _call(context, self._settings.limits.seconds)
        self._admit(call.metadata, context.peer())
        with self._holding(len(request)):
            message = _parsed(kind, request)
            del request  # its bytes are in the message now
            response: bytes = (await handler(message, call)).SerializeToString()
        return response

    @contextmanager
    def _holding(self, size: int) -> Iterator[None]:
        self._calls += 1
        self._held += size
        try:
            if self._calls > self._room or self._held > self._settings.queue.body_bytes:
                raise OverloadedError("The server is busy. Try again in a moment.", RETRY_SECONDS)
            yield
        finally:
            self._calls -= 1
            self._held -= size

    async def _abort(self, route: str, failure: Exception, context: Any) -> None:
        status = status_of(failure)
        self._metrics.failed(status.kind)
        if status is INTERNAL:
            log.error("call %s failed", route, exc_info=failure)
        trailing: tuple[tuple[str, str], ...] = ()
        if (seconds := getattr(failure, "retry_after", None)) is not None:
            trailing = (("retry-after", str(max(1, math.ceil(seconds)))),)
        details = FAILED if status is INTERNAL else _sendable(str(failure))
        await context.abort(grpc.StatusCode[status.grpc], details, trailing)


def _call(context: Any, at_most: float) -> Call:
    left = context.time_remaining()
    seconds = at_most if left is None else min(left, at_most)
    pairs = context.invocation_metadata() or ()
    metadata = {key: value for key, value in pairs if isinstance(value, str)}
    return Call(time.monotonic() + seconds, metadata)


def _parsed(kind: Any, request: bytes) -> Any:
    try:
        return kind.FromString(request)
    except DecodeError as exc:
        name = kind.DESCRIPTOR.full_name
        raise RequestError(f"The message is no valid {name}.") from exc


def _sendable(text: str) -> str:
    """The text within what a client's gRPC takes; what it sent may be in it, at any length."""
    clipped = text if len(text) <= LONGEST_DETAILS else text[: LONGEST_DETAILS - 1] + "…"
    return clipped.encode("utf-8", "replace").decode()
