"""Which column of a table holds what."""

import difflib
import re
from collections.abc import Iterator
from typing import NamedTuple

from discern.data.readers.reader import ReadOptions
from discern.data.readers.table_file import TableFile
from discern.errors import DatasetError

# The more telling names first: a table may have both an `id` and a `filename`.
IMAGE = (
    *("image", "filename", "file_name", "file", "path", "filepath", "file_path"),
    *("image_path", "image_name", "image_file", "img", "img_path", "img_name"),
    *("picture", "photo", "image_id", "img_id", "id"),
)
LABEL = (
    *("label", "labels", "class", "class_name", "category", "target"),
    *("breed", "species", "y"),
)
_SPLIT = ("split", "subset", "partition", "set")


class Columns(NamedTuple):
    """Positions in a row; `split` and `group` are None where the table has none."""

    image: int
    label: int
    split: int | None
    group: int | None
    metadata: tuple[int, ...] = ()


def find_columns(table: TableFile, options: ReadOptions) -> Columns:
    """The columns that the options name, else those with a usual name; DatasetError if unclear."""
    image = _named(table, "--image-column", options.image_column) or _usual(table, IMAGE)
    label = _named(table, "--label-column", options.label_column) or _usual(table, LABEL)
    if len(table.header) == 2:
        image, label = _the_other_two(image, label)
    if image is None or label is None or image == label:
        raise _unclear(table, image, label)
    split = _named(table, "--split-column", options.split_column) or _usual(table, _SPLIT)
    group = _named(table, "--group-column", options.group_column)
    columns = Columns(image.at, label.at, _at(split), _at(group))
    return columns._replace(metadata=tuple(_beside(table, options.metadata, columns)))


def picture_column(table: TableFile) -> int:
    """The position of the column that names pictures, in a table that need have no labels."""
    found = _usual(table, IMAGE)
    return 0 if found is None else found.at


def image_column(table: TableFile, options: ReadOptions) -> int:
    """As `picture_column`, where the options may name it."""
    if options.image_column in table.header:
        return table.header.index(options.image_column)
    return picture_column(table)


def labels_given(table: TableFile, options: ReadOptions) -> bool:
    """Whether a table has a column that is named as labels are, with something in its first row."""
    at = (
        table.header.index(options.label_column)
        if options.label_column in table.header
        else _at(_usual(table, LABEL))
    )
    first = next(table.rows(), None)
    return at is not None and first is not None and bool(first[1][at].strip())


def plain_name(column: str) -> str:
    """A column's name in the form that the usual names have."""
    return re.sub(r"[\s-]+", "_", column.casefold())


class _Column(NamedTuple):
    """A position, in a shape that is never false: position 0 is a column too."""

    at: int


def _beside(table: TableFile, names: tuple[str, ...], columns: Columns) -> Iterator[int]:
    """Where the facts beside the pictures stand; none of them may give the answer away."""
    taken = {columns.image: "pictures", columns.label: "labels", columns.split: "splits"}
    for name in names:
        column = _named(table, "--metadata", name)
        if column is None:
            continue
        if what := taken.get(column.at):
            raise DatasetError(
                f"{table.path}: column {name!r} holds the {what}, which are no metadata. "
                "Leave it out of --metadata."
            )
        yield column.at


def _named(table: TableFile, option: str, column: str | None) -> _Column | None:
    if column is None:
        return None
    if column not in table.header:
        near = difflib.get_close_matches(column, table.header, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else _listed(table)
        raise DatasetError(f"{table.path}: has no column {column!r} ({option}). {hint}")
    return _Column(table.header.index(column))


def _usual(table: TableFile, names: tuple[str, ...]) -> _Column | None:
    plain = list(map(plain_name, table.header))
    return next((_Column(plain.index(name)) for name in names if name in plain), None)


def _the_other_two(
    image: _Column | None, label: _Column | None
) -> tuple[_Column | None, _Column | None]:
    """Of two columns, the one that is not known is the other one; the first is the image's."""
    if image is None:
        image = _Column(1 - label.at) if label else _Column(0)
    return image, label or _Column(1 - image.at)


def _at(column: _Column | None) -> int | None:
    return None if column is None else column.at


def _unclear(table: TableFile, image: _Column | None, label: _Column | None) -> DatasetError:
    missing = "pictures" if image is None else "labels" if label is None else "which of the two"
    return DatasetError(
        f"{table.path}: cannot tell which column holds the {missing}. {_listed(table)}\n"
        "Name them with --image-column and --label-column."
    )


def _listed(table: TableFile) -> str:
    shown = ", ".join(table.header[:12])
    more = f" and {len(table.header) - 12} more" if len(table.header) > 12 else ""
    return f"Its columns: {shown}{more}."
