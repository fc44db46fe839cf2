"""`discern deploy gke`: the Kubernetes target, its cluster and scripts."""

from typing import Annotated

import typer

from discern.cli import options
from discern.cli.deploy import target
from discern.cli.terminal import Terminal


def gke(
    model: target.Model,
    output: target.Output,
    model_bucket: Annotated[
        str,
        typer.Option(
            help="A Cloud Storage bucket that the model server takes models from, by a role that "
            "may read it and nothing else; default: the model is in the image.",
            rich_help_panel=target.MODEL_PANEL,
        ),
    ] = "",
    name: target.Name = None,
    registry: target.Registry = "",
    wheel: target.Wheel = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Everything for Google's GKE: cluster, images, manifests, scripts, and Terraform."""
    from discern.deploy.gke import gke_files

    terminal = Terminal(as_json, quiet)
    subject = target.subject_of(model, name, registry, terminal)
    target.finish(terminal, gke_files(subject, model_bucket, wheel), output, overwrite)
