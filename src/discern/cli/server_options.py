"""Options that the servers share, and what is made of them."""

import logging
import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from discern.errors import ConfigError

if TYPE_CHECKING:
    from discern.serving.listening import Listen
    from discern.serving.settings import ServeSettings

LISTENING = "Listening"

Host = Annotated[
    str, typer.Option(help="Address to listen on; 0.0.0.0 for all.", rich_help_panel=LISTENING)
]
Port = Annotated[int, typer.Option(min=0, max=65535, rich_help_panel=LISTENING)]
Processes = Annotated[
    int,
    typer.Option(
        min=1,
        help="Server processes that share the cores; where there are more than one process uses.",
        rich_help_panel=LISTENING,
    ),
]
Config = Annotated[
    Path | None, typer.Option(help="Settings in TOML: limits, queue, access, fetch.")
]
KeysFile = Annotated[
    Path | None,
    typer.Option("--keys", help="Ask for an API key; a file of `discern api-key`'s lines."),
]
RootPath = Annotated[
    str,
    typer.Option(help="The path a proxy serves this under.", rich_help_panel=LISTENING),
]
TlsCert = Annotated[
    Path | None, typer.Option(help="Certificate chain, PEM.", rich_help_panel=LISTENING)
]
TlsKey = Annotated[Path | None, typer.Option(help="Its key, PEM.", rich_help_panel=LISTENING)]


def settings(config: Path | None, keys: Path | None) -> "ServeSettings":
    """The servers' settings from a TOML file and the options."""
    from discern.config import read_settings
    from discern.serving.settings import ServeSettings

    read = read_settings(ServeSettings, config) if config else ServeSettings()
    return replace(read, access=replace(read.access, keys_file=str(keys))) if keys else read


def listen(
    host: str,
    port: int,
    root_path: str,
    certificate: Path | None,
    key: Path | None,
    processes: int,
) -> "Listen":
    """Where to listen; ConfigError for half a certificate, or a root path that is none."""
    from discern.serving.listening import Listen

    if (certificate is None) != (key is None):
        raise ConfigError("TLS needs both --tls-cert and --tls-key.")
    for file in (certificate, key):
        if file is not None and not file.is_file():
            raise ConfigError(f"{file}: there is no such file.")
    if root_path and not root_path.startswith("/"):
        raise ConfigError(f"--root-path {root_path!r} must begin with a slash.")
    return Listen(host, port, root_path.rstrip("/"), certificate, key, processes=processes)


def open_port(listen: "Listen") -> socket.socket:
    """The listening socket, from here on in as many processes as there are to be."""
    from discern.serving.listening import bound
    from discern.serving.processes import spread_over

    sock = bound(listen)
    if listen.shared:
        spread_over(listen.processes)
    return sock


def address(listen: "Listen") -> str:
    """What to type into a browser on this machine."""
    scheme = "https" if listen.certificate else "http"
    host = "127.0.0.1" if listen.host in ("0.0.0.0", "::") else listen.host
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{host}:{listen.port}{listen.root_path}"


def set_up_logging() -> None:
    """The servers' own messages as JSON on stderr; a line for each request goes to stdout."""
    from discern.serving.access_log import JsonFormatter

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("discern").setLevel(logging.INFO)
