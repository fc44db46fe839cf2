"""gRPC as every protocol uses it: errors, deadlines, clients that go away, bounds, health."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from discern.errors import OverloadedError, PictureLimitError, RateLimitedError, UnauthorisedError
from discern.serving.metrics import Metrics
from discern.serving.protocols.grpc_health import grpc_service as health_service
from discern.serving.protocols.grpc_server import (
    CALLS_PER_PICTURE,
    FEWEST_CALLS,
    LONGEST_DETAILS,
    Admit,
    Call,
    Handler,
    admit_all,
    create_grpc_server,
    service,
)
from discern.serving.protocols.messages import message
from discern.serving.settings import MEBIBYTE, QueueSettings, RequestLimits, ServeSettings

SERVICE = "inference.GRPCInferenceService"
READY = f"/{SERVICE}/ModelReady"
Ask = Callable[..., Awaitable[Any]]


def request(name: str = "clothes") -> bytes:
    data: bytes = message("inference.ModelReadyRequest")(name=name).SerializeToString()
    return data


@asynccontextmanager
async def serving(
    services: list[grpc.GenericRpcHandler], settings: ServeSettings = ServeSettings()
) -> AsyncIterator[grpc.aio.Channel]:
    server = create_grpc_server(services, settings)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
    finally:
        await server.stop(None)


def ask(
    handler: Handler,
    data: bytes | None = None,
    settings: ServeSettings = ServeSettings(),
    metrics: Metrics | None = None,
    admit: Admit = admit_all,
    **options: Any,
) -> Any:
    """The answer's `ready`, or the error, of one call of ModelReady."""

    async def run() -> Any:
        services = [
            service(SERVICE, {"ModelReady": handler}, settings, metrics or Metrics(), admit)
        ]
        async with serving(services, settings) as channel:
            try:
                answer = await channel.unary_unary(READY)(
                    request() if data is None else data, timeout=5, **options
                )
            except grpc.aio.AioRpcError as error:
                return error
            return message("inference.ModelReadyResponse").FromString(answer).ready

    return asyncio.run(run())


def raising(error: Exception) -> Handler:
    async def handler(_request: Any, _call: Call) -> Any:
        raise error

    return handler


async def yes(_request: Any, _call: Call) -> Any:
    return message("inference.ModelReadyResponse")(ready=True)


def test_a_handler_gets_the_message_the_metadata_and_a_deadline() -> None:
    seen: list[Any] = []

    async def handler(request: Any, call: Call) -> Any:
        seen.append((request.name, call.metadata["x-request-id"], call.deadline - time.monotonic()))
        return await yes(request, call)

    limits = ServeSettings(limits=RequestLimits(seconds=2.0))
    metadata = (("x-request-id", "7"), ("secret-bin", b"\xff"))
    assert ask(handler, settings=limits, metadata=metadata) is True
    (name, number, left) = seen[0]
    assert (name, number) == ("clothes", "7")
    assert 1.0 < left <= 2.0  # the server's limit is nearer than the client's 5 seconds


def test_an_error_becomes_its_status_with_retry_advice() -> None:
    metrics = Metrics()
    error = ask(raising(OverloadedError("Busy.", retry_after=1.4)), metrics=metrics)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert error.details() == "Busy."
    assert dict(error.trailing_metadata())["retry-after"] == "2"
    text = metrics.text().decode()
    assert f'discern_requests_total{{route="{READY}",status="RESOURCE_EXHAUSTED"}} 1.0' in text
    assert 'discern_errors_total{kind="overloaded"} 1.0' in text


def test_an_unforeseen_error_is_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        error = ask(raising(ZeroDivisionError("/home/secret")))
    assert error.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in error.details()
    assert "Traceback" in caplog.text
    assert "/home/secret" in caplog.text


@pytest.mark.parametrize("text", ["é" * 50_000, "\ud800 and \x00", "line\nline"])
def test_any_message_reaches_the_client(text: str) -> None:
    error = ask(raising(PictureLimitError(text)))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert 0 < len(error.details()) <= LONGEST_DETAILS


def test_bytes_that_are_no_message_are_the_clients_error() -> None:
    error = ask(yes, data=b"\xff\xff\xff")
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details() == "The message is no valid inference.ModelReadyRequest."


def test_a_message_beyond_the_limit_is_refused() -> None:
    small = ServeSettings(limits=RequestLimits(body_bytes=1000))
    error = ask(yes, data=request("a" * 2000), settings=small)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_messages_held_at_the_same_time_are_bounded() -> None:
    small = ServeSettings(queue=QueueSettings(body_bytes=1000))
    assert ask(yes, data=request("a" * 900), settings=small) is True
    error = ask(yes, data=request("a" * 1100), settings=small)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "retry-after" in dict(error.trailing_metadata())


