"""A CSV file as a header and rows of strings; its faults as DatasetError."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from discern.data.listing import is_picture_name, unreadable
from discern.errors import DatasetError

_DELIMITERS = ",;\t"


@dataclass(frozen=True)
class CsvFile:
    """A table on the disk; rows count as a spreadsheet counts them: the header is row 1."""

    path: Path
    delimiter: str
    header: tuple[str, ...]

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Number and cells of each row, blank ones left out; as many cells as the header has."""
        with _faults(self.path), self.path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, delimiter=self.delimiter, strict=True, skipinitialspace=True)
            next(rows)
            for number, cells in enumerate(rows, start=2):
                if len(cells) == len(self.header):
                    yield number, cells
                elif cells:
                    fit = f"{len(cells)} of {len(self.header)} cells"
                    raise self.fault(number, f"does not fit the header: {fit}. Mend the row.")

    def fault(self, number: int, what: str) -> DatasetError:
        """The error for row `number`."""
        return DatasetError(f"{self.path}: row {number} {what}")


def open_csv(path: Path) -> CsvFile:
    """Read the header of a table; the delimiter is the one that makes the most columns."""
    with _faults(path), path.open(encoding="utf-8-sig", newline="") as file:
        line = file.readline()
        headers = {delimiter: _cells(line, delimiter) for delimiter in _DELIMITERS}
    delimiter = max(headers, key=lambda each: len(headers[each]))
    header = headers[delimiter]
    if not any(header):
        raise DatasetError(f"{path}: is empty. The first row must name the columns.")
    if any(is_picture_name(cell) for cell in header):
        raise DatasetError(
            f"{path}: has no header, its first row is {', '.join(header)}.\n"
            "Add a first row that names the columns, such as: image,label"
        )
    return CsvFile(path, delimiter, header)


def _cells(line: str, delimiter: str) -> tuple[str, ...]:
    rows = csv.reader([line], delimiter=delimiter, skipinitialspace=True)
    return tuple(cell.strip() for cell in next(rows, []))


@contextmanager
def _faults(path: Path) -> Iterator[None]:
    """What the system, the decoder and the csv module complain of, as DatasetError."""
    try:
        yield
    except OSError as exc:
        raise unreadable(path, exc) from exc
    except UnicodeDecodeError as exc:
        raise DatasetError(
            f"{path}: is no UTF-8 text (byte 0x{exc.object[exc.start]:02x}). "
            "Is it a table? Then save it as CSV in UTF-8."
        ) from exc
    except csv.Error as exc:
        raise DatasetError(f"{path}: is no valid CSV: {exc}. Mend its quotes.") from exc
