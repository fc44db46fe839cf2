"""CIFAR-10 and CIFAR-100 (Krizhevsky, 2009) as published: Python pickles, also in their .tar.gz."""

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from discern.data.dataset import Dataset
from discern.data.listing import unreadable
from discern.data.readers.archive_members import is_tar, members
from discern.data.readers.plain_pickle import read_plain
from discern.data.readers.reader import ReadOptions, refuse_options
from discern.data.split_names import TEST, TRAIN
from discern.data.unpacked import Notes, Packed, as_png, files_origin, numbered, unpack
from discern.errors import DatasetError
from discern.progress import Progress

name = "cifar"
_VERSION = "cifar 1"
_SHAPE = (3, 32, 32)
_LARGEST = 1 << 29  # bytes of one pickle; the largest published has 155 million


class _Labels(NamedTuple):
    """Where a kind of labels stands in the batches, and where their names in the meta file."""

    of_pictures: str
    names: str


@dataclass(frozen=True)
class _Edition:
    """How one of the two is laid out; the first kind of labels is the default."""

    title: str
    folder: str
    meta: str
    batches: Mapping[str, str]  # the split of each
    labels: Mapping[str, _Labels]

    @property
    def files(self) -> tuple[str, ...]:
        return (self.meta, *self.batches)


_EDITIONS = (
    _Edition(
        "CIFAR-10",
        "cifar-10-batches-py",
        "batches.meta",
        {**{f"data_batch_{i}": TRAIN for i in range(1, 6)}, "test_batch": TEST},
        {"labels": _Labels("labels", "label_names")},
    ),
    _Edition(
        "CIFAR-100",
        "cifar-100-python",
        "meta",
        {"train": TRAIN, "test": TEST},
        {
            "fine": _Labels("fine_labels", "fine_label_names"),
            "coarse": _Labels("coarse_labels", "coarse_label_names"),
        },
    ),
)


def recognises(path: Path) -> bool:
    """The folder of one of them, a folder with it inside, or its tar archive."""
    return _located(path) is not None


def read(path: Path, options: ReadOptions, progress: Progress) -> Dataset:
    """The pictures as PNG files, with their official splits and the names from the meta file."""
    refuse_options(path, options, "CIFAR", known=("--labels",))
    if (located := _located(path)) is None:
        wanted = " nor ".join(f"{e.folder}/ ({', '.join(e.files)})" for e in _EDITIONS)
        raise DatasetError(f"{path}: is neither {wanted}. Fetch and unpack it again.")
    edition, source = located
    kind = _kind(edition, options.labels, path)
    files = [source] if source.is_file() else [source / each for each in edition.files]
    unpacked = unpack(
        files_origin(_VERSION, path.name, files, kind),
        lambda _: _pictures(source, edition, edition.labels[kind]),
        progress,
    )
    which = f", {kind} labels" if len(edition.labels) > 1 else ""
    return unpacked.dataset(f"{edition.title}{which}, train and test as published")


def _located(path: Path) -> tuple[_Edition, Path] | None:
    """The edition, and its folder (this one, or the one inside with its name) or its archive."""
    if is_tar(path):
        first = next((member.path for member in members(path, Notes())), "")
        return next(((e, path) for e in _EDITIONS if e.folder in first.split("/")), None)
    for edition in _EDITIONS:
        for folder in (path, path / edition.folder):
            if all((folder / each).is_file() for each in edition.files):
                return edition, folder
    return None


def _kind(edition: _Edition, asked: str | None, path: Path) -> str:
    kind = asked or next(iter(edition.labels))
    if kind not in edition.labels:
        known = " or ".join(edition.labels) if len(edition.labels) > 1 else "one kind of them only"
        raise DatasetError(
            f"{path}: {edition.title} has no labels {kind!r} (--labels). It has {known}."
        )
    return kind


def _pictures(source: Path, edition: _Edition, labels: _Labels) -> Iterator[Packed]:
    (_, meta), *_ = _pickles(source, (edition.meta,))
    names = [_text(label) for label in _entry(meta, labels.names, source / edition.meta)]
    for batch, content in _pickles(source, tuple(edition.batches)):
        where = source / batch
        pixels = _pixels(content, where)
        codes = _entry(content, labels.of_pictures, where)
        if len(codes) != len(pixels) or not set(codes) <= set(range(len(names))):
            raise DatasetError(f"{where}: its labels do not fit. Fetch it again.")
        for i, (picture, code) in enumerate(zip(pixels, codes, strict=True)):
            yield Packed(numbered(batch, i), as_png(picture), names[code], edition.batches[batch])


def _pixels(content: dict[str, Any], where: Path) -> Any:
    """uint8 [N, 32, 32, 3]; the files have all red, then all green, then all blue."""
    data = _entry(content, "data", where)
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data[:1].size != 3 * 32 * 32:
        raise DatasetError(f"{where}: its pixels are not bytes of 32 × 32 × 3. Fetch it again.")
    return np.ascontiguousarray(data.reshape(-1, *_SHAPE).transpose(0, 2, 3, 1))


def _pickles(source: Path, wanted: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The wanted files by name, of an archive in the order they have there; all of them."""
    missing = set(wanted)
    for batch, data in (
        _from_tar(source, wanted) if source.is_file() else _from_folder(source, wanted)
    ):
        missing.discard(batch)
        yield batch, read_plain(data, str(source / batch))
    if missing:
        raise DatasetError(f"{source}: lacks {', '.join(sorted(missing))}. Fetch it again.")


def _from_folder(folder: Path, wanted: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    for batch in wanted:
        try:
            yield batch, (folder / batch).read_bytes()
        except OSError as exc:
            raise unreadable(folder / batch, exc) from exc


def _from_tar(source: Path, wanted: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    for member in members(source, Notes()):
        batch = posixpath.basename(member.path)
        if batch not in wanted:
            continue
        if member.size > _LARGEST:
            raise DatasetError(f"{source}: {batch} is larger than any published. Fetch it again.")
        yield batch, b"".join(member.content)


def _entry(content: dict[str, Any], key: str, where: Path) -> Any:
    if key not in content:
        raise DatasetError(f"{where}: has no {key!r}, as CIFAR's files have. Fetch it again.")
    return content[key]


def _text(label: object) -> str:
    return label.decode() if isinstance(label, bytes) else str(label)
