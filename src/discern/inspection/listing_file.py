"""A dataset written as a table that training reads, its pictures left where they lie."""

import csv
import os
import posixpath
from pathlib import Path
from typing import TextIO

from discern.data import Dataset
from discern.data.dataset import StringArray
from discern.data.listing import is_litter
from discern.data.split_names import UNLABELLED
from discern.errors import OutputError

IMAGE, LABEL, SPLIT, GROUP = "image", "label", "split", "group"
_FORMULA = ("=", "+", "-", "@")


def write_listing(dataset: Dataset, file: TextIO, folder: Path) -> None:
    """Write image, label, split, group and metadata as a CSV table that is to lie in `folder`.

    Pictures are named from there where they lie there or below, else by their whole paths.
    `reading_options` says what a command then needs to read it. OutputError for what a table
    cannot hold.
    """
    columns, prefix = _columns(dataset), _prefix(dataset, folder)
    writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow((IMAGE, *columns))
    facts = (column.tolist() for column in columns.values())
    for path, *row in zip(dataset.paths.tolist(), *facts, strict=True):
        writer.writerow((_cell(f"{prefix}{path}"), *row))


def reading_options(dataset: Dataset, folder: Path) -> tuple[str, ...]:
    """The words that a command needs behind the name of the table that lies in `folder`."""
    words: list[str] = []
    if Path(_prefix(dataset, folder)).is_absolute():
        words += ["--images", os.path.abspath(dataset.root)]
    if GROUP in _columns(dataset):
        words += ["--group-column", GROUP]
    if dataset.metadata:
        words += ["--metadata", ",".join(dataset.metadata)]
    return tuple(words)


def _columns(dataset: Dataset) -> dict[str, StringArray]:
    """What stands beside the pictures.

    There is a split column even where no picture has a split: without one, a column of metadata
    with a usual name would be taken for it.
    """
    splits = dataset.splits.copy()
    splits[dataset.labels == ""] = UNLABELLED  # a table's row without a label has to say so
    columns = {LABEL: dataset.labels, SPLIT: splits}
    if (dataset.groups != "").any():
        columns[GROUP] = dataset.groups
    if clash := dataset.metadata.keys() & {IMAGE, LABEL, SPLIT, GROUP}:
        raise OutputError(
            f"The listing would have two columns named {clash.pop()!r}. "
            "Rename the one of metadata, or leave it out of --metadata."
        )
    return columns | dict(dataset.metadata)


def _prefix(dataset: Dataset, folder: Path) -> str:
    """The way from `folder` to the dataset's root; whole where it does not lie visibly below."""
    root = os.path.abspath(dataset.root)
    way = os.path.relpath(root, os.path.abspath(folder)).replace(os.sep, "/")
    if way == ".":
        return ""
    if any(part == ".." or is_litter(part) for part in way.split("/")):
        return f"{Path(root).as_posix().rstrip('/')}/"
    return f"{way}/"


def _cell(path: str) -> str:
    """A path as a table's reader finds it, and no formula to a spreadsheet."""
    if posixpath.normpath(path.strip().replace("\\", "/")) != path or "://" in path:
        raise OutputError(
            f"{path!r}: a table cannot hold this name (spaces at an end, or a backslash).\n"
            "Rename the file, or leave it out with a plan that drops it."
        )
    return f"./{path}" if path.startswith(_FORMULA) else path
