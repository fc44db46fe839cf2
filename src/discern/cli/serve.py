"""`discern serve`: a model folder as an API and a page."""

from pathlib import Path
from typing import Annotated

import typer

from discern.cli import options, server_options
from discern.cli.terminal import Terminal


def serve(
    model: Annotated[Path, typer.Argument(help="A model folder.")],
    host: server_options.Host = "127.0.0.1",
    port: server_options.Port = 8000,
    processes: server_options.Processes = 1,
    config: server_options.Config = None,
    keys: server_options.KeysFile = None,
    root_path: server_options.RootPath = "",
    tls_cert: server_options.TlsCert = None,
    tls_key: server_options.TlsKey = None,
    engine: options.Engine = "auto",
    precision: options.Precision = "auto",
    device: options.Device = "auto",
    quiet: options.Quiet = False,
) -> None:
    """Serve a model: an HTTP API, Prometheus metrics, and a page to try it on."""
    settings = server_options.settings(config, keys)
    listen = server_options.listen(host, port, root_path, tls_cert, tls_key, processes)
    server_options.set_up_logging()
    sock = server_options.open_port(listen)

    from discern.serving.app import build_app, make_parts
    from discern.serving.local import ModelSettings, Opener
    from discern.serving.process import run
    from discern.serving.single import SingleModel

    parts = make_parts(settings)
    how = ModelSettings(engine=engine, precision=precision, device=device)
    catalog = SingleModel(model, Opener(parts.workers, settings, parts.metrics), parts.metrics, how)

    def ready() -> None:
        terminal = Terminal(quiet=quiet)
        at = server_options.address(listen)
        terminal.say(f"{catalog.name} {catalog.version} is served at {at}")
        terminal.say(f"  curl -F file=@picture.jpg {at}/predict")
        terminal.say(f"  {at}/docs   {at}/metrics   Ctrl-C to stop")

    run(build_app(catalog, parts), catalog, parts, listen, sock, on_ready=ready)
