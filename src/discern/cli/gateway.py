"""`discern gateway`: the API and the page in front of model servers."""

import os
from pathlib import Path
from typing import Annotated

import typer

from discern.cli import options, server_options
from discern.cli.terminal import Terminal


def gateway(
    upstream: Annotated[
        list[str],
        typer.Option(
            help="grpc://HOST:PORT (discern, Triton, OpenVINO Model Server) or "
            "tf-serving://HOST:PORT; repeat it for several."
        ),
    ],
    model: Annotated[
        Path | None,
        typer.Option(help="The model's folder, where the upstream is not discern's own."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The model's name, where the upstream has several.")
    ] = None,
    host: server_options.Host = "127.0.0.1",
    port: server_options.Port = 9696,
    processes: server_options.Processes = 1,
    config: server_options.Config = None,
    keys: server_options.KeysFile = None,
    root_path: server_options.RootPath = "",
    tls_cert: server_options.TlsCert = None,
    tls_key: server_options.TlsKey = None,
    quiet: options.Quiet = False,
) -> None:
    """Decode and resize pictures here, and let model servers do the inference.

    DISCERN_UPSTREAM_KEY holds the API key that the model servers ask for, if they do.
    """
    settings = server_options.settings(config, keys)
    listen = server_options.listen(host, port, root_path, tls_cert, tls_key, processes)
    server_options.set_up_logging()
    sock = server_options.open_port(listen)

    from discern.serving.app import build_app, make_parts
    from discern.serving.gateway import UpstreamCatalog
    from discern.serving.process import run

    parts = make_parts(settings)
    catalog = UpstreamCatalog(
        upstream,
        parts.workers,
        settings,
        parts.metrics,
        model=model,
        name=name,
        key=os.environ.get("DISCERN_UPSTREAM_KEY"),
    )

    def ready() -> None:
        at = server_options.address(listen)
        Terminal(quiet=quiet).say(f"Gateway to {', '.join(upstream)} at {at}   Ctrl-C to stop")

    run(build_app(catalog, parts), catalog, parts, listen, sock, on_ready=ready)
