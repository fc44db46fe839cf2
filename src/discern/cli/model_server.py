"""`discern model-server`: a repository of models for gateways and other protocols' clients."""

from pathlib import Path
from typing import Annotated

import typer

from discern.cli import options, server_options
from discern.cli.terminal import Terminal


def model_server(
    repository: Annotated[
        Path, typer.Argument(help="A folder of <name>/<version>/ model folders.")
    ],
    host: server_options.Host = "127.0.0.1",
    grpc_port: server_options.Port = 8500,
    http_port: server_options.Port = 8501,
    poll: Annotated[float, typer.Option(min=0.1, help="Seconds between looks for versions.")] = 2.0,
    processes: server_options.Processes = 1,
    config: server_options.Config = None,
    keys: server_options.KeysFile = None,
    tls_cert: server_options.TlsCert = None,
    tls_key: server_options.TlsKey = None,
    quiet: options.Quiet = False,
) -> None:
    """Serve all models of a repository, and take up new versions as they appear.

    Speaks TensorFlow Serving's and the Open Inference Protocol, REST and gRPC.
    """
    settings = server_options.settings(config, keys)
    listen = server_options.listen(host, http_port, "", tls_cert, tls_key, processes)
    server_options.set_up_logging()
    sock = server_options.open_port(listen)

    from discern.serving.app import build_app, make_parts
    from discern.serving.listening import GrpcListen
    from discern.serving.local import Opener
    from discern.serving.process import run
    from discern.serving.protocols.grpc_app import build_grpc_server
    from discern.serving.repository import FolderRepository

    parts = make_parts(settings)
    opener = Opener(parts.workers, settings, parts.metrics)
    catalog = FolderRepository(repository, opener, parts.metrics, poll)
    grpc = GrpcListen(
        host, grpc_port, lambda: build_grpc_server(catalog, parts, shared_port=listen.shared)
    )

    def ready() -> None:
        terminal = Terminal(quiet=quiet)
        names = ", ".join(f"{n} {s[-1].version}" for n, s in catalog.statuses().items() if s)
        terminal.say(f"{names} served at grpc://{host}:{grpc_port}")
        terminal.say(f"  and at {server_options.address(listen)}   Ctrl-C to stop")

    run(build_app(catalog, parts), catalog, parts, listen, sock, grpc, ready)
