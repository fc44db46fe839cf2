"""One address of a model server, and the connection to it."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeVar

import grpc

from discern.errors import UpstreamError
from discern.serving.gateway.circuit import Circuit
from discern.serving.gateway.editions import Edition
from discern.serving.gateway.failures import reason
from discern.serving.gateway.upstreams import Upstream
from discern.serving.passing_on import PASSED_ON

T = TypeVar("T")

HANG_SECONDS = 0.5  # who is silent for less was perhaps not given enough time
FAULTS = frozenset(  # of the server's or the network's, whatever was asked
    [
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DATA_LOSS,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.UNIMPLEMENTED,
    ]
)
OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # A server that comes back is to be noticed within a second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 500),  # how long connecting may take, too
    ("grpc.max_reconnect_backoff_ms", 500),
    # A machine that vanishes does not close its connections.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.enable_http_proxy", 0),  # model servers are neighbours
    ("grpc.enable_retries", 0),  # who is asked next is decided here
]


class Address:
    """Where a model server listens: what it has, how it fares, and calls to it.

    Made in the event loop that uses it. `editions` is what the last look found there, `trouble`
    is set when its circuit opens.
    """

    def __init__(self, upstream: Upstream, ip: str) -> None:
        self.name = _host_port(ip, upstream.port)
        self.circuit = Circuit(self.name)
        self.editions: tuple[Edition, ...] = ()
        self.outstanding = 0
        self.asked_at = 0.0  # of time.monotonic(), the last time
        self.trouble = asyncio.Event()
        self._channel = _channel(upstream, ip)
        self._key = [("x-api-key", upstream.key)] if upstream.key else []
        self._methods: dict[str, Callable[..., Any]] = {}

    async def call(self, method: str, request: bytes, seconds: float) -> bytes:
        """A response's bytes; raises grpc.aio.AioRpcError."""
        if method not in self._methods:
            self._methods[method] = self._channel.unary_unary(method)
        metadata = [*PASSED_ON.get(), *self._key]
        response: bytes = await self._methods[method](request, timeout=seconds, metadata=metadata)
        return response

    async def ask(
        self, method: str, request: bytes, seconds: float, read: Callable[[bytes], T]
    ) -> T:
        """What `read` makes of the response; how it went decides how the address is used.

        Raises grpc.aio.AioRpcError, and UpstreamError if `read` does.
        """
        trial = self.circuit.begin()
        self.outstanding += 1
        self.asked_at = time.monotonic()
        try:
            answer = read(await self.call(method, request, seconds))
        except grpc.aio.AioRpcError as exc:
            if _is_fault(exc, seconds):
                self._failed(trial, reason(exc))
            else:
                self.circuit.answered()
            raise
        except UpstreamError as exc:
            self._failed(trial, str(exc))
            raise
        except BaseException:
            self.circuit.abandoned(trial)
            raise
        finally:
            self.outstanding -= 1
        self.circuit.answered()
        return answer

    async def close(self, seconds: float | None = None) -> None:
        """Hang up, after at most so many seconds for what is under way."""
        await self._channel.close(seconds)

    def _failed(self, trial: bool, why: str) -> None:
        self.circuit.failed(trial, why)
        if self.circuit.is_open:
            self.trouble.set()


def _is_fault(exc: grpc.aio.AioRpcError, seconds: float) -> bool:
    if exc.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return seconds >= HANG_SECONDS
    return exc.code() in FAULTS


def _host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _channel(upstream: Upstream, ip: str) -> grpc.aio.Channel:
    """A channel to this very address, which to the server is the upstream's name."""
    target = f"{'ipv6' if ':' in ip else 'ipv4'}:{_host_port(ip, upstream.port)}"
    authority = ("grpc.default_authority", _host_port(upstream.host, upstream.port))
    if not upstream.is_secure:
        return grpc.aio.insecure_channel(target, [*OPTIONS, authority])
    verified = ("grpc.ssl_target_name_override", upstream.host)
    credentials = grpc.ssl_channel_credentials()
    return grpc.aio.secure_channel(target, credentials, [*OPTIONS, authority, verified])
