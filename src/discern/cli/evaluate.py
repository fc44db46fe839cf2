"""`discern evaluate`: how good is the model, on pictures it did not learn from?"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from discern.cli import options
from discern.cli.data_name import last_part
from discern.cli.exit_codes import WORK_FAILED
from discern.cli.output_file import output_file
from discern.cli.terminal import Terminal
from discern.errors import OutputError

if TYPE_CHECKING:
    from discern.evaluation import Evaluation, Findings, Metrics
    from discern.model import Model

WORST = 5  # confusions named in the summary


def evaluate(
    model: Annotated[Path, typer.Argument(help="A model folder.")],
    data: options.Data,
    split: Annotated[
        str | None,
        typer.Option(help="Which split to score; default: test, or validation if there is none."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Write the report to this HTML file, a model card beside it."
        ),
    ] = None,
    unknown: Annotated[
        list[Path] | None,
        typer.Option(help="A folder of pictures that are certainly none of the classes."),
    ] = None,
    at_least: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Exit 1 unless accuracy is at least this beyond chance, such as 0.85: the lower "
            "end of its 95 % interval.",
        ),
    ] = 0.0,
    coverage: options.Coverage = None,
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
    """Score a model: accuracy with its interval, per class, confusion, calibration, promises."""
    from discern.data import load_dataset
    from discern.evaluation import evaluate as evaluate_model
    from discern.evaluation import find
    from discern.evaluation.description import CARD, REPORT, described
    from discern.model import load

    terminal = Terminal(as_json, quiet)
    loaded = load(model)
    rules = loaded.interpreter.covering(coverage)
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
        metadata=_facts(loaded) if metadata is None else options.names(metadata),
        progress=terminal,
    )
    outputs = _outputs(output)
    with ExitStack() as stack:
        files = [stack.enter_context(output_file(path, "-o", overwrite)) for path in outputs]
        evaluation = evaluate_model(
            loaded,
            dataset,
            split=split,
            unknown=_by_name(unknown or ()),
            leak_check=leak_check is not False,
            engine=engine,
            precision=precision,
            device=device,
            progress=terminal,
        )
        findings = find(evaluation, rules, loaded.info.unknown, progress=terminal)
        if files:
            names = {"name": loaded.path.resolve().name, "data": last_part(data)}
            made = described(loaded, evaluation, findings, **names, progress=terminal)
            for file, name in zip(files, (REPORT, CARD), strict=True):
                file.write(made[name].decode())
    for line in _remarks(evaluation):
        terminal.say(line)
    passed = evaluation.metrics.accuracy.low >= at_least
    document = {"at_least": at_least, "passed": passed, **_document(evaluation, findings)}
    terminal.result(_summary(evaluation, findings, outputs), document)
    if not passed:
        terminal.say(_below(evaluation.metrics, at_least))
        raise typer.Exit(WORK_FAILED)


def _below(metrics: "Metrics", bar: float) -> str:
    """Why it failed. The bar is held against the interval's lower end: against the accuracy
    itself, nearly every second model that is just below the bar would pass by luck.
    """
    return (
        f"Below the bar: accuracy is {metrics.accuracy} on {metrics.n} pictures, and the lower end "
        f"of its interval must reach {100 * bar:.1f} %.\n"
        "Train a better model, or score more pictures: the interval narrows."
    )


def _facts(model: "Model") -> tuple[str, ...]:
    """The facts beside the picture that the model was trained with, by the names they had."""
    settings = model.info.training.get("config", {})
    return tuple(settings.get("metadata", ())) if model.info.metadata else ()


def _by_name(folders: Iterable[Path]) -> dict[str, list[Path]]:
    """The pictures in some folders, by the folder's name alone: reports are passed on."""
    from discern.cli.pictures import listed

    found: dict[str, list[Path]] = {}
    for folder in folders:
        pictures = found.setdefault(folder.resolve().name, [])
        pictures += map(Path, listed([str(folder)], sys.stdin))
    return found


def _outputs(report: Path | None) -> tuple[Path, ...]:
    """The report and the model card beside it."""
    if report is None:
        return ()
    card = report.with_suffix(".md")
    if card == report:
        raise OutputError(
            f"-o {report} is the model card's name. Name the report {report.stem}.html."
        )
    return report, card


def _remarks(evaluation: "Evaluation") -> list[str]:
    """What must be known before the score is read."""
    left_out = [f"Left out: {path}: {why}" for path, why in evaluation.failures.items()]
    return [*left_out, *(f"Note: {note}" for note in evaluation.notes)]


def _document(evaluation: "Evaluation", findings: "Findings") -> dict[str, Any]:
    return {
        "split": evaluation.split,
        "metrics": evaluation.metrics.to_dict(),
        "leaks": None if evaluation.leaks is None else evaluation.leaks.to_dict(),
        "notes": evaluation.notes,
        "left_out": evaluation.failures,
        **asdict(findings, dict_factory=_plain),
    }


def _plain(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, Path) else value for name, value in fields}


def _summary(evaluation: "Evaluation", findings: "Findings", written: tuple[Path, ...]) -> str:
    from discern.evaluation.leaks import line_without

    m = evaluation.metrics
    lines = [
        f"Accuracy {m.accuracy} on {m.n} pictures ({evaluation.split})",
        *line_without(evaluation.leaks),
        f"macro F1 {m.macro_f1:.3f}   log loss {m.log_loss:.3f}   "
        f"calibration error {m.calibration_error:.3f} (15 equal-mass bins)",
        *_promises(findings),
        "",
        *_class_table(m),
    ]
    if worst := m.worst_confusions(WORST):
        lines += ["", "Most confused:"]
        lines += [f"  {c.truth} taken for {c.predicted}, {c.count} of {c.support}" for c in worst]
    if weak := [s for s in findings.slices if s.worse]:
        lines += ["", "Weaker where:"]
        lines += [f"  {s.kind}, {s.name}: {s.accuracy}, elsewhere {s.rest}" for s in weak]
    if written:
        report, card = written
        lines += ["", f"Report: {report}   model card: {card}"]
    return "\n".join(lines)


def _promises(findings: "Findings") -> Iterator[str]:
    """How the promises were kept that the model makes, a line each."""
    if sets := findings.sets:
        yield (
            f"sets for {sets.target:.0%}: hold the truth in {sets.coverage}, "
            f"{sets.mean_size:.2f} labels on average"
        )
    if unknown := findings.unknown:
        yield f"none of these: keeps {unknown.kept} of true pictures"
        for a in unknown.against:
            yield f"  {a.name}: accepts {a.accepted} of {a.n}, AUROC {a.auroc:.3f}"


def _class_table(metrics: "Metrics") -> list[str]:
    width = max(5, *(len(c.label) for c in metrics.per_class))
    head = f"{'class':<{width}}  precision  recall     F1  pictures"
    return [head] + [
        f"{c.label:<{width}}  {c.precision:9.3f}  {c.recall:6.3f}  {c.f1:5.3f}  {c.support:8d}"
        for c in metrics.per_class
    ]
