"""A CSV of facts beside pictures, for `discern predict`."""

from collections.abc import Mapping
from pathlib import Path

from discern.data.metadata import MetadataSpec
from discern.data.readers.table_columns import picture_column
from discern.data.readers.table_file import open_table
from discern.errors import DatasetError


class FactsFile:
    """Facts by picture: by its path as it is asked for, or by its file's name."""

    def __init__(self, path: Path, spec: MetadataSpec) -> None:
        table = open_table(path)
        image = picture_column(table)
        known = [(k, name) for k, name in enumerate(table.header) if name in spec.columns]
        if not known:
            raise DatasetError(
                f"{path}: has none of the facts that the model knows: {', '.join(spec.columns)}."
            )
        self._rows: dict[str, dict[str, str]] = {}
        for number, cells in table.rows():
            facts = {name: cells[k] for k, name in known}
            if self._rows.setdefault(cells[image], facts) != facts:
                raise table.fault(number, f"contradicts an earlier row for {cells[image]!r}.")

    def of(self, picture: str) -> Mapping[str, str]:
        """What is known of a picture; nothing where the file does not name it."""
        return self._rows.get(picture) or self._rows.get(Path(picture).name, {})
