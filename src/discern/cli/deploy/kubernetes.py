"""`discern deploy kubernetes`: a gateway and a model tier that scale apart, with Kustomize."""

from typing import Annotated

import typer

from discern.cli import options
from discern.cli.deploy import target
from discern.cli.terminal import Terminal


def kubernetes(
    model: target.Model,
    output: target.Output,
    tier: Annotated[
        str, typer.Option(help="Behind the gateway: discern, triton, ovms, tf-serving, kserve.")
    ] = "discern",
    model_from: Annotated[
        str, typer.Option(help="Where model servers get it: image, volume, object-store.")
    ] = "image",
    gpu: Annotated[
        bool, typer.Option("--gpu", help="A card for each model server: triton, tf-serving.")
    ] = False,
    name: target.Name = None,
    registry: target.Registry = "",
    wheel: target.Wheel = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Kubernetes: a Kustomize base, and overlays for kind, Amazon's EKS and Google's GKE."""
    from discern.deploy.kubernetes import kubernetes_files

    terminal = Terminal(as_json, quiet)
    subject = target.subject_of(model, name, registry, terminal)
    files = kubernetes_files(subject, tier, model_from, gpu, wheel)
    target.finish(terminal, files, output, overwrite)
