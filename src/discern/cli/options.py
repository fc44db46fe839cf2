"""Options that several commands share, spelled once."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from discern.config import DEVICES, ENGINES, PRECISIONS
from discern.errors import ConfigError

DATA, RUNNING, OUTPUT = "Reading the data", "Running the network", "Output"
TRAINING, PROMISES = "Training", "What the answers promise"

Json = Annotated[
    bool, typer.Option("--json", help="One JSON document on stdout.", rich_help_panel=OUTPUT)
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Say nothing but errors.", rich_help_panel=OUTPUT)
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace an output that exists.", rich_help_panel=OUTPUT)
]
Engine = Annotated[
    str,
    typer.Option(help=f"auto (the fastest here), {', '.join(ENGINES)}.", rich_help_panel=RUNNING),
]
Precision = Annotated[
    str,
    typer.Option(
        help=f"auto, {', '.join(PRECISIONS)}; bf16 only runs where it agrees with f32.",
        rich_help_panel=RUNNING,
    ),
]


def _known_device(name: str) -> str:
    if name not in DEVICES:
        raise ConfigError(f"--device {name!r} is unknown. Devices: {', '.join(DEVICES)}.")
    return name


Device = Annotated[
    str,
    typer.Option(callback=_known_device, help=f"{', '.join(DEVICES)}.", rich_help_panel=RUNNING),
]
Coverage = Annotated[
    float | None,
    typer.Option(
        help="How often a set of labels must hold the true one, such as 0.9; "
        "default: as the model was calibrated for.",
        rich_help_panel=PROMISES,
    ),
]
Backbone = Annotated[
    str | None,
    typer.Option(
        help="A short name (convnext_nano, resnet50, mobilenetv2, …), any timm name, "
        "hf-hub:OWNER/MODEL or local-dir:FOLDER.",
        rich_help_panel=TRAINING,
    ),
]
Weights = Annotated[str | None, typer.Option(help="pretrained, or none.", rich_help_panel=TRAINING)]
ImageSize = Annotated[
    int | None, typer.Option(help="Side of the network's input.", rich_help_panel=TRAINING)
]
Seed = Annotated[
    int | None, typer.Option(help="Of the splits and of training.", rich_help_panel=TRAINING)
]
Config = Annotated[
    Path | None, typer.Option(help="Settings in TOML; options here win.", rich_help_panel=TRAINING)
]
LeakCheck = Annotated[
    bool | None,
    typer.Option(
        "--leak-check/--no-leak-check",
        help="Look for copies of one picture, also resized or cropped ones: no score is taken on "
        "a copy of a training picture unsaid.",
        rich_help_panel=DATA,
    ),
]
Metadata = Annotated[
    str | None,
    typer.Option(
        help="Facts beside the picture: columns of the table, with commas between, or exif.",
        rich_help_panel=DATA,
    ),
]
Data = Annotated[
    str,
    typer.Argument(
        help="A folder of pictures by class, a table, an archive, arrays, shards, or a URL."
    ),
]
Layout = Annotated[
    str | None,
    typer.Option(
        help="How to read DATA: folder, table, archive, competition, cifar, numpy, parquet, "
        "webdataset.",
        rich_help_panel=DATA,
    ),
]
Labels = Annotated[
    str | None, typer.Option(help="CIFAR-100's: fine (default), coarse.", rich_help_panel=DATA)
]


def _level(text: str) -> int | Literal["deepest"]:
    if text == "deepest":
        return "deepest"
    if not text.isdecimal():
        raise ConfigError(f"--level {text!r} is no level. Write 1, 2, …, or deepest.")
    return int(text)


Level = Annotated[
    Any,
    typer.Option(
        parser=_level,
        metavar="N",
        help="Which of nested folders are classes: 1 (default), 2, …, or deepest.",
        rich_help_panel=DATA,
    ),
]
ImageColumn = Annotated[
    str | None, typer.Option(help="The table's column of paths or ids.", rich_help_panel=DATA)
]
LabelColumn = Annotated[
    str | None, typer.Option(help="The table's column of labels.", rich_help_panel=DATA)
]
SplitColumn = Annotated[
    str | None, typer.Option(help="The table's column of splits.", rich_help_panel=DATA)
]
GroupColumn = Annotated[
    str | None,
    typer.Option(
        help="The table's column of groups that must stay in one split.", rich_help_panel=DATA
    ),
]
Images = Annotated[
    str | None, typer.Option(help="The folder of the table's pictures.", rich_help_panel=DATA)
]
Exclude = Annotated[
    list[str] | None, typer.Option(help="A class to leave out.", rich_help_panel=DATA)
]

_UNITS = {"s": 1, "m": 60, "h": 3600}


def duration(text: str) -> float:
    """Seconds of "90", "90s", "10m" or "1h30m"; ConfigError for anything else."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = re.findall(r"(\d+(?:\.\d+)?)([smh])", text)
    if not parts or "".join(n + unit for n, unit in parts) != text:
        raise ConfigError(f"--budget {text!r} is no duration. Write it as 90s, 10m or 1h30m.")
    return sum(float(n) * _UNITS[unit] for n, unit in parts)


def given(flags: dict[str, Any]) -> dict[str, Any]:
    """The flags that were given, without empty groups."""
    nested = {k: given(v) if isinstance(v, dict) else v for k, v in flags.items()}
    return {key: value for key, value in nested.items() if value is not None and value != {}}


def names(text: str | None) -> tuple[str, ...]:
    """The names in a list with commas; empty where it is not given."""
    return () if text is None else tuple(filter(None, map(str.strip, text.split(","))))
