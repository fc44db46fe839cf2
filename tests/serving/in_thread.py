"""HTTP and gRPC servers in a thread of their own, for clients that block."""

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn


@dataclass(frozen=True)
class Ports:
    http: int
    grpc: int


@contextmanager
def listening(app: Any, make_rpc: Callable[[], Any]) -> Iterator[Ports]:
    """The ports on which `app`, and the gRPC server that `make_rpc` makes in the loop, listen."""
    ready, stop = threading.Event(), threading.Event()
    found: list[Ports] = []

    async def serve() -> None:
        config = uvicorn.Config(app, port=0, lifespan="off", log_level="error")
        http, sock, rpc = uvicorn.Server(config), config.bind_socket(), make_rpc()
        port = rpc.add_insecure_port("127.0.0.1:0")
        await rpc.start()
        serving = asyncio.create_task(http._serve([sock]))
        while not http.started:  # until then nothing listens
            await asyncio.sleep(0.01)
        found.append(Ports(sock.getsockname()[1], port))
        ready.set()
        await asyncio.to_thread(stop.wait)
        http.should_exit = True
        await serving
        await rpc.stop(None)
        sock.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(10)
        yield found[0]
    finally:
        gc.collect()  # tritonclient's __del__ works in the thread that made the client only
        stop.set()
        thread.join(10)
