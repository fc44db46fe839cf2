"""`discern deploy compose`: one machine, with Docker Compose."""

from typing import Annotated

import typer

from discern.cli import options
from discern.cli.deploy import target
from discern.cli.terminal import Terminal


def compose(
    model: target.Model,
    output: target.Output,
    tier: Annotated[
        str, typer.Option(help="Behind the gateway: discern, triton, ovms, tf-serving.")
    ] = "discern",
    monitoring: Annotated[
        bool, typer.Option("--monitoring", help="Prometheus with alerts, and a Grafana board.")
    ] = False,
    name: target.Name = None,
    registry: target.Registry = "",
    wheel: target.Wheel = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Gateway and model servers on one machine, with Docker Compose."""
    from discern.deploy.compose import compose_files

    terminal = Terminal(as_json, quiet)
    subject = target.subject_of(model, name, registry, terminal)
    files = compose_files(subject, tier, monitoring, wheel)
    target.finish(terminal, files, output, overwrite)
