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

KEEP_ALIVE_SECONDS = 620  # load balancers keep theirs up to 600, and must close first


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
    front = _Front(_Server(_config(app, parts, listen)), listen, sock, grpc)
    front.listen_to_signals()
    try:
        if not listen.shared:
            await front.open()
        if await _started(catalog, front.stop):
            if listen.shared:
                await front.open()
            on_ready()
            await front.stop.wait()
            parts.draining = True
            await front.linger(parts.settings.linger_seconds)
    finally:
        await front.close(parts.settings.drain_seconds)
        await catalog.stop()
        await close(parts)


class _Front:
    """What listens: for HTTP, for gRPC if it should, and for signals."""

    def __init__(
        self, http: _Server, listen: Listen, sock: socket.socket, grpc: GrpcListen | None
    ) -> None:
        self.stop = asyncio.Event()
        self._http, self._listen, self._sock, self._grpc = http, listen, sock, grpc
        self._serving: asyncio.Task[None] | None = None
        self._rpc: Any = None

    async def open(self) -> None:
        """Answer from now on; ServingError if the port for gRPC cannot be had."""
        self._serving = asyncio.create_task(self._http.serve(sockets=[self._sock]))
        self._serving.add_done_callback(lambda _task: self.stop.set())
        if self._grpc is not None:
            self._rpc = await _grpc_server(self._grpc, self._listen)

    async def linger(self, seconds: float) -> None:
        """Go on answering, though not ready, until load balancers have noticed."""
        if not self._http.force_exit:
            await asyncio.sleep(seconds)

    async def close(self, seconds: float) -> None:
        """Take nothing more, and give what is under way so much time."""
        self._http.should_exit = True
        if self._rpc is not None:
            await self._rpc.stop(seconds)
        if self._serving is not None:
            await self._serving

    def listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told, number.name)

    def _told(self, name: str) -> None:
        if self.stop.is_set():  # told twice: do not wait for anything
            self._http.force_exit = True
        log.info("%s: finishing what is under way", name)
        self.stop.set()


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
        forwarded_allow_ips=list(parts.settings.access.proxies),
        ssl_certfile=listen.certificate,
        ssl_keyfile=listen.key,
    )


async def _grpc_server(grpc: GrpcListen, listen: Listen) -> Any:
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
