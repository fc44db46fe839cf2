"""`discern evaluate`: how good is the model, on pictures it did not learn from?"""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from discern.cli import options
from discern.cli.output_file import output_file
from discern.cli.terminal import Terminal

if TYPE_CHECKING:
    from discern.evaluation import Evaluation, Metrics
    from discern.model import Model

WORST = 5  # confusions named in the summary


def evaluate(
    model: Annotated[Path, typer.Argument(help="A model folder.")],
    data: Annotated[Path, typer.Argument(help="A folder of pictures by class, or a CSV.")],
    split: Annotated[
        str | None,
        typer.Option(help="Which split to score; default: test, or validation if there is none."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the report to this HTML file.")
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
    """Score a model: accuracy with its interval, per class, confusion, calibration."""
    from discern.data import load_dataset
    from discern.evaluation import evaluate as evaluate_model
    from discern.model import load

    terminal = Terminal(as_json, quiet)
    loaded = load(model)
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
    with output_file(output, "-o", overwrite) if output else nullcontext() as report:
        evaluation = evaluate_model(
            loaded,
            dataset,
            split=split,
            engine=engine,
            precision=precision,
            device=device,
            progress=terminal,
        )
        if report:
            report.write(_report(loaded, data, evaluation))
    for line in _remarks(evaluation):
        terminal.say(line)
    terminal.result(_summary(evaluation, output), _document(evaluation))


def _remarks(evaluation: "Evaluation") -> list[str]:
    """What must be known before the score is read."""
    left_out = [f"Left out: {path}: {why}" for path, why in evaluation.failures.items()]
    return [*left_out, *(f"Note: {note}" for note in evaluation.notes)]


def _document(evaluation: "Evaluation") -> dict[str, Any]:
    return {
        "split": evaluation.split,
        "metrics": evaluation.metrics.to_dict(),
        "notes": evaluation.notes,
        "left_out": evaluation.failures,
    }


def _summary(evaluation: "Evaluation", report: Path | None) -> str:
    m = evaluation.metrics
    lines = [
        f"Accuracy {m.accuracy} on {m.n} pictures ({evaluation.split})",
        f"macro F1 {m.macro_f1:.3f}   log loss {m.log_loss:.3f}   "
        f"calibration error {m.calibration_error:.3f} (15 equal-mass bins)",
        "",
        *_class_table(m),
    ]
    if worst := m.worst_confusions(WORST):
        lines += ["", "Most confused:"]
        lines += [f"  {c.truth} taken for {c.predicted}, {c.count} of {c.support}" for c in worst]
    return "\n".join([*lines, *([f"\nReport: {report}"] if report else [])])


def _class_table(metrics: "Metrics") -> list[str]:
    width = max(5, *(len(c.label) for c in metrics.per_class))
    head = f"{'class':<{width}}  precision  recall     F1  pictures"
    return [head] + [
        f"{c.label:<{width}}  {c.precision:9.3f}  {c.recall:6.3f}  {c.f1:5.3f}  {c.support:8d}"
        for c in metrics.per_class
    ]


def _report(model: "Model", data: Path, evaluation: "Evaluation") -> str:
    from discern.evaluation import render_report

    info = model.info
    facts = {
        "Model": model.path.name,
        "Backbone": str(info.backbone["name"]),
        "Training": str(info.training["mode"]),
        "Data": str(data),
        "Scored split": evaluation.split,
        "Temperature": f"{info.temperature:.3f}",
        "Trained": info.created,
    }
    return render_report(
        evaluation.metrics,
        title=f"{model.path.name} · {data.name}",
        facts=facts,
        notes=evaluation.notes,
    )
