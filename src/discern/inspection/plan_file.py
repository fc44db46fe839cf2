"""Plans as tables that a person edits in a spreadsheet, and as they come back from one.

What spreadsheets do is provided for: they take text for a formula that begins with =, +, - or @
(https://owasp.org/www-community/attacks/CSV_Injection), write semicolons or tabs where the
country's numbers have commas, put a mark before UTF-8, end lines as Windows does, and add empty
columns and rows.
"""

import csv
import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from discern.data.readers.csv_file import CsvFile, open_csv
from discern.data.readers.table_columns import plain_name
from discern.data.split_names import SPLITS, canonical_split
from discern.errors import DatasetError
from discern.inspection.plan import ACTIONS, Action, Change, Plan

COLUMNS = (
    *("path", "action", "label", "split", "reason"),
    *("given_label", "given_split", "group", "data"),
)
_MARK = "\ufeff"  # without it spreadsheets read UTF-8 as the machine's old code page
_FORMULA = "=+-@\t\r"
_NAMED = "sha256:"  # with it no spreadsheet takes the hex digits behind for a number
_DIGITS = 16  # of the fingerprint


def write_plan(plan: Plan, file: TextIO) -> None:
    """Write a plan as a CSV table; `read_plan` gives it back.

    Every cell stands in quotes, so that one with a semicolon in it is not taken apart where
    semicolons part cells.
    """
    file.write(_MARK)
    writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(COLUMNS)
    data = f"{_NAMED}{plan.fingerprint[:_DIGITS]}" if plan.fingerprint else ""
    for change in plan.changes:
        writer.writerow(
            (
                _path_cell(change.path),
                change.action,
                _cell(change.label),
                change.split,
                _cell(change.reason),
                _cell(change.given_label),
                change.given_split,
                "" if change.group is None else change.group,
                data,
            )
        )


def read_plan(path: Path) -> Plan:
    """The plan in a CSV file, its columns in any order, beside others.

    Only path and action are needed, label where a row says relabel, split where it says move.
    DatasetError, naming the row, for what cannot be understood.
    """
    table = open_csv(path)
    columns = _columns(table)
    changes, fingerprints = [], set[str]()
    for number, cells in table.rows():
        row = {name: cells[at] for name, at in columns.items()}
        if any(map(str.strip, cells)):
            changes.append(_change(table, number, row))
            fingerprints.add(row.get("data", "").strip().removeprefix(_NAMED))
    fingerprints.discard("")
    if len(fingerprints) > 1:
        raise DatasetError(
            f"{path}: holds rows of {len(fingerprints)} different datasets (column 'data').\n"
            "Apply the plan of one dataset at a time."
        )
    return Plan(tuple(changes), "".join(fingerprints))


def _columns(table: CsvFile) -> dict[str, int]:
    """Where the columns stand that a plan knows; the first of each name."""
    names = list(map(plain_name, table.header))
    found = {name: names.index(name) for name in COLUMNS if name in names}
    if lacking := [name for name in ("path", "action") if name not in found]:
        raise DatasetError(
            f"{table.path}: has no column {lacking[0]!r}, so it is no plan. "
            "Write one with --fix PLAN.csv."
        )
    return found


def _change(table: CsvFile, number: int, row: Mapping[str, str]) -> Change:
    path = row["path"].removeprefix("./")
    if not path.strip():
        raise table.fault(number, "names no picture. Fill in its path, or take the row out.")
    action = _action(table, number, row["action"])
    label = _text(row.get("label", ""))
    if action == "relabel" and not label.strip():
        raise table.fault(number, "says relabel but has no label. Write the new one there.")
    split = row.get("split", "").strip()
    if action == "move":
        split = _split(table, number, split)
    return Change(
        path,
        action,
        label if label.strip() else "",
        split,
        _text(row.get("reason", "")),
        _text(row.get("given_label", "")),
        row.get("given_split", ""),
        _group(row.get("group", "")),
    )


def _action(table: CsvFile, number: int, cell: str) -> Action:
    word = cell.strip().casefold()
    for action in ACTIONS:
        if word == action:
            return action
    if not word:
        raise table.fault(number, f"has no action. Write {_either(ACTIONS)}.")
    near = difflib.get_close_matches(word, ACTIONS, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"Write {_either(ACTIONS)}."
    raise table.fault(number, f"has the action {cell!r}, which is none. {hint}")


def _split(table: CsvFile, number: int, cell: str) -> str:
    if split := canonical_split(cell):
        return split
    what = f"to {cell!r}, which is no split" if cell else "but has no split"
    raise table.fault(number, f"says move {what}. Write {_either(SPLITS)}.")


def _either(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


def _group(cell: str) -> int | None:
    """A group's number; it is there to be read by people, so what is none does not matter."""
    return int(cell) if cell.strip().isdecimal() else None


def _path_cell(path: str) -> str:
    """A path that is no formula: ./=a.jpg names the file that =a.jpg does."""
    return f"./{path}" if path.startswith(tuple(_FORMULA)) else path


def _cell(text: str) -> str:
    """Text that is no formula: an apostrophe goes before it, as spreadsheets mean it."""
    return f"'{text}" if re.match(f"'*[{re.escape(_FORMULA)}]", text) else text


def _text(cell: str) -> str:
    """What `_cell` made a cell of, also where a spreadsheet has taken the apostrophe away."""
    return cell[1:] if re.match(f"'+[{re.escape(_FORMULA)}]", cell) else cell
