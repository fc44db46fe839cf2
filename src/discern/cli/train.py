"""`discern train`: pictures in, model folder out."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from discern.cli import options
from discern.cli.terminal import Terminal

if TYPE_CHECKING:
    from discern.model import Model, ModelInfo


def train(
    data: options.Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="The model folder to write.")],
    backbone: options.Backbone = None,
    mode: Annotated[
        str | None,
        typer.Option(
            help="frozen (default: a head on frozen embeddings), finetune, or scratch.",
            rich_help_panel=options.TRAINING,
        ),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Time to use, as 10m or 1h: frozen first, then as much fine-tuning as fits.",
            rich_help_panel=options.TRAINING,
        ),
    ] = None,
    weights: options.Weights = None,
    image_size: options.ImageSize = None,
    epochs: Annotated[
        int | None,
        typer.Option(help="Epochs of fine-tuning, at most.", rich_help_panel=options.TRAINING),
    ] = None,
    flip: Annotated[
        bool | None,
        typer.Option(
            "--flip/--no-flip",
            help="Mirror pictures when fine-tuning, and in --views; not for text or digits.",
            rich_help_panel=options.TRAINING,
        ),
    ] = None,
    augment: Annotated[
        str | None,
        typer.Option(
            help="How much fine-tuning changes pictures: none, light (default) or strong; "
            "discern inspect --augment-preview shows it.",
            rich_help_panel=options.TRAINING,
        ),
    ] = None,
    views: Annotated[
        int | None,
        typer.Option(
            help="Forms of each training picture that a frozen head learns from: 1 (default), "
            "2: also mirrored, more: also crops.",
            rich_help_panel=options.TRAINING,
        ),
    ] = None,
    class_weights: Annotated[
        str | None,
        typer.Option(
            help="none (default: best accuracy, honest probabilities) or balanced.",
            rich_help_panel=options.TRAINING,
        ),
    ] = None,
    sampling: Annotated[
        str | None,
        typer.Option(
            help="How often fine-tuning shows each class: natural (default), balanced, "
            "square-root.",
            rich_help_panel=options.TRAINING,
        ),
    ] = None,
    logit_adjustment: Annotated[
        float | None,
        typer.Option(
            help="Answer for classes as frequent as in training (0, default), or all equally "
            "frequent (1), so that rare ones are found more often.",
            rich_help_panel=options.TRAINING,
        ),
    ] = None,
    coverage: options.Coverage = None,
    seed: options.Seed = None,
    config: options.Config = None,
    engine: options.Engine = "auto",
    precision: options.Precision = "auto",
    device: options.Device = "auto",
    layout: options.Layout = None,
    image_column: options.ImageColumn = None,
    label_column: options.LabelColumn = None,
    split_column: options.SplitColumn = None,
    group_column: options.GroupColumn = None,
    images: options.Images = None,
    labels: options.Labels = None,
    level: options.Level = None,
    exclude: options.Exclude = None,
    metadata: options.Metadata = None,
    leak_check: options.LeakCheck = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Train a classifier on a folder of pictures and write a model folder.

    Killed and started again with the same words, it goes on where it was.
    """
    from discern.cli.training_settings import training_settings
    from discern.data import load_dataset
    from discern.training import train as train_model

    flags: dict[str, Any] = {
        "backbone": backbone,
        "mode": mode,
        "budget": budget,
        "weights": weights,
        "image_size": image_size,
        "seed": seed,
        "metadata": metadata,
        "leak_check": leak_check,
        "engine": engine,
        "precision": precision,
        "device": device,
        "logit_adjustment": logit_adjustment,
        "head": {"class_weights": class_weights, "views": views},
        "finetune": {
            "epochs": epochs,
            "flip": flip,
            "class_weights": class_weights,
            "sampling": sampling,
            "augment": augment,
        },
        "proof": {"coverage": coverage},
    }
    settings = training_settings(config, flags)
    terminal = Terminal(as_json, quiet)
    dataset = load_dataset(
        data,
        layout=layout,
        image_column=image_column,
        label_column=label_column,
        split_column=split_column,
        group_column=group_column,
        images=images,
        labels=labels,
        level=level,
        exclude=exclude or (),
        metadata=settings.metadata,
        progress=terminal,
    )
    model = train_model(dataset, output, settings, overwrite=overwrite, progress=terminal)
    terminal.result(_summary(model, data), _document(model))


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
        "leaks": info.dataset["leaks"],
        "left_out": info.training["left_out"],
        "seconds": info.training["seconds"],
    }


def _summary(model: "Model", data: str) -> str:
    """What a person wants to know when training is over."""
    info = model.info
    return "\n".join(
        [
            *_scores(info),
            f"{model.path}  ({info.training['mode']}, {info.backbone['name']}, "
            f"{len(info.labels)} classes, {info.training['seconds']:.0f} s)",
            "",
            "Next:",
            f"  discern evaluate {model.path} {data} -o report.html",
            f"  discern predict {model.path} PICTURE…",
        ]
    )


def _scores(info: "ModelInfo") -> Iterator[str]:
    """A line for each split, and one without copies of training pictures where there are any."""
    from discern.evaluation import Metrics
    from discern.evaluation.leaks import line_without, recorded

    for split, values in info.metrics.items():
        m = Metrics.from_dict(dict(values))
        yield (
            f"{split:<11}accuracy {m.accuracy}   macro F1 {m.macro_f1:.3f}   "
            f"log loss {m.log_loss:.3f}   calibration error {m.calibration_error:.3f}   n {m.n}"
        )
        yield from line_without(recorded(info, split))
