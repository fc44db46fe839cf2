"""The dataset: an immutable, columnar table of samples; never their pixels."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from discern.data.split_names import split_order
from discern.errors import DatasetError

StringArray: TypeAlias = npt.NDArray[Any]  # [N] of STRING; numpy's stubs cannot say it yet
STRING = np.dtypes.StringDType()
_CHUNK = 1 << 16  # rows held as Python objects at a time


@dataclass(frozen=True)
class Sample:
    """One picture's file with its label, split and group; None where it has none."""

    path: Path
    label: str | None
    split: str | None
    group: str | None


class Row(NamedTuple):
    """A sample as it goes into the columns: the path relative to the root, "" for none."""

    path: str
    label: str
    split: str = ""
    group: str = ""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples as columns of strings, all [N]; "" stands for none.

    Paths are relative to `root` where they lie inside it. `source` says in a line what was
    taken for what. `given` keeps the splits as the source had them once `splits` are made.
    `metadata` are facts beside the pictures, by name, as they are written. `copies` are alike for
    samples that show one picture; None where nobody has looked for such.
    """

    root: Path
    paths: StringArray
    labels: StringArray
    splits: StringArray
    groups: StringArray
    source: str = ""
    given: StringArray | None = field(default=None, repr=False)
    metadata: Mapping[str, StringArray] = field(default_factory=dict)
    copies: StringArray | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name in ("paths", "labels", "splits", "groups", "given", "copies"):
            if (column := getattr(self, name)) is not None:
                object.__setattr__(self, name, _frozen(column, len(self.paths)))
        metadata = {name: _frozen(column, len(self)) for name, column in self.metadata.items()}
        object.__setattr__(self, "metadata", metadata)

    @classmethod
    def from_rows(
        cls,
        root: Path,
        rows: Iterable[tuple[str, ...]],
        source: str = "",
        metadata: Sequence[str] = (),
    ) -> "Dataset":
        """Stream rows into columns; DatasetError for a name that is not valid UTF-8.

        A row is a `Row`, with a value more for each name in `metadata`.
        """
        pieces: tuple[list[StringArray], ...] = tuple([] for _ in (*Row._fields, *metadata))
        stream = iter(rows)
        while chunk := list(islice(stream, _CHUNK)):
            for piece, values in zip(pieces, zip(*chunk, strict=True), strict=True):
                piece.append(_column(values))
        paths, labels, splits, groups, *facts = (_joined(piece) for piece in pieces)
        beside = dict(zip(metadata, facts, strict=True))
        return cls(root, paths, labels, splits, groups, source, metadata=beside)

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[Sample]:
        for start in range(0, len(self), _CHUNK):
            part = slice(start, start + _CHUNK)
            columns = (self.paths, self.labels, self.splits, self.groups)
            for path, *facts in zip(*(column[part].tolist() for column in columns), strict=True):
                yield Sample(self.root / path, *(fact or None for fact in facts))

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The names of the labelled samples' classes, sorted."""
        return tuple(name for name in np.unique(self.labels).tolist() if name)

    @cached_property
    def split_names(self) -> tuple[str, ...]:
        """The splits that occur: train, validation, test, then any other; without ""."""
        return tuple(sorted(filter(None, np.unique(self.splits).tolist()), key=split_order))

    def where(self, mask: npt.NDArray[Any]) -> "Dataset":
        """The samples that `mask` ([N] bool, or positions) picks."""
        return replace(
            self,
            paths=self.paths[mask],
            labels=self.labels[mask],
            splits=self.splits[mask],
            groups=self.groups[mask],
            given=None if self.given is None else self.given[mask],
            metadata={name: column[mask] for name, column in self.metadata.items()},
            copies=None if self.copies is None else self.copies[mask],
        )

    def select(self, split: str) -> "Dataset":
        """The samples of one split; DatasetError when there are none."""
        mask = self.splits == split
        if not mask.any():
            known = ", ".join(self.split_names) or "none"
            raise DatasetError(f"{self.root}: no samples in split {split!r}. Its splits: {known}.")
        return self.where(mask)

    def with_splits(self, splits: StringArray) -> "Dataset":
        """The same samples in other splits; the fingerprint stays that of the given ones."""
        return replace(self, splits=splits, given=self._given)

    def counts(self) -> dict[str, dict[str, int]]:
        """Samples by split and class; "" counts those without a split, or without a label."""
        labels, codes = np.unique(self.labels, return_inverse=True)
        return {
            split: _tally(labels, codes[self.splits == split])
            for split in (*self.split_names, "")
            if split or (self.splits == "").any()
        }

    def file(self, i: int) -> Path:
        """The file of sample `i`."""
        return self.root / str(self.paths[i])

    def files(self) -> Iterator[Path]:
        """The files of all samples, in order."""
        for start in range(0, len(self), _CHUNK):
            for path in self.paths[start : start + _CHUNK].tolist():
                yield self.root / path

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256, in hex, over the sorted rows of path, label, given split and metadata."""
        digest = hashlib.sha256()
        end = np.array("\0", dtype=STRING)  # no path can contain it, so that rows cannot blur
        rows = self.paths + end + self.labels + end + self._given + end
        for name, column in sorted(self.metadata.items()):
            rows = rows + np.array(f"{name}\0", dtype=STRING) + column + end
        rows.sort()
        for start in range(0, len(rows), _CHUNK):
            digest.update("".join(rows[start : start + _CHUNK].tolist()).encode())
        return digest.hexdigest()

    @property
    def _given(self) -> StringArray:
        return self.splits if self.given is None else self.given


def _frozen(values: StringArray, length: int) -> StringArray:
    """A read-only view of `values` as a column."""
    # Every array has a StringDType of its own; asarray would copy one that differs in nothing.
    is_column = isinstance(values.dtype, np.dtypes.StringDType)
    column = (values if is_column else values.astype(STRING)).view()
    if column.shape != (length,):
        raise ValueError(f"columns differ in shape: {column.shape} and {(length,)}")
    column.flags.writeable = False
    return column


def _column(values: tuple[str, ...]) -> StringArray:
    try:
        return np.array(values, dtype=STRING)
    except UnicodeEncodeError as exc:  # file names are bytes; Python hides the bad ones
        raise DatasetError(
            f"{exc.object!r}: a file name that is not valid UTF-8. Rename the file."
        ) from exc


def _joined(pieces: list[StringArray]) -> StringArray:
    """The pieces as one column; they are dropped, so that only one column exists twice."""
    column = np.concatenate(pieces) if pieces else np.empty(0, dtype=STRING)
    pieces.clear()
    return column


def _tally(names: StringArray, codes: npt.NDArray[np.intp]) -> dict[str, int]:
    numbers = np.bincount(codes, minlength=len(names)).tolist()
    return {name: n for name, n in zip(names.tolist(), numbers, strict=True) if n}
