"""A table, CSV or Parquet, that names pictures and their labels."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from discern.data.dataset import STRING, Dataset, Row, StringArray
from discern.data.listing import PICTURE_FOLDERS
from discern.data.readers.picture_index import PictureIndex
from discern.data.readers.reader import ReadOptions, refuse_options
from discern.data.readers.table_columns import Columns, find_columns, image_column
from discern.data.readers.table_file import SUFFIXES, TableFile, open_table, tables_in
from discern.data.split_names import TEST, UNLABELLED, canonical_split
from discern.errors import DatasetError
from discern.progress import Progress

name = "table"
_SHOWN = 3  # examples in a message
KNOWN = (
    *("--image-column", "--label-column", "--split-column", "--group-column"),
    *("--images", "--metadata"),
)


@dataclass
class Notes:
    """What is noted while rows stream by, to be judged when all have been seen."""

    numbers: "array[int]" = field(default_factory=lambda: array("q"))  # of the rows kept
    missing: list[str] = field(default_factory=list)


def recognises(path: Path) -> bool:
    """A table, or a folder with at least one directly in it."""
    if path.is_dir():
        return bool(tables_in(path))
    return path.suffix.lower() in SUFFIXES


def read(path: Path, options: ReadOptions, _progress: Progress) -> Dataset:
    """The samples that a table names, in its order; every value stays a string."""
    refuse_options(path, options, "a table", KNOWN)
    table = _table_in(path, options) if path.is_dir() else open_table(path)
    columns = find_columns(table, options)
    notes = Notes()
    dataset = _stream(table, columns, options, notes)
    if notes.missing:
        raise _missing_pictures(table, dataset.root, notes)
    if not len(dataset):
        raise DatasetError(f"{table.path}: has no rows below its header.")
    dataset = _with_canonical_splits(table, dataset, options)
    _check_labels(table, dataset, notes)
    dataset = _once_each(table, dataset)
    return replace(dataset, source=_source(table, columns, dataset))


def read_unlabelled(path: Path, options: ReadOptions) -> Dataset:
    """The samples of a table without labels, to be predicted; facts that it lacks are missing."""
    table, notes = open_table(path), Notes()
    index = PictureIndex(path, options.images, homes=(path.stem, TEST, *PICTURE_FOLDERS))
    at = image_column(table, options)
    beside = [
        table.header.index(each) if each in table.header else None for each in options.metadata
    ]

    def rows() -> Iterator[tuple[str, ...]]:
        for number, cells in table.rows():
            if (picture := _picture(table, index, number, cells[at])) is None:
                notes.missing.append(f"{cells[at]!r} (row {number})")
                continue
            facts = ("" if place is None else cells[place].strip() for place in beside)
            yield (*Row(picture, "", UNLABELLED), *facts)

    dataset = Dataset.from_rows(index.root, rows(), metadata=options.metadata)
    if notes.missing:
        raise _missing_pictures(table, dataset.root, notes)
    source = f"{path.name}: to be predicted, pictures from {table.header[at]!r}"
    return replace(_once_each(table, dataset), source=source)


def _table_in(folder: Path, options: ReadOptions) -> TableFile:
    tables = tables_in(folder)
    if not tables:
        raise DatasetError(f"{folder}: has no table in it. Name a CSV or Parquet file.")
    if len(tables) == 1:
        return open_table(tables[0])
    usable = [table for path in tables if (table := _usable(path, options))]
    if len(usable) == 1:
        return usable[0]
    names = ", ".join(path.name for path in tables[:_SHOWN])
    raise DatasetError(
        f"{folder}: has no class folders, and {len(tables)} tables ({names}). "
        f"Name the one with the labels, such as {tables[0]}."
    )


def _usable(path: Path, options: ReadOptions) -> TableFile | None:
    try:
        table = open_table(path)
        find_columns(table, options)
    except DatasetError:
        return None
    return table


def _stream(table: TableFile, columns: Columns, options: ReadOptions, notes: Notes) -> Dataset:
    """From rows to columns; the index of pictures, which is large, lives no longer than this."""
    index = PictureIndex(table.path, options.images)
    rows = _rows(table, columns, index, notes)
    return Dataset.from_rows(index.root, rows, metadata=options.metadata)


def _rows(
    table: TableFile, columns: Columns, index: PictureIndex, notes: Notes
) -> Iterator[tuple[str, ...]]:
    for number, cells in table.rows():
        path = _picture(table, index, number, cells[columns.image])
        if path is None:
            notes.missing.append(f"{cells[columns.image]!r} (row {number})")
            continue
        notes.numbers.append(number)
        row = Row(path, _label(cells[columns.label]), *_facts(columns, cells))
        yield (*row, *(cells[place].strip() for place in columns.metadata))


def _picture(table: TableFile, index: PictureIndex, number: int, cell: str) -> str | None:
    path = index.relative(cell)
    if path is None:
        raise table.fault(
            number,
            f"names {cell!r}, which is no picture inside {index.root}.\n"
            "Write paths relative to it, or name the pictures' folder with --images.",
        )
    try:
        return index.find(path)
    except DatasetError as exc:
        raise table.fault(number, str(exc)) from exc


def _label(cell: str) -> str:
    return cell if cell.strip() else ""


def _facts(columns: Columns, cells: list[str]) -> tuple[str, str]:
    split = "" if columns.split is None else cells[columns.split].strip()
    return split, "" if columns.group is None else cells[columns.group]


def _missing_pictures(table: TableFile, root: Path, notes: Notes) -> DatasetError:
    n = len(notes.missing)
    what = "1 picture is" if n == 1 else f"{n} pictures are"
    shown = ", ".join(notes.missing[:_SHOWN]) + (", …" if n > _SHOWN else "")
    return DatasetError(
        f"{table.path}: {what} missing from {root}: {shown}.\n"
        "Add them, take their rows out, or name the pictures' folder with --images."
    )


def _with_canonical_splits(table: TableFile, dataset: Dataset, options: ReadOptions) -> Dataset:
    """`val` becomes "validation"; a column with other values, unless asked for, is no split."""
    names = [raw for raw in np.unique(dataset.splits).tolist() if raw]
    known = {raw: split for raw in names if (split := canonical_split(raw))}
    if len(known) < len(names):
        if options.split_column is None:
            return replace(dataset, splits=np.full(len(dataset), "", dtype=STRING))
        odd = next(raw for raw in names if raw not in known)
        raise DatasetError(
            f"{table.path}: column {options.split_column!r} holds {odd!r}, which is no split.\n"
            "Use train, validation, test or unlabelled."
        )
    splits = dataset.splits.copy()
    for raw, split in known.items():
        splits[dataset.splits == raw] = split
    return replace(dataset, splits=splits)


def _check_labels(table: TableFile, dataset: Dataset, notes: Notes) -> None:
    """Only rows that the split column calls unlabelled may lack a label."""
    missing = (dataset.labels == "") & (dataset.splits != UNLABELLED)
    if missing.any():
        rows = np.asarray(notes.numbers)[missing].tolist()
        more = f", … ({len(rows)} in all)" if len(rows) > _SHOWN else ""
        raise DatasetError(
            f"{table.path}: labels missing: rows {', '.join(map(str, rows[:_SHOWN]))}{more}.\n"
            f"Fill them in, or mark the rows {UNLABELLED!r} in a column named split."
        )


def _once_each(table: TableFile, dataset: Dataset) -> Dataset:
    """Rows that say the same again are dropped; those that contradict are an error."""
    order = np.argsort(dataset.paths, kind="stable")
    paths = dataset.paths[order]
    again = np.flatnonzero(paths[1:] == paths[:-1]) + 1
    if not len(again):
        return dataset
    for what, column in _facts_of(dataset).items():
        clash = again[column[order[again]] != column[order[again - 1]]]
        if len(clash):
            first, second = order[clash[0] - 1], order[clash[0]]
            raise _contradiction(table, dataset, what, first, second)
    keep = np.ones(len(dataset), dtype=bool)
    keep[order[again]] = False
    return dataset.where(keep)


def _facts_of(dataset: Dataset) -> dict[str, StringArray]:
    facts = {"label": dataset.labels, "split": dataset.splits, "group": dataset.groups}
    return {**dataset.metadata, **facts}


def _contradiction(
    table: TableFile, dataset: Dataset, what: str, first: np.intp, second: np.intp
) -> DatasetError:
    column = _facts_of(dataset)[what]
    return DatasetError(
        f"{table.path}: {str(dataset.paths[first])!r} is listed twice, with {what} "
        f"{str(column[first])!r} and {str(column[second])!r}. Keep the row that is right."
    )


def _source(table: TableFile, columns: Columns, dataset: Dataset) -> str:
    header = table.header
    text = f"{table.path.name}: pictures from {header[columns.image]!r}"
    text += f", labels from {header[columns.label]!r}"
    if columns.split is not None:
        used = "splits from" if dataset.split_names else "no splits found in"
        text += f", {used} {header[columns.split]!r}"
    if columns.group is not None:
        text += f", groups from {header[columns.group]!r}"
    beside = ", ".join(repr(header[place]) for place in columns.metadata)
    return text + (f", metadata from {beside}" if beside else "")
