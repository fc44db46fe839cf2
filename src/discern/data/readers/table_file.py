"""A table on the disk, whichever format it has."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from discern.data.readers.csv_file import open_csv
from discern.data.readers.parquet_file import open_parquet
from discern.errors import DatasetError

CSV, PARQUET = (".csv", ".tsv"), (".parquet",)
SUFFIXES = CSV + PARQUET


class TableFile(Protocol):
    """A header, and rows of strings below it."""

    @property
    def path(self) -> Path: ...

    @property
    def header(self) -> tuple[str, ...]: ...

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Number and cells of each row; as many cells as the header has."""

    def fault(self, number: int, what: str) -> DatasetError:
        """The error for row `number`."""


def open_table(path: Path) -> TableFile:
    """Read the header of a table; DatasetError when it cannot be read."""
    return open_parquet(path) if path.suffix.lower() in PARQUET else open_csv(path)


def tables_in(folder: Path) -> list[Path]:
    """The tables that lie directly in a folder, sorted."""
    found = (path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    return sorted(path for path in found if path.is_file() and not path.name.startswith("."))
