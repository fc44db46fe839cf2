"""From a folder or file to a dataset, whatever its layout.

A new layout is one new module with the three names of `Reader`, and its place in `READERS`.
"""

import difflib
from collections.abc import Collection
from pathlib import Path

from discern.data.class_names import check_distinct, without_classes
from discern.data.dataset import Dataset
from discern.data.listing import PICTURE_SUFFIXES, Folder, unreadable
from discern.data.readers import folder, table
from discern.data.readers.exif_columns import with_exif
from discern.data.readers.reader import Reader, ReadOptions
from discern.errors import DatasetError

EXIF = "exif"  # among the names of metadata: from the pictures' own files
READERS: tuple[Reader, ...] = (folder, table)  # the first that recognises a path reads it


def load_dataset(
    source: str | Path,
    *,
    layout: str | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    split_column: str | None = None,
    group_column: str | None = None,
    images: str | Path | None = None,
    exclude: Collection[str] = (),
    metadata: Collection[str] = (),
) -> Dataset:
    """Read samples from a folder or a table; DatasetError says what is wrong with it.

    `layout` names a reader instead of finding it out, the columns are those of a table,
    `images` is the folder of its pictures, and `exclude` names classes to leave out. `metadata`
    names columns of facts beside the pictures; the word "exif" stands for those in their files,
    "taken_at", "lat", "lon" and "device".
    """
    path = _existing(source)
    pictures = None if images is None else _existing(images)
    names = dict.fromkeys(_several(metadata))  # each once
    columns = tuple(name for name in names if name != EXIF)
    options = ReadOptions(image_column, label_column, split_column, group_column, pictures, columns)
    dataset = _reader(path, layout).read(path, options)
    dataset = without_classes(dataset, _several(exclude))
    check_distinct(dataset)
    return with_exif(dataset) if EXIF in names else dataset


def _several(names: Collection[str]) -> Collection[str]:
    return [names] if isinstance(names, str) else names


def _reader(path: Path, layout: str | None) -> Reader:
    if layout is not None:
        return _named(layout)
    for reader in READERS:
        if reader.recognises(path):
            return reader
    raise _unrecognised(path)


def _named(layout: str) -> Reader:
    readers = {reader.name: reader for reader in READERS}
    if layout not in readers:
        near = difflib.get_close_matches(layout, readers, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(readers)}."
        raise DatasetError(f"there is no layout {layout!r}. {hint}")
    return readers[layout]


def _existing(source: str | Path) -> Path:
    path = Path(source).expanduser()
    try:
        path.stat()
    except OSError as exc:
        raise unreadable(path, exc) from exc
    return path


def _unrecognised(path: Path) -> DatasetError:
    if not path.is_dir():
        return DatasetError(
            f"{path}: is neither a folder nor a table.\n"
            "Name a folder of pictures, or a CSV or Parquet file."
        )
    whole = Folder(str(path))
    if not whole.holds_pictures():
        kinds = ", ".join(suffix[1:] for suffix in PICTURE_SUFFIXES)
        return DatasetError(f"{path}: no pictures in it. Files taken for pictures: {kinds}.")
    return DatasetError(
        f"{path}: has pictures, but neither class folders nor a table of labels.\n"
        "Put each class's pictures in a folder of its name, or add a CSV with image and label."
    )
