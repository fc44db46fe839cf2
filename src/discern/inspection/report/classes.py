"""How many pictures each class has, in which split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from discern.evaluation.markup import clipped, count, name, percent, text
from discern.evaluation.report.elements import (
    TALL_FROM,
    Section,
    lead,
    listed,
    row,
    scrollable,
    table,
)
from discern.inspection.inspection import Inspection
from discern.inspection.report.verdict import unlearnable_classes

MOST = 1_000  # rows; with more, nobody finds anything, and the page grows too large
MOST_SPLITS = 8  # columns
NAMED = 8
UNEVEN_FROM = 4.0  # largest class over smallest
SHADES = 4

Counts = Mapping[str, Mapping[str, int]]


def classes(inspection: Inspection) -> Section:
    """A table to sort, from the largest class to the smallest, and what their sizes mean."""
    counts = inspection.dataset.counts()
    splits = list(counts)[:MOST_SPLITS]
    totals = _totals(counts)
    largest_first = sorted(totals, key=lambda label: (-totals[label], label))
    most = max(totals.values(), default=1)
    rows = [_row(label, counts, splits, totals[label] / most) for label in largest_first[:MOST]]
    columns = ("Class", "Pictures", *(clipped(split) or "no split" for split in splits))
    left_out = len(largest_first) - len(rows)
    caption = f"{count(left_out, 'smaller class', 'smaller classes')} not listed." * bool(left_out)
    shown = table(columns, rows, caption=caption, sortable=True)
    box = scrollable("Pictures of each class", shown, tall=len(rows) > TALL_FROM)
    told = lead(_in_words(totals)) + _lacking(unlearnable_classes(inspection))
    return Section("Classes", "Classes and splits", f"{told}\n{_legend(splits)}\n{box}")


def _totals(counts: Counts) -> dict[str, int]:
    totals: dict[str, int] = {}
    for of_split in counts.values():
        for label, n in of_split.items():
            totals[label] = totals.get(label, 0) + n
    return totals


def _row(label: str, counts: Counts, splits: Sequence[str], of_largest: float) -> str:
    numbers = [counts[split].get(label, 0) for split in splits]
    total = sum(of_split.get(label, 0) for of_split in counts.values())
    cells = [_stacked(numbers, total, of_largest), *(f"{n:,}" for n in numbers)]
    return row(label or "no label", cells)


def _stacked(numbers: Sequence[int], total: int, of_largest: float) -> str:
    """A bar as long as the class is large, in pieces by split, with the total."""
    pieces = "".join(
        f'<i class="shade-{k % SHADES}" style="--v:{of_largest * n / total:.4f}"></i>'
        for k, n in enumerate(numbers)
        if n
    )
    return f'<span class="cell"><span class="stacked">{pieces}</span><span>{total:,}</span></span>'


def _legend(splits: Sequence[str]) -> str:
    """Which shade is which split; the columns tell the same in numbers."""
    if len(splits) < 2:
        return ""
    lines = "".join(
        f'<li><i class="shade-{k % SHADES}"></i> '
        f'<span dir="auto">{name(split) or "no split"}</span></li>'
        for k, split in enumerate(splits)
    )
    return f'<ul class="legend" aria-label="Shades of the bars">{lines}</ul>'


def _in_words(totals: Mapping[str, int]) -> str:
    """How uneven the classes are, and what follows; markup."""
    sizes = {label: n for label, n in totals.items() if label}
    if len(sizes) < 2:
        return "With fewer than two classes there is nothing to tell apart."
    largest, smallest = max(sizes, key=sizes.__getitem__), min(sizes, key=sizes.__getitem__)
    ratio, share = sizes[largest] / sizes[smallest], sizes[largest] / sum(sizes.values())
    if ratio < UNEVEN_FROM:
        return f"Classes are about alike in size: the largest has {_times(ratio)} the smallest."
    return (
        f"The largest class, {_named(largest)}, has {_times(ratio)} the pictures of the "
        f"smallest, {_named(smallest)}; always answering {_named(largest)} would be right "
        f"{percent(share)} % of the time. Rare classes are learned worst: judge a model by macro "
        "F1 as well."
    )


def _times(ratio: float) -> str:
    return f"{ratio:.1f} times" if ratio < 10 else f"{ratio:,.0f} times"


def _lacking(labels: Sequence[str]) -> str:
    if not labels:
        return ""
    told = (
        f"Not in train, but in another split: {listed([clipped(each) for each in labels], NAMED)}. "
        "No model can learn what it is not shown."
    )
    return f'\n<p class="note" role="note">{text(told)}</p>'


def _named(label: str) -> str:
    return f'<b dir="auto">{name(label)}</b>'
