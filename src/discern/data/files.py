"""A dataset's files as a sequence that takes no memory."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np

from discern.data.dataset import Dataset


class Files(Sequence[Path]):
    """A dataset's files, each made when it is asked for: a million would take 0.4 GB."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def __iter__(self) -> Iterator[Path]:
        return self._dataset.files()

    @overload
    def __getitem__(self, i: int) -> Path: ...
    @overload
    def __getitem__(self, i: slice) -> Sequence[Path]: ...
    def __getitem__(self, i: int | slice) -> Path | Sequence[Path]:
        if isinstance(i, slice):
            return Files(self._dataset.where(np.arange(len(self))[i]))
        return self._dataset.file(i)
