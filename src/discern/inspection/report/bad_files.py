"""Files that cannot be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from discern.data import Dataset
from discern.evaluation.markup import clipped, count, name, text
from discern.evaluation.report.elements import (
    TALL_FROM,
    Section,
    lead,
    listed,
    row,
    scrollable,
    table,
)
from discern.inspection.inspection import BadFile, Inspection
from discern.inspection.report.shown import file_of, label_of, split_of

MOST = 500  # rows
NAMED = 5


def bad_files(inspection: Inspection) -> Section:
    """A table of them, each with its reason."""
    bad, n = inspection.bad, len(inspection.dataset)
    if not bad:
        return Section("Bad files", "Bad files", lead(f"None: {_all(n)} can be decoded."))
    reasons = Counter(clipped(each.reason) for each in bad)
    kinds = [f"{times:,} × {reason}" for reason, times in reasons.most_common()]
    why = (
        f"{len(bad):,} of {count(n, 'file')} cannot be used: {listed(kinds, NAMED)}. Training and "
        "evaluation leave them out, each by name. Fetch them again, or drop them."
    )
    shown = _table(inspection.dataset, bad[:MOST], len(bad) - MOST)
    box = scrollable("Each with its reason", shown, tall=len(bad) > TALL_FROM)
    return Section("Bad files", "Bad files", f"{lead(text(why))}\n{box}")


def _all(n: int) -> str:
    return "the one file" if n == 1 else f"all {count(n, 'file')}"


def _table(dataset: Dataset, bad: Sequence[BadFile], more: int) -> str:
    rows = [
        row(
            file_of(dataset, each.sample),
            (
                name(label_of(dataset, each.sample)),
                name(split_of(dataset, each.sample)),
                name(each.reason),
            ),
        )
        for each in bad
    ]
    caption = f"And {count(more, 'more', 'more')}." if more > 0 else ""
    return table(("File", "Class", "Split", "Why"), rows, caption=caption, sortable=True)
