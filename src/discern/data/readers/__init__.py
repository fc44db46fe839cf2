"""From a folder, a file or a URL to a dataset, whatever its layout.

A new layout is one new module with the three names of `Reader`, and its place in `READERS`.
"""

import difflib
import os
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Literal

from discern.data.class_names import check_distinct, without_classes
from discern.data.dataset import Dataset
from discern.data.listing import PICTURE_SUFFIXES, Folder, unreadable
from discern.data.readers import (
    archive,
    arrays,
    cifar,
    competition,
    folder,
    parquet_pictures,
    table,
    webdataset,
)
from discern.data.readers.exif_columns import with_exif
from discern.data.readers.reader import Reader, ReadOptions
from discern.data.remote import fetched, is_remote, printable
from discern.data.shards import expanded
from discern.errors import DatasetError
from discern.progress import SILENT, Progress

EXIF = "exif"  # among the names of metadata: from the pictures' own files
# The first that recognises a path reads it. Those that look for very particular files come first.
READERS: tuple[Reader, ...] = (
    *(cifar, competition, webdataset, parquet_pictures, arrays),
    *(folder, table),
)


def load_dataset(
    source: str | Path,
    *,
    layout: str | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    split_column: str | None = None,
    group_column: str | None = None,
    images: str | Path | None = None,
    labels: str | None = None,
    level: int | Literal["deepest"] | None = None,
    exclude: Collection[str] = (),
    metadata: Collection[str] = (),
    progress: Progress = SILENT,
) -> Dataset:
    """Read samples from a folder, a file or a URL; DatasetError says what is wrong with it.

    `layout` names a reader instead of finding it out, the columns are those of a table,
    `images` is the folder of its pictures, and `exclude` names classes to leave out. `labels`
    says which of CIFAR-100's are meant, "fine" or "coarse"; `level` which of nested folders are
    classes, 1 (the default) or deeper, or "deepest". `metadata` names columns of facts beside the
    pictures; the word "exif" stands for those in their files, "taken_at", "lat", "lon" and
    "device". What is no file on the disk is unpacked into the cache first, which `progress` hears
    of; OutputError where it cannot be written there.
    """
    path = fetched(str(source), progress) if is_remote(source) else _existing(source)
    names = dict.fromkeys(_several(metadata))  # each once
    options = ReadOptions(
        image_column=image_column,
        label_column=label_column,
        split_column=split_column,
        group_column=group_column,
        images=None if images is None else _existing(images),
        labels=labels,
        level=_checked_level(level),
        metadata=tuple(name for name in names if name != EXIF),
    )
    dataset = _read(path, layout, options, progress)
    if is_remote(source):
        at = printable(str(source))
        dataset = replace(dataset, source=f"{dataset.source}, fetched from {at}")
    dataset = without_classes(dataset, _several(exclude))
    check_distinct(dataset)
    return with_exif(dataset) if EXIF in names else dataset


def _read(path: Path, layout: str | None, options: ReadOptions, progress: Progress) -> Dataset:
    """Read what lies at `path`; of an archive that no reader knows, what is inside."""
    named = None if layout in (None, archive.name) else _named(str(layout))
    if not archive.recognises(path):
        if layout == archive.name:
            raise DatasetError(f"{path}: is no zip or tar archive. Leave --layout out.")
        return (named or _recognised(path)).read(path, options, progress)
    readers = [] if layout == archive.name else [named] if named else READERS
    if reader := next((each for each in readers if each.recognises(path)), None):
        return reader.read(path, options, progress)
    unpacked = archive.unpacked(path, progress)
    dataset = (named or _recognised(unpacked.root)).read(unpacked.root, options, progress)
    return replace(dataset, source=f"{path.name}{unpacked.remark}: {dataset.source}")


def _checked_level(level: int | Literal["deepest"] | None) -> int | Literal["deepest"] | None:
    if isinstance(level, int) and level < 1:
        raise DatasetError(f"--level {level}: classes are folders at level 1 or deeper.")
    return level


def _several(names: Collection[str]) -> Collection[str]:
    return [names] if isinstance(names, str) else names


def _recognised(path: Path) -> Reader:
    for reader in READERS:
        if reader.recognises(path):
            return reader
    raise _unrecognised(path)


def _named(layout: str) -> Reader:
    readers = {reader.name: reader for reader in READERS}
    if layout not in readers:
        known = [*readers, archive.name]
        near = difflib.get_close_matches(layout, known, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(known)}."
        raise DatasetError(f"there is no layout {layout!r}. {hint}")
    return readers[layout]


def _existing(source: str | Path) -> Path:
    path = Path(source).expanduser()
    try:
        for name in expanded(str(path)) if "{" in str(path) and not path.exists() else [path]:
            os.stat(name)
    except OSError as exc:
        raise unreadable(path, exc) from exc
    return path


def _unrecognised(path: Path) -> DatasetError:
    if not path.is_dir():
        return DatasetError(
            f"{path}: is neither a folder nor a table.\n"
            "Name a folder of pictures, a CSV or Parquet file, an archive, or an .npz."
        )
    whole = Folder(str(path))
    if not whole.holds_pictures():
        kinds = ", ".join(suffix[1:] for suffix in PICTURE_SUFFIXES)
        return DatasetError(f"{path}: no pictures in it. Files taken for pictures: {kinds}.")
    return DatasetError(
        f"{path}: has pictures, but neither class folders nor a table of labels.\n"
        "Put each class's pictures in a folder of its name, or add a CSV with image and label."
    )
