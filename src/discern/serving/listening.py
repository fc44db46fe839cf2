"""Where a server listens."""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from discern.errors import ServingError

BACKLOG = 2048  # connections that the kernel keeps until they are taken


@dataclass(frozen=True)
class Listen:
    """Where to listen for HTTP, and how."""

    host: str
    port: int
    root_path: str = ""
    certificate: Path | None = None
    key: Path | None = None
    processes: int = 1

    @property
    def shared(self) -> bool:
        """With other processes: what comes before this one is ready is for them to take."""
        return self.processes > 1


@dataclass(frozen=True)
class GrpcListen:
    """Where to listen for gRPC; `make` gives the server once the event loop runs."""

    host: str
    port: int
    make: Callable[[], Any]


def bound(listen: Listen) -> socket.socket:
    """A listening socket; ServingError if the port cannot be had."""
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((listen.host, listen.port))
        sock.listen(BACKLOG)
    except (OSError, OverflowError) as exc:
        sock.close()
        raise ServingError(
            f"Cannot listen on {listen.host} port {listen.port}: {exc}. Choose another --port."
        ) from exc
    return sock
