"""`discern tune`: try settings, train the best."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from discern.cli import options
from discern.cli.terminal import Terminal

if TYPE_CHECKING:
    from discern.training.gain import Gain
    from discern.training.tune import Tuning

SHOWN = 10  # trials in the table
SEARCH = "The search"


def tune(
    data: options.Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="The model folder to write.")],
    trials: Annotated[
        int, typer.Option(min=1, help="Settings to try, in all.", rich_help_panel=SEARCH)
    ] = 50,
    budget: Annotated[
        str | None,
        typer.Option(help="Time for the search, as 10m or 1h.", rich_help_panel=SEARCH),
    ] = None,
    space: Annotated[
        Path | None,
        typer.Option(help="What to try, in TOML (docs/guide.md).", rich_help_panel=SEARCH),
    ] = None,
    backbones: Annotated[
        str | None,
        typer.Option(help="Backbones to try, with commas between.", rich_help_panel=SEARCH),
    ] = None,
    backbone: options.Backbone = None,
    mode: Annotated[str | None, typer.Option(help="frozen (default) or finetune.")] = None,
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
    """Try settings on held-out answers, then train the best and score it once.

    Killed and started again with the same words, it goes on where it was; started twice at once,
    both work on the same study.
    """
    from discern.cli.training_settings import training_settings
    from discern.data import load_dataset
    from discern.training.search_space import read_space
    from discern.training.tune import tune as tune_model

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
    tuning = tune_model(
        dataset,
        output,
        settings,
        trials=trials,
        space=None if space is None else read_space(space, settings),
        backbones=options.names(backbones),
        overwrite=overwrite,
        progress=terminal,
    )
    terminal.result(_summary(tuning), _document(tuning))


def _document(tuning: "Tuning") -> dict[str, Any]:
    from dataclasses import asdict

    from discern.training.search_space import read_params

    return {
        "model": str(tuning.model.path),
        "settings": tuning.settings,
        "metrics": tuning.model.info.metrics,
        "leaks": tuning.model.info.dataset.get("leaks", {}),
        "tried": tuning.tried,
        "finished": [
            {"trial": t.number, "log_loss": t.value, "settings": read_params(t.params)}
            for t in tuning.trials
        ],
        "importances": tuning.importances,
        "gains": [asdict(gain) for gain in tuning.gains],
    }


def _summary(tuning: "Tuning") -> str:
    """The best trials, what mattered, and how much better than the defaults it is."""
    lines = [f"{'trial':>5}  {'log loss':>8}  settings"]
    lines += [f"{t.number:5}  {t.value:8.4f}  {_settings(t.params)}" for t in tuning.trials[:SHOWN]]
    pruned = tuning.tried - len(tuning.trials)
    lines += [f"{tuning.tried} tried, {pruned} of them given up early or failed.", ""]
    if tuning.importances:
        shares = (f"{name} {share:.0%}" for name, share in tuning.importances.items())
        lines += [f"What mattered: {', '.join(shares)}", ""]
    lines += [_verdict(gain) for gain in tuning.gains]
    if not tuning.settings:
        lines += ["So the defaults are trained."]
    return "\n".join([*lines, "", *_scores(tuning)])


def _settings(params: dict[str, Any]) -> str:
    from discern.training.search_space import read_params

    shown = (
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in read_params(params).items()
    )
    return ", ".join(shown) or "the defaults"


def _verdict(gain: "Gain") -> str:
    """How the best trial compares with the defaults, also where it is no better."""
    accuracy, loss = gain.accuracy, gain.log_loss
    if loss.high < 0:
        judged = "The best trial is better than the defaults"
    elif loss.low > 0:
        judged = "The best trial is worse than the defaults"
    else:
        judged = "The best trial is no better than the defaults, as far as one can tell"
    return (
        f"{judged}, {gain.on}, {gain.pictures} pictures:\n"
        f"  accuracy {100 * accuracy.value:+.1f} points "
        f"({100 * accuracy.low:+.1f} to {100 * accuracy.high:+.1f}), "
        f"log loss {loss.value:+.4f} ({loss.low:+.4f} to {loss.high:+.4f})"
    )


def _scores(tuning: "Tuning") -> Iterator[str]:
    from discern.evaluation import Metrics
    from discern.evaluation.leaks import line_without, recorded

    info = tuning.model.info
    for split, values in info.metrics.items():
        m = Metrics.from_dict(dict(values))
        yield f"{split:<11}accuracy {m.accuracy}   log loss {m.log_loss:.3f}   n {m.n}"
        yield from line_without(recorded(info, split))
    yield str(tuning.model.path)
