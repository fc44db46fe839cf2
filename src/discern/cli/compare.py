"""`discern compare`: which backbone to take?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from discern.cli import options
from discern.cli.terminal import Terminal

if TYPE_CHECKING:
    from discern.evaluation.comparison import Candidate, Comparison


def compare(
    data: options.Data,
    backbones: Annotated[
        str,
        typer.Option(
            help="Backbones with commas between: short names (resnet50), any timm names, "
            "hf-hub:OWNER/MODEL or local-dir:FOLDER.",
            rich_help_panel=options.TRAINING,
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder for the table, page and model.")
    ],
    finetune: Annotated[
        bool,
        typer.Option(
            "--finetune",
            help="Compare them fine-tuned, not as frozen backbones.",
            rich_help_panel=options.TRAINING,
        ),
    ] = False,
    weights: options.Weights = None,
    image_size: options.ImageSize = None,
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
    """Train on several backbones over the same splits, and keep the one to take.

    Killed and started again with the same words, it goes on where it was.
    """
    from discern.cli.training_settings import training_settings
    from discern.data import load_dataset
    from discern.training.compare import compare as compare_backbones

    flags: dict[str, Any] = {
        "mode": "finetune" if finetune else None,
        "weights": weights,
        "image_size": image_size,
        "seed": seed,
        "metadata": metadata,
        "leak_check": leak_check,
        "engine": engine,
        "precision": precision,
        "device": device,
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
    names = options.names(backbones)
    comparison = compare_backbones(
        dataset, names, output, settings, overwrite=overwrite, progress=terminal
    )
    terminal.result(_summary(comparison), _document(comparison))


def _document(comparison: "Comparison") -> dict[str, Any]:
    from dataclasses import asdict

    from discern.evaluation.comparison import front

    best = front(comparison.candidates)
    return {
        "taken": comparison.taken.backbone,
        "reason": comparison.reason,
        "model": str(comparison.model),
        "split": comparison.split,
        "metrics": None if comparison.score is None else comparison.score.to_dict(),
        "leaks": None if comparison.leaks is None else comparison.leaks.to_dict(),
        "held_out_pictures": comparison.pictures,
        "candidates": [asdict(c) | {"on_front": c in best} for c in comparison.candidates],
        "failures": comparison.failures,
    }


def _summary(comparison: "Comparison") -> str:
    """The table, what to take and why, and what that scored."""
    from discern.evaluation.comparison import short_name

    names = [short_name(c.backbone) for c in comparison.candidates]
    names += map(short_name, comparison.failures)
    width = max(len("backbone"), *map(len, names))
    folder, taken = comparison.model.parent, short_name(comparison.taken.backbone)
    lines = [
        f"  {'backbone':<{width}}  {'accuracy %':<17} {'F1 %':>5} {'loss':>6} {'p':>7} {'ms':>6} "
        f"{'pict./s':>7} {'embed s':>8} {'train s':>8} {'M par.':>7} {'MB':>7}"
    ]
    lines += [_line(c, c is comparison.taken, width) for c in comparison.candidates]
    lines += [
        f"  {short_name(name):<{width}}  not compared: {why.splitlines()[0]}"
        for name, why in comparison.failures.items()
    ]
    return "\n".join(
        [*lines, "", f"Take {taken}. {comparison.reason}", _score(comparison), str(folder)]
    )


def _line(c: "Candidate", taken: bool, width: int) -> str:
    from discern.evaluation.comparison import short_name, significant

    costs, speed = c.costs, c.costs.speed
    accuracy = (
        f"{100 * c.accuracy.value:.1f} ({100 * c.accuracy.low:.1f}–{100 * c.accuracy.high:.1f})"
    )
    embed = f"{'≈' if costs.embed_estimated else ''}{costs.embed_seconds:.1f}"
    p = "< 0.001" if c.p < 0.001 else f"{c.p:.3f}"
    return (
        f"{'*' if taken else ' '} {short_name(c.backbone):<{width}}  {accuracy:<17} "
        f"{100 * c.macro_f1:5.1f} {c.log_loss:6.3f} {p:>7} {significant(c.latency_ms):>6} "
        f"{significant(speed.pictures_per_second):>7} {embed:>8} {costs.train_seconds:8.1f} "
        f"{costs.parameters / 1e6:7.1f} {costs.megabytes:7.1f}"
    )


def _score(comparison: "Comparison") -> str:
    from discern.evaluation.leaks import line_without

    metrics = comparison.score
    if metrics is None:
        return "There is no split to score it on."
    line = (
        f"On {comparison.split}, of which no picture took part in the choice: accuracy "
        f"{metrics.accuracy}   log loss {metrics.log_loss:.3f}   n {metrics.n}"
    )
    return "\n".join([line, *line_without(comparison.leaks)])
