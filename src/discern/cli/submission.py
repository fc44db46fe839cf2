"""A competition's submission: the rows and columns of its sample, filled with a model's answers."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from discern.data.listing import PICTURE_FOLDERS
from discern.data.readers.csv_file import CsvFile, open_csv
from discern.data.readers.picture_index import PictureIndex
from discern.data.readers.table_columns import picture_column
from discern.data.split_names import TEST
from discern.errors import DatasetError

if TYPE_CHECKING:
    from discern.runtime import Prediction

_SHOWN = 3  # examples in a message


@dataclass(frozen=True)
class Sample:
    """The sample submission: its table, where the ids stand, and whether classes have columns."""

    table: CsvFile
    id_at: int
    by_class: bool

    def pictures(self, folder: Path) -> list[str]:
        """The picture of each row, in order, below `folder`; DatasetError where one is missing."""
        index = PictureIndex(self.table.path, folder, homes=(TEST, *PICTURE_FOLDERS))
        found, missing = list[str](), list[str]()
        for number, cells in self.table.rows():
            path = self._find(index, number, cells[self.id_at])
            if path is None:
                missing.append(f"{cells[self.id_at]!r} (row {number})")
            else:
                found.append(str(folder / path))
        if missing or not found:
            raise self._incomplete(folder, missing)
        return found

    def write(self, answers: Iterable[tuple[str, "Prediction"]], file: TextIO) -> None:
        """Write the sample's rows with these answers; DatasetError for a picture without one."""
        writer = csv.writer(file, delimiter=self.table.delimiter, lineterminator="\n")
        writer.writerow(self.table.header)
        for (number, cells), (name, answer) in zip(self.table.rows(), answers, strict=True):
            if answer.error is not None:
                raise self.table.fault(
                    number,
                    f"would be missing: {name}: {answer.error}.\n"
                    "No submission was written. Mend the picture.",
                )
            writer.writerow(self._filled(cells, answer))

    def _filled(self, cells: Sequence[str], answer: "Prediction") -> Iterator[str]:
        for at, (column, cell) in enumerate(zip(self.table.header, cells, strict=True)):
            if at == self.id_at:
                yield cell
            else:
                yield f"{answer.scores[column]:.9g}" if self.by_class else answer.label or ""

    def _find(self, index: PictureIndex, number: int, cell: str) -> str | None:
        try:
            path = index.relative(cell)
            return None if path is None else index.find(path)
        except DatasetError as exc:
            raise self.table.fault(number, str(exc)) from exc

    def _incomplete(self, folder: Path, missing: list[str]) -> DatasetError:
        if not missing:
            return DatasetError(f"{self.table.path}: has no rows below its header.")
        shown = ", ".join(missing[:_SHOWN]) + (", …" if len(missing) > _SHOWN else "")
        return DatasetError(
            f"{self.table.path}: {len(missing)} of its rows have no picture in {folder}: {shown}.\n"
            "No submission was written. Name the folder that holds them all."
        )


def read_sample(path: Path, labels: Sequence[str]) -> Sample:
    """The form of a sample submission; DatasetError where a model with these labels cannot fill it.

    One column beside the ids takes the label, unless it has a class's name: it then takes that
    class's probability, as each of several columns does.
    """
    table = open_csv(path)
    id_at = picture_column(table)
    columns = [name for at, name in enumerate(table.header) if at != id_at]
    strangers = [name for name in columns if name not in labels]
    if len(columns) == 1 and strangers:
        _check_takes_labels(table, columns[0])
        return Sample(table, id_at, by_class=False)
    if strangers or not columns:
        what = f"asks for {strangers[0]!r}" if strangers else "has ids only"
        known = ", ".join(labels[:10])
        raise DatasetError(f"{path}: {what}, which is no class of the model. Its classes: {known}.")
    lacking = [label for label in labels if label not in columns]
    if lacking and len(columns) > 1:
        raise DatasetError(
            f"{path}: has no column for {lacking[0]!r}, which the model was trained on.\n"
            f"Train without it (--exclude {lacking[0]}), or take the sample of this competition."
        )
    return Sample(table, id_at, by_class=True)


def _check_takes_labels(table: CsvFile, column: str) -> None:
    """A fraction, such as 0.5, stands for a probability; of which class nobody says."""
    _, cells = next(table.rows(), (0, list[str]()))
    value = cells[table.header.index(column)] if cells else ""
    if "." in value and value.replace(".", "", 1).isdecimal():
        raise DatasetError(
            f"{table.path}: column {column!r} holds {value}, a probability, and no class's name.\n"
            "Give the column the name of the class whose probability is asked for."
        )
