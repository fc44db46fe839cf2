"""`discern inspect`: what is in the data, before anything is trained on it."""

import shlex
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from discern.cli import options
from discern.cli.data_name import as_typed, last_part
from discern.cli.output_file import output_file
from discern.cli.terminal import Terminal
from discern.errors import ConfigError

if TYPE_CHECKING:
    from discern.config import FinetuneConfig
    from discern.data import Dataset
    from discern.inspection.inspection import Inspection
    from discern.inspection.plan import Plan

PREVIEW = "What training would see"
MENDING = "Mending the data"


def inspect(
    data: options.Data,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Write the report to this HTML file; with --apply, the new listing (CSV).",
        ),
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            help="Named as for train: what labels are checked with. Default: train's, where it "
            "is in the cache; none: do not check them.",
        ),
    ] = None,
    mirrored: Annotated[
        bool, typer.Option("--mirrored", help="Find mirrored duplicates, too.")
    ] = False,
    fix: Annotated[
        Path | None,
        typer.Option(
            help="Write what could be mended to this CSV file, for you to edit.",
            rich_help_panel=MENDING,
        ),
    ] = None,
    apply: Annotated[
        Path | None,
        typer.Option(
            help="Do what this plan says and write a new listing to -o; no picture is touched.",
            rich_help_panel=MENDING,
        ),
    ] = None,
    augment_preview: Annotated[
        Path | None,
        typer.Option(
            help="Write a PNG of pictures as evaluated and as fine-tuning changes them.",
            rich_help_panel=PREVIEW,
        ),
    ] = None,
    augment: Annotated[
        str | None,
        typer.Option(help="none, light (default) or strong.", rich_help_panel=PREVIEW),
    ] = None,
    rows: Annotated[
        int, typer.Option(min=1, max=100, help="Pictures shown.", rich_help_panel=PREVIEW)
    ] = 6,
    seed: Annotated[
        int,
        typer.Option(
            min=0,
            help="Other pictures, other changes; other folds to check labels in.",
            rich_help_panel=PREVIEW,
        ),
    ] = 0,
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
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Find what is wrong with the data: bad files, duplicates, leaks, wrong labels, odd ones.

    With --fix and --apply, a list of mended data is made; pictures are never changed or deleted.
    """
    from discern.cli.mended_data import listing_path, mend
    from discern.config import FinetuneConfig, settings_from
    from discern.data import load_dataset
    from discern.inspection.inspect import inspect as inspect_dataset
    from discern.inspection.plan_file import read_plan, write_plan
    from discern.inspection.proposals import propose

    if augment is not None and augment_preview is None:
        raise ConfigError("--augment is for the preview. Add --augment-preview FILE.png.")
    _check_suffix(output, "-o", ".html" if apply is None else ".csv")
    _check_suffix(fix, "--fix", ".csv")
    _check_suffix(augment_preview, "--augment-preview", ".png")
    if apply is not None:
        idle = {"--fix": fix, "--backbone": backbone, "--mirrored": mirrored}
        idle |= {"--augment-preview": augment_preview}
        listing, decided = listing_path(apply, output, data, idle), read_plan(apply)
    config = settings_from(FinetuneConfig, options.given({"augment": augment}), "options")
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
        metadata=options.names(metadata),
        progress=terminal,
    )
    if apply is not None:
        mend(dataset, decided, listing, overwrite, terminal)
        return
    with ExitStack() as stack:
        page, table = (
            None if path is None else stack.enter_context(output_file(path, option, overwrite))
            for path, option in ((output, "-o"), (fix, "--fix"))
        )
        if augment_preview is not None:
            _write_preview(dataset, config, augment_preview, rows, seed, overwrite)
        inspection = inspect_dataset(
            dataset,
            backbone=backbone,
            mirrored=mirrored,
            engine=engine,
            precision=precision,
            device=device,
            seed=seed,
            progress=terminal,
        )
        plan = propose(inspection)
        if page is not None:
            page.write(inspection.to_html(title=last_part(data)))
        if table is not None:
            write_plan(plan, table)
    written = _Written(output, fix, augment_preview)
    terminal.result(_summary(inspection, plan, written, data), _document(inspection, plan, written))


class _Written(NamedTuple):
    """The files that were asked for."""

    report: Path | None
    plan: Path | None
    preview: Path | None


def _check_suffix(path: Path | None, option: str, suffix: str) -> None:
    if path is not None and path.suffix.lower() != suffix:
        kind = suffix[1:].upper()
        raise ConfigError(f"{option} {path}: it is written as {kind}. Name it *{suffix}.")


def _write_preview(
    dataset: "Dataset", config: "FinetuneConfig", path: Path, rows: int, seed: int, overwrite: bool
) -> None:
    from discern.images.overlay import png
    from discern.training.augment_preview import preview

    with output_file(path, "--augment-preview", overwrite) as file:
        file.buffer.write(png(preview(dataset, config, rows, seed)))


def _document(inspection: "Inspection", plan: "Plan", written: _Written) -> dict[str, Any]:
    """The inspection's JSON form, with how much might be mended and what was written."""
    files = {name: None if path is None else str(path) for name, path in written._asdict().items()}
    return {**inspection.to_dict(), "proposed": plan.counts, **files}


def _summary(inspection: "Inspection", plan: "Plan", written: _Written, data: str) -> str:
    from discern.cli.inspection_summary import summary

    lines = [
        f"{what}: {path}"
        for what, path in (("Report", written.report), ("Preview", written.preview))
        if path is not None
    ]
    told = ["", *lines] if lines else []
    if written.plan is not None:
        told += ["", _told(plan, written.plan)]
    name = as_typed(data)
    following = _next(plan, written, shlex.quote(name))
    return "\n".join([summary(inspection, name), *told, "", "Next:", *following])


def _told(plan: "Plan", path: Path) -> str:
    """What stands in the plan that was written."""
    counts = dict(plan.counts)
    open_ones = counts.pop("keep")
    rows = ", ".join(f"{n:,} {action}" for action, n in counts.items() if n) or "nothing to change"
    more = f"; {open_ones:,} keep, for you to decide on" if open_ones else ""
    return f"Plan: {path}: {rows}{more}.\nEdit it in a spreadsheet; a row taken out is not done."


def _next(plan: "Plan", written: _Written, data: str) -> Iterator[str]:
    if written.plan is not None:
        table = shlex.quote(str(written.plan))
        yield f"  discern inspect {data} --apply {table} -o clean.csv"
    elif plan.changes:
        yield f"  discern inspect {data} --fix plan.csv       # what could be mended, to edit"
    if written.report is None:
        yield f"  discern inspect {data} -o report.html       # all of it, with pictures"
    yield f"  discern train {data} -o my-model"
