"""`discern deploy images`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from discern.cli import options
from discern.cli.deploy import target
from discern.cli.terminal import Terminal
from discern.errors import ConfigError

if TYPE_CHECKING:
    from discern.deploy.rendering import Files


def images(
    output: target.Output,
    model: Annotated[
        Path | None,
        typer.Argument(help="A model folder; without one, images that take it from a volume."),
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            help="all-in-one, gateway, model-server, lambda; repeat it for several. Default: all."
        ),
    ] = None,
    sbom: Annotated[
        bool,
        typer.Option("--sbom", help="Also what lists an image's parts, in CycloneDX."),
    ] = False,
    name: target.Name = None,
    registry: target.Registry = "",
    wheel: target.Wheel = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Dockerfiles for a model, or for any: small, pinned, not root, without torch."""
    from discern.deploy import images as deploy
    from discern.deploy.rendering import README

    terminal = Terminal(as_json, quiet)
    if model is None:
        _refuse_names(name, registry)
        files = deploy.volume_image_files(kind or deploy.WITH_VOLUME, wheel, sbom=sbom)
    else:
        subject = target.subject_of(model, name, registry, terminal)
        files = deploy.image_files(subject, kind or deploy.KINDS, wheel, sbom=sbom)
    target.finish(terminal, _with_front_page(files, deploy.README, README), output, overwrite)


def _refuse_names(name: str | None, registry: str) -> None:
    if name or registry:
        raise ConfigError("--name and --registry are for images of a model. Give its folder.")


def _with_front_page(files: "Files", readme: str, front: str) -> "Files":
    """Here the images' own README is that of the whole folder."""
    return {front if name == readme else name: content for name, content in files.items()}
