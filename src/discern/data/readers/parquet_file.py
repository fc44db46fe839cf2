"""A Parquet file as a header and rows of strings; its faults as DatasetError."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from discern.data.listing import unreadable
from discern.errors import DatasetError

if TYPE_CHECKING:
    import pyarrow

_BATCH = 1 << 14  # rows held as Python objects at a time


@dataclass(frozen=True)
class ParquetFile:
    """A table on the disk, without columns of lists, structures and bytes; rows count from 1."""

    path: Path
    header: tuple[str, ...]

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Number and cells of each row, written as a CSV would have them; "" for null."""
        from pyarrow.parquet import ParquetFile as Reader

        number = 0
        with parquet_faults(self.path), Reader(self.path) as file:
            for batch in file.iter_batches(_BATCH, columns=list(self.header)):
                columns = [_cells(batch.column(name)) for name in self.header]
                for cells in zip(*columns, strict=True):
                    number += 1
                    yield number, list(cells)

    def fault(self, number: int, what: str) -> DatasetError:
        """The error for row `number`."""
        return DatasetError(f"{self.path}: row {number} {what}")


def open_parquet(path: Path) -> ParquetFile:
    """Read the names of the columns whose values are plain; DatasetError without pyarrow."""
    header = tuple(column.name for column in parquet_schema(path) if _is_plain(column.type))
    if not header:
        raise DatasetError(f"{path}: has no column of texts or numbers.")
    return ParquetFile(path, header)


def parquet_schema(path: Path) -> "pyarrow.Schema":
    """A file's columns; DatasetError where it cannot be read, or without pyarrow."""
    try:
        from pyarrow.parquet import read_schema
    except ImportError as exc:
        raise DatasetError(
            f"{path}: reading Parquet needs pyarrow. pip install pyarrow, or save it as CSV."
        ) from exc
    with parquet_faults(path):
        return read_schema(path)


def _is_plain(kind: "pyarrow.DataType") -> bool:
    """Whether values of this type are texts, numbers, times or truths."""
    from pyarrow import types

    kind = kind.value_type if types.is_dictionary(kind) else kind
    texts = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    amounts = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    times = types.is_timestamp(kind) or types.is_date(kind) or types.is_time(kind)
    return bool(texts or amounts or times or types.is_boolean(kind))


def _cells(column: "pyarrow.Array") -> list[str]:
    return [text or "" for text in column.cast("string").to_pylist()]


@contextmanager
def parquet_faults(path: Path) -> Iterator[None]:
    """What the system and pyarrow complain of, as DatasetError."""
    from pyarrow import ArrowException

    try:
        yield
    except ArrowException as exc:
        reason = str(exc).splitlines()[0]
        raise DatasetError(f"{path}: is no valid Parquet file: {reason}") from exc
    except OSError as exc:
        raise unreadable(path, exc) from exc
