"""A server process: listening from the start, ready when loaded, drained when told to stop."""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from discern.errors import ServingError
from discern.serving.app import Parts, close
from discern.serving.catalog import Catalog
from discern.serving.connection import GuardedConnection
from discern.serving.listening import GrpcListen, Listen

log = logging.getLogger("discern.serving")

KEEP_ALIVE_SECONDS = 75  # longer than load balancers keep theirs, so that they close first


def run(
    app: ASGIApp,
    catalog: Catalog,
    parts: Parts,
    listen: Listen,
    sock: socket.socket,
    grpc: GrpcListen | None = None,
    on_ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve on a socket of `bound` until SIGTERM or SIGINT; raises what `catalog.start` raises."""
    _allow_many_connections()
    runner = asyncio.Runner(loop_factory=_loop_factory())
    with contextlib.closing(sock), runner:
        runner.run(_serve(app, catalog, parts, listen, sock, grpc, on_ready))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ModuleNotFoundError:  # Windows
        return None
    return uvloop.new_event_loop


def _allow_many_connections() -> None:
    """As many open files as the system lets this process have; the usual 1,024 are soon gone."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class _Server(uvicorn.Server):
    """uvicorn's server, which leaves signals to us: there may be a gRPC server to drain too."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _serve(
    app: ASGIApp,
    catalog: Catalog,
    parts: Parts,
    listen: Listen,
    sock: socket.socket,
    grpc: GrpcListen | None,
    on_ready: Callable[[], None],
) -> None:
    server, stop = _Server(_config(app, parts, listen)), asyncio.Event()
    _listen_to_signals(server, stop)
    serving = asyncio.create_task(server.serve(sockets=[sock]))
    serving.add_done_callback(lambda _task: stop.set())
    rpc = None
    try:
        rpc = await _start_grpc(grpc, listen)
        if await _started(catalog, stop):
            on_ready()
            await stop.wait()
    finally:
        await _drain(parts, server, serving, rpc)
        await catalog.stop()
        await close(parts)


def _config(app: ASGIApp, parts: Parts, listen: Listen) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=GuardedConnection,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        root_path=listen.root_path,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(parts.settings.drain_seconds),
        forwarded_allow_ips=listen.trusted_proxies,
        ssl_certfile=listen.certificate,
        ssl_keyfile=listen.key,
    )


async def _start_grpc(grpc: GrpcListen | None, listen: Listen) -> Any:
    if grpc is None:
        return None
    server = grpc.make()
    at = f"{grpc.host}:{grpc.port}"
    try:
        if listen.certificate and listen.key:
            server.add_secure_port(at, _credentials(listen.certificate, listen.key))
        else:
            server.add_insecure_port(at)
    except RuntimeError as exc:
        raise ServingError(
            f"Cannot listen on {grpc.host} port {grpc.port}. Choose another --grpc-port."
        ) from exc
    await server.start()
    return server


def _credentials(certificate: Path, key: Path) -> Any:
    import grpc

    return grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])


async def _started(catalog: Catalog, stop: asyncio.Event) -> bool:
    """Whether the catalog is loaded; False if the process was told to stop before."""
    starting = asyncio.create_task(catalog.start())
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait((starting, stopped), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if starting.done():
        await starting  # raises what it raised
        return True
    starting.cancel()
    return False


def _listen_to_signals(server: uvicorn.Server, stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def told(name: str) -> None:
        if stop.is_set():  # told twice: do not wait for anything
            server.force_exit = True
        log.info("%s: finishing what is under way", name)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told, number.name)


async def _drain(
    parts: Parts, server: uvicorn.Server, serving: asyncio.Task[None], rpc: Any
) -> None:
    """Say not ready, go on answering until load balancers have noticed, then finish."""
    parts.draining = True
    if not server.force_exit:
        await asyncio.sleep(parts.settings.linger_seconds)
    server.should_exit = True
    if rpc is not None:
        await rpc.stop(parts.settings.drain_seconds)
    await serving
