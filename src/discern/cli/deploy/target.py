"""What every target takes, and how it ends."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from discern.cli.terminal import Terminal

if TYPE_CHECKING:
    from discern.deploy.rendering import Files
    from discern.deploy.subject import Subject

MODEL_PANEL = "What is deployed"

Model = Annotated[Path, typer.Argument(help="A model folder.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="The folder to write.")]
Name = Annotated[
    str | None,
    typer.Option(
        help="What it is called there; default: the model folder's name.",
        rich_help_panel=MODEL_PANEL,
    ),
]
Registry = Annotated[
    str,
    typer.Option(
        help="Where images are pushed to, such as eu.example.org/team.",
        rich_help_panel=MODEL_PANEL,
    ),
]
Wheel = Annotated[
    Path | None,
    typer.Option(
        help="A wheel of discern for the images; default: this version from the package index.",
        rich_help_panel=MODEL_PANEL,
    ),
]


def subject_of(model: Path, name: str | None, registry: str, terminal: Terminal) -> "Subject":
    """Load the model and measure what it takes."""
    from discern.deploy.subject import read_subject

    with terminal.stage("measuring what the model takes", None):
        return read_subject(model, name, registry)


def finish(terminal: Terminal, files: "Files", output: Path, overwrite: bool) -> None:
    """Write the files and say where to go on."""
    from discern.deploy.rendering import README, write

    write(files, output, overwrite)
    said = sorted(name for name in files if not name.startswith("models/"))
    terminal.result(
        f"Wrote {len(files)} files to {output}. Go on with {output / README}",
        {"output": str(output), "files": said},
    )
