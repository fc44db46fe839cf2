"""NumPy arrays in .npy and .npz files, a part at a time; never unpickled."""

import math
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from discern.data.listing import is_litter, unreadable
from discern.data.readers.archive_members import LIMITS
from discern.errors import DatasetError

Array: TypeAlias = npt.NDArray[Any]

NPY, NPZ = ".npy", ".npz"
_PART = 1 << 23  # bytes held at a time


@dataclass(frozen=True)
class ArrayFile:
    """An array, in a file of its own or under a name in an .npz."""

    path: Path
    member: str | None
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def where(self) -> str:
        """The array's name in messages."""
        return f"{self.path}: {self.member}" if self.member else str(self.path)

    def parts(self) -> Iterator[Array]:
        """The array in parts [n, …] along its first axis, in order."""
        row = max(1, math.prod(self.shape[1:]) * self.dtype.itemsize)
        step = max(1, _PART // row)
        with _faults(self.path):
            yield from self._streamed(step, row) if self.member else self._mapped(step)

    def whole(self) -> Array:
        """All of it, for what is small: labels."""
        parts = list(self.parts())
        return np.concatenate(parts) if parts else np.empty(self.shape, self.dtype)

    def _mapped(self, step: int) -> Iterator[Array]:
        array = np.load(self.path, mmap_mode="r", allow_pickle=False)
        for start in range(0, len(array), step):
            yield array[start : start + step]

    def _streamed(self, step: int, row: int) -> Iterator[Array]:
        with zipfile.ZipFile(self.path) as archive, archive.open(f"{self.member}{NPY}") as file:
            _header(file)
            for start in range(0, self.shape[0], step):
                n = min(step, self.shape[0] - start)
                yield np.frombuffer(file.read(n * row), self.dtype).reshape(n, *self.shape[1:])


def arrays_at(path: Path) -> dict[str, ArrayFile]:
    """The arrays in an .npz, or in the .npy files directly in a folder, by name."""
    if not path.is_dir():
        return _in_npz(path)
    files = sorted(file for file in path.iterdir() if file.suffix.lower() == NPY)
    return {file.stem: _opened(file) for file in files if not is_litter(file.name)}


def array_names(path: Path) -> list[str]:
    """The names of `arrays_at`, without a look into the arrays."""
    if path.is_dir():
        return [f.stem for f in path.iterdir() if f.suffix.lower() == NPY and not is_litter(f.name)]
    with _faults(path), zipfile.ZipFile(path) as archive:
        return [name.removesuffix(NPY) for name in archive.namelist() if name.endswith(NPY)]


def _in_npz(path: Path) -> dict[str, ArrayFile]:
    with _faults(path), zipfile.ZipFile(path) as archive:
        if sum(i.file_size for i in archive.infolist()) > LIMITS.bytes_of(path.stat().st_size):
            raise DatasetError(
                f"{path}: unpacks to far more than it is, as archives made to fill disks do.\n"
                "If you trust it, save its arrays as .npy files."
            )
        found = {}
        for member in array_names(path):
            with archive.open(f"{member}{NPY}") as file:
                shape, by_columns, dtype = _header(file)
            if by_columns and len(shape) > 1:
                raise DatasetError(
                    f"{path}: {member} is stored by columns. Save np.ascontiguousarray of it."
                )
            found[member] = _checked(ArrayFile(path, member, shape, dtype))
        return found


def _opened(path: Path) -> ArrayFile:
    with _faults(path), path.open("rb") as file:
        shape, _, dtype = _header(file)
    return _checked(ArrayFile(path, None, shape, dtype))


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    version = np.lib.format.read_magic(file)
    if version not in readers:
        raise ValueError(f"format {version[0]}.{version[1]}, which is for arrays with named fields")
    return readers[version](file)  # type: ignore[no-any-return, no-untyped-call, unused-ignore]


def _checked(array: ArrayFile) -> ArrayFile:
    if array.dtype.hasobject:
        raise DatasetError(
            f"{array.where} holds Python objects, which would have to be unpickled; that can run "
            "whatever is in them.\nSave it as an array of numbers, all pictures of one size."
        )
    return array


@contextmanager
def _faults(path: Path) -> Iterator[None]:
    """What NumPy and zipfile complain of, as DatasetError."""
    try:
        yield
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as exc:
        raise DatasetError(f"{path}: is no valid file of NumPy arrays: {exc}.") from exc
    except (RuntimeError, NotImplementedError) as exc:  # encrypted, or packed in an odd way
        raise DatasetError(f"{path}: cannot be read here: {exc}. Save it anew.") from exc
    except OSError as exc:
        raise unreadable(path, exc) from exc