def test_a_method_without_a_handler_is_unimplemented() -> None:
    async def run() -> Any:
        async with serving([service(SERVICE, {}, ServeSettings(), Metrics())]) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await channel.unary_unary(READY)(request())
            return caught.value.code()

    assert asyncio.run(run()) is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (UnauthorisedError("A key is needed."), grpc.StatusCode.UNAUTHENTICATED),
        (RateLimitedError("Too often.", 3.0), grpc.StatusCode.RESOURCE_EXHAUSTED),
    ],
)
def test_who_is_not_admitted_is_not_read(refusal: Exception, code: grpc.StatusCode) -> None:
    def admit(metadata: Mapping[str, str], peer: str) -> None:
        assert "127.0.0.1" in peer
        if metadata.get("x-api-key") != "k":
            raise refusal

    error = ask(yes, data=b"\xff", admit=admit)
    assert error.code() is code
    assert ask(yes, admit=admit, metadata=(("x-api-key", "k"),)) is True


def test_a_client_that_hangs_up_cancels_the_work() -> None:
    async def run() -> str:
        started, cancelled, metrics = asyncio.Event(), asyncio.Event(), Metrics()

        async def handler(_request: Any, _call: Call) -> Any:
            started.set()
            try:
                await asyncio.sleep(60)
            finally:
                cancelled.set()

        services = [service(SERVICE, {"ModelReady": handler}, ServeSettings(), metrics)]
        async with serving(services) as channel:
            call = channel.unary_unary(READY)(request())
            await started.wait()
            call.cancel()
            await asyncio.wait_for(cancelled.wait(), 5)
        return metrics.text().decode()

    text = asyncio.run(run())
    assert 'status="CANCELLED"} 1.0' in text
    assert 'discern_errors_total{kind="client-closed"} 1.0' in text


def test_a_deadline_of_the_client_cancels_the_work() -> None:
    async def run() -> Any:
        cancelled = asyncio.Event()

        async def handler(_request: Any, _call: Call) -> Any:
            try:
                await asyncio.sleep(60)
            finally:
                cancelled.set()

        services = [service(SERVICE, {"ModelReady": handler}, ServeSettings(), Metrics())]
        async with serving(services) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await channel.unary_unary(READY)(request(), timeout=0.2)
            await asyncio.wait_for(cancelled.wait(), 5)
        return caught.value.code()

    assert asyncio.run(run()) is grpc.StatusCode.DEADLINE_EXCEEDED


def test_more_calls_than_there_is_room_for_are_refused_at_once() -> None:
    settings = ServeSettings(queue=QueueSettings(pictures_per_core=1))
    room = max(FEWEST_CALLS, CALLS_PER_PICTURE * settings.queue.capacity())

    async def run() -> list[Any]:
        release, running = asyncio.Event(), 0

        async def handler(request: Any, call: Call) -> Any:
            nonlocal running
            running += 1
            assert running <= room
            await release.wait()
            running -= 1
            return await yes(request, call)

        services = [service(SERVICE, {"ModelReady": handler}, settings, Metrics())]
        async with serving(services, settings) as channel:
            calls = [channel.unary_unary(READY)(request()) for _ in range(room + 50)]
            codes = [asyncio.ensure_future(call.code()) for call in calls]
            first, _ = await asyncio.wait(codes, return_when=asyncio.FIRST_COMPLETED)
            release.set()
            return [await code for code in [*first, *codes]]

    codes = asyncio.run(run())
    assert codes[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert set(codes) == {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}


def test_a_port_that_is_taken_is_an_error() -> None:
    async def run() -> None:
        first = create_grpc_server([], ServeSettings())
        port = first.add_insecure_port("127.0.0.1:0")
        await first.start()
        second = create_grpc_server([], ServeSettings())
        try:
            with pytest.raises(RuntimeError):
                second.add_insecure_port(f"127.0.0.1:{port}")
        finally:
            await first.stop(None)
            await second.stop(None)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("name", "expected"), [("", 2), (SERVICE, 2), ("no.such.Service", "NOT_FOUND")]
)
def test_the_standard_health_check(name: str, expected: int | str) -> None:
    async def run() -> Any:
        check = "/grpc.health.v1.Health/Check"
        question = message("grpc.health.v1.HealthCheckRequest")(service=name).SerializeToString()
        async with serving([health_service(lambda: False, ServeSettings(), Metrics())]) as channel:
            try:
                answer = await channel.unary_unary(check)(question)
            except grpc.aio.AioRpcError as error:
                return error.code().name
            return message("grpc.health.v1.HealthCheckResponse").FromString(answer).status

    assert asyncio.run(run()) == expected


def test_large_messages_pass() -> None:
    async def handler(request: Any, _call: Call) -> Any:
        return message("inference.ModelReadyResponse")(ready=len(request.name) == 40 * MEBIBYTE)

    assert ask(handler, data=request("a" * 40 * MEBIBYTE)) is True
