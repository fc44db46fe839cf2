"""`discern inspect`: what is in the data, before anything is trained on it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from discern.cli import options
from discern.cli.terminal import Terminal

if TYPE_CHECKING:
    from discern.config import FinetuneConfig
    from discern.data import Dataset

PREVIEW = "What training would see"


def inspect(
    data: options.Data,
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
        int, typer.Option(min=0, help="Other pictures, other changes.", rich_help_panel=PREVIEW)
    ] = 0,
    layout: options.Layout = None,
    image_column: options.ImageColumn = None,
    label_column: options.LabelColumn = None,
    split_column: options.SplitColumn = None,
    group_column: options.GroupColumn = None,
    images: options.Images = None,
    labels: options.Labels = None,
    level: options.Level = None,
    exclude: options.Exclude = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Count pictures by class and split; show what augmentation does to them."""
    from discern.config import FinetuneConfig, settings_from
    from discern.data import load_dataset
    from discern.errors import ConfigError

    if augment is not None and augment_preview is None:
        raise ConfigError("--augment is for the preview. Add --augment-preview FILE.png.")
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
        progress=terminal,
    )
    if augment_preview is not None:
        _write_preview(dataset, config, augment_preview, rows, seed, overwrite)
    document = _document(dataset, augment_preview)
    terminal.result(_summary(dataset, augment_preview), document)


def _write_preview(
    dataset: "Dataset", config: "FinetuneConfig", path: Path, rows: int, seed: int, overwrite: bool
) -> None:
    from discern.cli.output_file import output_file
    from discern.errors import ConfigError
    from discern.images.overlay import png
    from discern.training.augment_preview import preview

    if path.suffix.lower() != ".png":
        raise ConfigError(f"--augment-preview {path}: it is written as PNG. Name it *.png.")
    with output_file(path, "--augment-preview", overwrite) as file:
        file.buffer.write(png(preview(dataset, config, rows, seed)))


def _document(dataset: "Dataset", preview: Path | None) -> dict[str, Any]:
    return {
        "data": str(dataset.root),
        "source": dataset.source,
        "fingerprint": dataset.fingerprint,
        "pictures": len(dataset),
        "classes": dataset.classes,
        "counts": dataset.counts(),
        "preview": None if preview is None else str(preview),
    }


def _summary(dataset: "Dataset", preview: Path | None) -> str:
    """The counts as a table, and what stands out."""
    lines = [f"{dataset.root}: {dataset.source}.", "", *_table(dataset)]
    totals = _totals(dataset)
    if totals and (ratio := max(totals.values()) / min(totals.values())) >= 2:
        large, small = max(totals, key=totals.__getitem__), min(totals, key=totals.__getitem__)
        lines += ["", f"{large} has {ratio:.1f} times as many pictures as {small}."]
    if preview is not None:
        lines += ["", f"Preview: {preview}"]
    return "\n".join(lines)


def _totals(dataset: "Dataset") -> dict[str, int]:
    """Pictures by class, over all splits."""
    counts = dataset.counts().values()
    return {name: sum(split.get(name, 0) for split in counts) for name in dataset.classes}


def _table(dataset: "Dataset") -> list[str]:
    """A line for each class, a column for each split."""
    counts = dataset.counts()
    names = [*dataset.classes, *([""] if any("" in split for split in counts.values()) else [])]
    head = ["class", *(split or "no split" for split in counts), "all"]
    body = [(name or "(no label)", [s.get(name, 0) for s in counts.values()]) for name in names]
    body.append(("all", [sum(split.values()) for split in counts.values()]))
    table = [head, *([name, *map(str, row), str(sum(row))] for name, row in body)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(_padded(row, widths)) for row in table]


def _padded(row: list[str], widths: list[int]) -> list[str]:
    """A name to the left, numbers to the right."""
    return [row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]
