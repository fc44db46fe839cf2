"""Parquet files with the pictures' bytes in them, as Hugging Face's datasets are laid out.

A file, or a folder of shards named by their split. Class names come from the schema.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discern.data.dataset import Dataset
from discern.data.listing import PICTURE_SUFFIXES
from discern.data.readers.parquet_file import parquet_faults, parquet_schema
from discern.data.readers.reader import ReadOptions, refuse_options
from discern.data.readers.table_columns import LABEL, plain_name
from discern.data.readers.table_file import PARQUET
from discern.data.shards import shard_split, shards_at
from discern.data.split_names import UNLABELLED
from discern.data.unpacked import Packed, files_origin, numbered, unpack
from discern.errors import DatasetError, PictureFormatError
from discern.images.decode import recognise
from discern.progress import Progress

if TYPE_CHECKING:
    import pyarrow

name = "parquet"
_VERSION = "parquet 1"
_BATCH = 64  # pictures held at a time
_BYTES = ("image", "image_bytes", "img", "picture", "photo", "jpg", "jpeg", "png", "webp")
_KNOWN = ("--image-column", "--label-column", "--group-column")


@dataclass(frozen=True)
class _Columns:
    """The columns by name, and the classes' names by number where the schema has them."""

    image: str
    label: str | None
    group: str | None
    classes: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        return [each for each in (self.image, self.label, self.group) if each]


def recognises(path: Path) -> bool:
    """Whether the first of its Parquet files has a column of pictures' bytes."""
    shards = shards_at(path, PARQUET)
    try:
        return bool(shards) and bool(_image_columns(parquet_schema(shards[0])))
    except DatasetError:  # the reader of tables says what is wrong with it
        return False


def read(path: Path, options: ReadOptions, progress: Progress) -> Dataset:
    """The pictures as the files they were, with the splits that the shards' names tell."""
    refuse_options(path, options, "pictures in Parquet", _KNOWN)
    shards = shards_at(path, PARQUET)
    if not shards:
        raise DatasetError(f"{path}: holds no Parquet files. Name one, or their folder.")
    columns = _columns(shards[0], options)
    unpacked = unpack(
        files_origin(_VERSION, path.name, shards, *columns.names),
        lambda _: (each for shard in shards for each in _pictures(shard, path, columns)),
        progress,
        total=sum(map(_rows, shards)),
    )
    return unpacked.dataset(_source(shards, columns))


def _pictures(shard: Path, root: Path, columns: _Columns) -> Iterator[Packed]:
    from pyarrow.parquet import ParquetFile

    inside = shard.relative_to(root).as_posix() if shard != root and root.is_dir() else shard.name
    split, number = shard_split(shard, root), 0
    _check_same(shard, columns)
    with parquet_faults(shard), ParquetFile(shard) as file:
        for batch in file.iter_batches(_BATCH, columns=columns.names):
            for row in batch.to_pylist():
                content, label = _content(row[columns.image], shard, number), _label(row, columns)
                group = "" if columns.group is None else _text(row[columns.group])
                place = split if label else UNLABELLED
                path = numbered(inside, number, _suffix(content))
                yield Packed(path, content, label, place, group)
                number += 1


def _content(value: Any, shard: Path, number: int) -> bytes:
    """A picture's bytes; none at all make a file that is named as bad later."""
    if not isinstance(value, dict):
        return value or b""
    content = value.get("bytes")
    if content is None and value.get("path"):
        raise DatasetError(
            f"{shard}: row {number + 1} names {value['path']!r} but does not hold it.\n"
            "Embed the pictures when the data is saved, or read a table of paths and labels."
        )
    return content or b""


def _label(row: Mapping[str, Any], columns: _Columns) -> str:
    """The class's name; "" for none, which datasets with named classes write as -1."""
    value = None if columns.label is None else row[columns.label]
    if not columns.classes or not isinstance(value, int):
        return _text(value)
    return columns.classes[value] if 0 <= value < len(columns.classes) else ""


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _suffix(content: bytes) -> str:
    """The picture's usual suffix, by its bytes; its name may say anything."""
    try:
        suffix = f".{recognise(content)[0].lower()}"
    except PictureFormatError:
        return ".bin"
    return suffix if suffix in PICTURE_SUFFIXES else ".bin"


def _columns(shard: Path, options: ReadOptions) -> _Columns:
    schema = parquet_schema(shard)
    features = _features(schema)
    image = _asked(shard, schema, "--image-column", options.image_column)
    label = _asked(shard, schema, "--label-column", options.label_column)
    group = _asked(shard, schema, "--group-column", options.group_column)
    image = image or _best(_image_columns(schema), _BYTES)
    if image is None:
        raise DatasetError(f"{shard}: has no column of pictures' bytes. {_listed(schema)}")
    named = [column for column, feature in features.items() if _class_names(feature)]
    label = label or (named[0] if len(named) == 1 else _best(schema.names, LABEL, at_all=False))
    return _Columns(image, label, group, _class_names(features.get(label or "", {})))


def _best(found: list[str], usual: tuple[str, ...], *, at_all: bool = True) -> str | None:
    """The column with the most telling name; the first where none has one, if `at_all`."""
    by_name = {plain_name(column): column for column in reversed(found)}
    first = found[0] if found and at_all else None
    return next((by_name[each] for each in usual if each in by_name), first)


def _asked(shard: Path, schema: "pyarrow.Schema", option: str, column: str | None) -> str | None:
    if column is not None and column not in schema.names:
        raise DatasetError(f"{shard}: has no column {column!r} ({option}). {_listed(schema)}")
    return column


def _image_columns(schema: "pyarrow.Schema") -> list[str]:
    """The columns of pictures; of plain bytes only those that are called so."""
    from pyarrow import types

    found = (column for column in schema if _holds_bytes(column.type))
    return [c.name for c in found if types.is_struct(c.type) or plain_name(c.name) in _BYTES]


def _holds_bytes(kind: "pyarrow.DataType") -> bool:
    from pyarrow import types

    if types.is_struct(kind):
        at = kind.get_field_index("bytes")
        return at >= 0 and _holds_bytes(kind.field(at).type)
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _features(schema: "pyarrow.Schema") -> dict[str, dict[str, Any]]:
    """What Hugging Face's `datasets` wrote of the columns; nothing where it did not."""
    try:
        written = json.loads((schema.metadata or {})[b"huggingface"])
        return {k: v for k, v in written["info"]["features"].items() if isinstance(v, dict)}
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}


def _class_names(feature: Mapping[str, Any]) -> tuple[str, ...]:
    names = feature.get("names")
    return tuple(map(str, names)) if isinstance(names, list) else ()


def _check_same(shard: Path, columns: _Columns) -> None:
    schema = parquet_schema(shard)
    for column in columns.names:
        _asked(shard, schema, "as the first file has", column)


def _rows(shard: Path) -> int:
    from pyarrow.parquet import read_metadata

    with parquet_faults(shard):
        return int(read_metadata(shard).num_rows)


def _listed(schema: "pyarrow.Schema") -> str:
    return f"Its columns: {', '.join(schema.names[:12])}."


def _source(shards: list[Path], columns: _Columns) -> str:
    files = shards[0].name if len(shards) == 1 else f"{len(shards)} Parquet files"
    text = f"{files}: pictures from {columns.image!r}"
    if columns.label is None:
        return f"{text}, no labels"
    names = ", class names from the schema" if columns.classes else ""
    return f"{text}, labels from {columns.label!r}{names}"
