"""`discern explain`: where in a picture the answer came from."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from discern.cli import options
from discern.cli.terminal import Terminal

if TYPE_CHECKING:
    from PIL import Image

    from discern.model.explain import HeatMap


def explain(
    model: Annotated[Path, typer.Argument(help="A model folder.")],
    picture: Annotated[str, typer.Argument(help="A file or a URL.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Write the picture with its heat as a PNG.")
    ],
    label: Annotated[
        str | None, typer.Option(help="What to look for; default: the model's own answer.")
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            help="cam (one run of the graph), occlusion (some dozens; works for every backbone), "
            "or auto: cam where the backbone allows it."
        ),
    ] = "auto",
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Show which places of a picture spoke for a label."""
    from discern.cli.output_file import output_file
    from discern.errors import ConfigError
    from discern.images.overlay import overlay, png
    from discern.model import load
    from discern.model.explain import Explainer

    if output.suffix.lower() != ".png":
        raise ConfigError(f"-o {output}: heat maps are written as PNG. Name it *.png.")
    terminal = Terminal(as_json, quiet)
    explainer = Explainer.of(load(model))
    with output_file(output, "-o", overwrite) as file, _named(picture):
        data = _data(picture)
        found = explainer.explain(data, label, method, progress=terminal)
        file.buffer.write(png(overlay(_shown(data), found.heat)))
    document = {
        "picture": picture,
        "label": found.label,
        "probability": round(found.probability, 6),
        "method": found.method,
        "heat": bool(found.heat.any()),
        "output": str(output),
    }
    terminal.result(_summary(found, output), document)


def _summary(found: "HeatMap", output: Path) -> str:
    answer = f"{found.probability:.1%}  {found.label}"
    if not found.heat.any():
        return f"{answer}: nothing that is seen of the picture spoke for it (by {found.method})."
    return f"{answer}: what spoke for it, by {found.method}: {output}"


@contextmanager
def _named(picture: str) -> Iterator[None]:
    """Say in an error which picture it is about."""
    from discern.errors import PictureError

    try:
        yield
    except PictureError as exc:
        raise type(exc)(f"{picture}: {exc}") from exc


def _data(name: str) -> bytes:
    """The picture's file, read or fetched once."""
    from discern.cli.pictures import picture
    from discern.images import read_bytes

    chosen = picture(name)
    return chosen() if callable(chosen) else read_bytes(name)


def _shown(data: bytes) -> "Image.Image":
    """The upright picture, no larger than the heat over it is drawn."""
    from discern.images import decode
    from discern.images.overlay import MOST_PIXELS

    image = decode(data, at_least=(MOST_PIXELS, MOST_PIXELS))
    image.thumbnail((MOST_PIXELS, MOST_PIXELS))
    return image
