"""A row for each picture, on disk: append-only segments that any number of processes may add to.

A segment is two arrays: `<id>.keys.npy`, the pictures' hashes, uint8 [n, 16], and
`<id>.values.npy`, n rows. Values are renamed into place before keys, and a segment
exists once its keys do, so a killed process leaves no half segment behind and loses only
what it had not yet written. Two processes at the same picture write it twice, with the same
values.
"""

import os
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from discern.images.digest import DIGEST_BYTES
from discern.whole_folder import writing

Rows = npt.NDArray[Any]  # [n, …]

WRITE_EVERY_S = 5.0
WRITE_EVERY = 4096  # pictures


class RowCache:
    """Rows of one kind: a backbone's embeddings, say. `row` is the dtype of one, shape and all."""

    def __init__(self, folder: Path, row: npt.DTypeLike) -> None:
        self.folder = folder
        self.row = np.dtype(row)
        self._keys: list[bytes] = []
        self._values: list[Any] = []
        self._written = time.monotonic()

    def known(self) -> set[bytes]:
        """The hashes of all pictures in the cache."""
        return {key for keys, _ in self._segments() for key in _split(keys)}

    def read(self, wanted: Mapping[bytes, int]) -> Rows:
        """The rows of `wanted` pictures, each at its place; KeyError if one is missing."""
        found = np.zeros(len(wanted), dtype=bool)
        rows = np.empty(len(wanted), self.row)
        for keys, values in self._segments():
            here = [(i, wanted[key]) for i, key in enumerate(_split(keys)) if key in wanted]
            if here:
                source, target = np.array(here).T
                rows[target] = values[source]
                found[target] = True
        if not found.all():
            raise KeyError(f"{(~found).sum()} rows are missing from {self.folder}")
        return rows

    def add(self, key: bytes, value: Any) -> None:
        """Keep one row; it reaches the disk within seconds, or with `flush`."""
        self._keys.append(key)
        self._values.append(value)
        if len(self._keys) >= WRITE_EVERY or time.monotonic() - self._written > WRITE_EVERY_S:
            self.flush()

    def flush(self) -> None:
        """Write what is still in memory as one segment."""
        self._written = time.monotonic()
        if not self._keys:
            return
        keys = np.frombuffer(b"".join(self._keys), np.uint8).reshape(-1, DIGEST_BYTES)
        name = uuid.uuid4().hex
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._write(f"{name}.values.npy", np.array(self._values, self.row.base))
            self._write(f"{name}.keys.npy", keys)
        self._keys, self._values = [], []

    def _write(self, name: str, array: Rows) -> None:
        part = self.folder / f"{name}.tmp"
        try:
            with part.open("wb") as file:
                np.save(file, array)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self.folder / name)
        except BaseException:
            part.unlink(missing_ok=True)
            raise

    def _segments(self) -> Iterator[tuple[npt.NDArray[np.uint8], Rows]]:
        for path in sorted(self.folder.glob("*.keys.npy")):
            try:
                keys = np.load(path)
                values = np.load(path.with_name(path.name.replace(".keys.", ".values.")), "r")
            except (OSError, ValueError, EOFError):  # damaged: its pictures are looked at again
                continue
            fits = values.dtype == self.row.base and values.shape[1:] == self.row.shape
            if fits and keys.shape == (len(values), DIGEST_BYTES):
                yield keys, values


def _split(keys: npt.NDArray[np.uint8]) -> Iterator[bytes]:
    data = keys.tobytes()
    return (data[i : i + DIGEST_BYTES] for i in range(0, len(data), DIGEST_BYTES))
