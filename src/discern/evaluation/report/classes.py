"""How each class fares."""

from __future__ import annotations

from discern.evaluation.markup import count
from discern.evaluation.metrics import ClassScore, Metrics, wilson_interval
from discern.evaluation.report.elements import TALL_FROM, Section, bar, row, scrollable, table

MOST = 1_000  # rows; with more, nobody finds anything, and the page grows too large


def classes(metrics: Metrics) -> Section:
    """A table to sort, from the worst F1 to the best."""
    worst_first = sorted(metrics.per_class, key=lambda s: (s.f1, -s.support, s.label))
    rows = [_row(s) for s in worst_first[:MOST]]
    left_out = len(worst_first) - len(rows)
    caption = "In percent, at first from the worst F1 to the best. Lines are 95 % intervals."
    if left_out:
        caption += f" {count(left_out, 'class', 'classes')} with a better F1 are not listed."
    columns = ("Class", "Pictures", "Precision", "Recall", "F1")
    shown = table(columns, rows, caption=caption, sortable=True)
    return Section(
        "Classes", "Classes", scrollable("Scores of each class", shown, tall=len(rows) > TALL_FROM)
    )


def _row(of_class: ClassScore) -> str:
    hits = round(of_class.recall * of_class.support)
    shares = (
        _share(of_class.precision, hits, of_class.predicted),
        _share(of_class.recall, hits, of_class.support),
        bar(of_class.f1),
    )
    return row(of_class.label, [f"{of_class.support:,}", *shares])


def _share(value: float, hits: int, n: int) -> str:
    return bar(value, wilson_interval(hits, n) if n else None)
