"""NumPy arrays: data.npy with labels.npy, X_train and y_train with or without test, an .npz."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from discern.data.dataset import Dataset
from discern.data.readers.array_file import NPY, NPZ, Array, ArrayFile, array_names, arrays_at
from discern.data.readers.array_pixels import as_pixels, axes_of, check_range
from discern.data.readers.reader import ReadOptions, refuse_options
from discern.data.split_names import TEST, UNLABELLED, canonical_split
from discern.data.unpacked import Packed, as_png, files_origin, numbered, unpack
from discern.errors import DatasetError
from discern.progress import Progress

name = "numpy"
_VERSION = "numpy 1"
_PICTURES = frozenset({"data", "images", "image", "imgs", "pictures", "photos", "x"})
_LABELS = frozenset({"labels", "label", "targets", "target", "y"})
_EXAMPLE = "data.npy with labels.npy, X_train.npy with y_train.npy, or an .npz with such names"


class _Pair(NamedTuple):
    """Pictures, their labels (None where there are none) and split, "" for none."""

    pictures: str
    labels: str | None
    split: str


def recognises(path: Path) -> bool:
    """An .npz, or a folder with .npy files, in which pictures and labels have usual names."""
    if not path.is_dir() and path.suffix.lower() != NPZ:
        return False
    try:
        return any(pair.labels for pair in _pairs(array_names(path)))
    except DatasetError:
        return path.suffix.lower() == NPZ  # to be told what is wrong with it


def read(path: Path, options: ReadOptions, progress: Progress) -> Dataset:
    """The pictures as PNG files, labelled with their numbers or names."""
    refuse_options(path, options, "NumPy arrays")
    pairs = _pairs(array_names(path))
    if not any(pair.labels for pair in pairs):
        raise DatasetError(f"{path}: has no arrays of pictures and labels. Known: {_EXAMPLE}.")
    arrays = arrays_at(path)
    files = sorted({arrays[each].path for pair in pairs for each in pair[:2] if each})
    unpacked = unpack(
        files_origin(_VERSION, path.name, files),
        lambda _: (each for pair in pairs for each in _pictures(pair, arrays)),
        progress,
        total=sum(arrays[pair.pictures].shape[0] for pair in pairs if arrays[pair.pictures].shape),
    )
    taken = [
        f"pictures from {p.pictures}" + (f" with {p.labels}" if p.labels else "") for p in pairs
    ]
    return unpacked.dataset(f"NumPy arrays: {', '.join(taken)}")


def _pairs(names: list[str]) -> list[_Pair]:
    """Pictures and labels of one split belong together."""
    pictures, labels = _by_split(names, _PICTURES), _by_split(names, _LABELS)
    known = {split: labels.get(split) for split in pictures}
    lone = [split for split, found in known.items() if not found and split != TEST]
    if lone and len(lone) < len(known):
        raise DatasetError(f"{pictures[lone[0]]}{NPY} has no labels beside it. Known: {_EXAMPLE}.")
    return [_Pair(pictures[split], known[split], split) for split in pictures]


def _by_split(names: list[str], usual: frozenset[str]) -> dict[str, str]:
    """The names that stand for pictures, or for labels, by their split."""
    found: dict[str, str] = {}
    for each in sorted(names):
        words = set(re.split(r"[_\-. ]+", re.sub(r"^([xy])(?=t|v)", r"\1_", each.casefold())))
        kind, rest = words & usual, words - usual
        split = canonical_split(next(iter(rest))) if len(rest) == 1 else "" if not rest else None
        if len(kind) == 1 and split is not None:
            if split in found:
                raise DatasetError(
                    f"{found[split]} and {each} may both be meant. Keep one of these arrays."
                )
            found[split] = each
    return found


def _pictures(pair: _Pair, arrays: dict[str, ArrayFile]) -> Iterator[Packed]:
    array = arrays[pair.pictures]
    axes = axes_of(array)
    labels = None if pair.labels is None else _labels(arrays[pair.labels], array)
    check_range(array)
    number = 0
    for part in array.parts():
        for picture in part:
            path = numbered(pair.pictures, number)
            content = as_png(as_pixels(picture, axes))
            if labels is None:
                yield Packed(path, content, "", UNLABELLED)
            else:
                yield Packed(path, content, _text(labels[number]), pair.split)
            number += 1


def _labels(array: ArrayFile, pictures: ArrayFile) -> Array:
    """One label a picture, [N]."""
    if array.shape[:1] != pictures.shape[:1]:
        raise DatasetError(
            f"{array.where} has {array.shape[:1]} labels, {pictures.where} {pictures.shape[:1]} "
            "pictures. They must be as many."
        )
    if array.shape[1:] not in ((), (1,)):
        raise DatasetError(
            f"{array.where}: labels of shape {list(array.shape)}. Save one label a picture; "
            "of rows with a one in them, np.argmax(labels, axis=1)."
        )
    labels = array.whole().reshape(-1)
    if labels.dtype.kind == "f" and np.array_equal(labels, np.trunc(labels)):
        labels = labels.astype(np.int64)
    if labels.dtype.kind not in "biuUS":
        raise DatasetError(f"{array.where}: labels of type {labels.dtype}. Save numbers or names.")
    return labels


def _text(label: np.generic) -> str:
    value = label.item()
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
