"""`discern train`: pictures in, model folder out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from discern.cli import options
from discern.cli.terminal import Terminal

if TYPE_CHECKING:
    from discern.model import Model

TRAINING = "Training"


def train(
    data: Annotated[Path, typer.Argument(help="A folder of pictures by class, or a CSV.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The model folder to write.")],
    backbone: Annotated[
        str | None,
        typer.Option(
            help="A short name (convnext_nano, resnet50, mobilenetv2, …), any timm name, "
            "hf-hub:OWNER/MODEL or local-dir:FOLDER.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option(
            help="frozen (default: a head on frozen embeddings), finetune, or scratch.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Time to use, as 10m or 1h: frozen first, then as much fine-tuning as fits.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="pretrained, or none.", rich_help_panel=TRAINING)
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Side of the network's input.", rich_help_panel=TRAINING)
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Epochs of fine-tuning, at most.", rich_help_panel=TRAINING)
    ] = None,
    flip: Annotated[
        bool | None,
        typer.Option(
            "--flip/--no-flip",
            help="Mirror pictures when fine-tuning; not for text or digits.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    class_weights: Annotated[
        str | None,
        typer.Option(
            help="none (default: best accuracy, honest probabilities) or balanced.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of the splits and of training.", rich_help_panel=TRAINING)
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="Settings in TOML; options here win.", rich_help_panel=TRAINING),
    ] = None,
    engine: options.Engine = "auto",
    precision: options.Precision = "auto",
    device: options.Device = "auto",
    layout: options.Layout = None,
    image_column: options.ImageColumn = None,
    label_column: options.LabelColumn = None,
    split_column: options.SplitColumn = None,
    group_column: options.GroupColumn = None,
    images: options.Images = None,
    exclude: options.Exclude = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Train a classifier on a folder of pictures and write a model folder.

    Killed and started again with the same words, it goes on where it was.
    """
    from discern.config import TrainConfig, read_settings, settings_from
    from discern.data import load_dataset
    from discern.training import train as train_model

    flags: dict[str, Any] = {
        "backbone": backbone,
        "mode": mode,
        "budget": None if budget is None else options.duration(budget),
        "weights": weights,
        "image_size": image_size,
        "seed": seed,
        "engine": None if engine == "auto" else engine,
        "precision": None if precision == "auto" else precision,
        "device": None if device == "auto" else device,
        "split": {"seed": seed},
        "head": {"class_weights": class_weights},
        "finetune": {"epochs": epochs, "flip": flip},
    }
    base = read_settings(TrainConfig, config) if config else TrainConfig()
    settings = settings_from(TrainConfig, _given(flags), "options", base)
    terminal = Terminal(as_json, quiet)
    dataset = load_dataset(
        data,
        layout=layout,
        image_column=image_column,
        label_column=label_column,
        split_column=split_column,
        group_column=group_column,
        images=images,
        exclude=exclude or (),
    )
    model = train_model(dataset, output, settings, overwrite=overwrite, progress=terminal)
    terminal.result(_summary(model, data), _document(model))


def _given(flags: dict[str, Any]) -> dict[str, Any]:
    """The flags that were given, without empty groups."""
    nested = {k: _given(v) if isinstance(v, dict) else v for k, v in flags.items()}
    return {key: value for key, value in nested.items() if value is not None and value != {}}


def _document(model: "Model") -> dict[str, Any]:
    """The JSON form of the outcome."""
    info = model.info
    return {
        "model": str(model.path),
        "labels": info.labels,
        "backbone": info.backbone["name"],
        "mode": info.training["mode"],
        "temperature": info.temperature,
        "metrics": info.metrics,
        "left_out": info.training["left_out"],
        "seconds": info.training["seconds"],
    }


def _summary(model: "Model", data: Path) -> str:
    """What a person wants to know when training is over."""
    from discern.evaluation import Metrics

    info = model.info
    lines = [
        f"{split:<11}accuracy {m.accuracy}   macro F1 {m.macro_f1:.3f}   "
        f"log loss {m.log_loss:.3f}   calibration error {m.calibration_error:.3f}   n {m.n}"
        for split, m in ((s, Metrics.from_dict(dict(v))) for s, v in info.metrics.items())
    ]
    return "\n".join(
        [
            *lines,
            f"{model.path}  ({info.training['mode']}, {info.backbone['name']}, "
            f"{len(info.labels)} classes, {info.training['seconds']:.0f} s)",
            "",
            "Next:",
            f"  discern evaluate {model.path} {data} -o report.html",
            f"  discern predict {model.path} PICTURE…",
        ]
    )
