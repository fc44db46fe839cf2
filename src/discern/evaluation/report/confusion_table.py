"""The confusion matrix as a table to read: counts, shaded by their share of the row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from discern.evaluation.markup import name
from discern.evaluation.metrics import Metrics

# More cells than fit a page are read by nobody: beyond this, the classes with most mistakes.
MOST_CLASSES = 25
DENSE_FROM = 13
# Text on a shade deeper than this is easier to read in the page's opposite colour.
DEEP = 0.7

Positions: TypeAlias = Sequence[int]


def confusion_table(metrics: Metrics) -> str:
    """The matrix: a row a true class, a column an answer, "others" where classes were left out."""
    shown = _shown(metrics)
    answers = [k for k in shown if metrics.classes[k] not in metrics.unknown_classes]
    others = len(shown) < len(metrics.classes)
    dense = " dense" if len(shown) >= DENSE_FROM else ""
    return (
        f'<table class="heat{dense}">\n'
        f"<thead><tr><td>truth ↓ answer →</td>{_heads(metrics, answers, others)}</tr></thead>\n"
        "<tbody>\n"
        + "\n".join(_row(metrics, k, answers, others) for k in shown)
        + "\n</tbody></table>"
    )


def table_legend(metrics: Metrics) -> str:
    """How to read the table, and which classes it shows; to stand above it."""
    total, shown = len(metrics.classes), len(_shown(metrics))
    which = f", of the {shown} classes with most mistakes of {total}" if shown < total else ""
    return (
        f"Each row of the table is a true class{which}: right answers in grey, mistakes in colour, "
        "the deeper the more of the row."
    )


def _shown(metrics: Metrics) -> Positions:
    """All classes, or those with most mistakes, made or received; in the order of `classes`."""
    rows = metrics.confusion
    mistakes = [s.support + s.predicted - 2 * rows[k][k] for k, s in enumerate(metrics.per_class)]
    by_mistakes = sorted(range(len(rows)), key=lambda k: -mistakes[k])
    return sorted(by_mistakes[:MOST_CLASSES])


def _heads(metrics: Metrics, answers: Positions, others: bool) -> str:
    names = [metrics.classes[k] for k in answers] + ["others"] * others
    return "".join(_head("col", each) for each in names)


def _head(scope: str, label: str) -> str:
    return f'<th scope="{scope}"><span dir="auto" title="{name(label)}">{name(label)}</span></th>'


def _row(metrics: Metrics, k: int, answers: Positions, others: bool) -> str:
    counts, support = metrics.confusion[k], metrics.per_class[k].support
    cells = [_cell(counts[a], support, right=a == k) for a in answers]
    if others:
        seen = sum(counts[a] for a in answers)
        cells.append(_cell(support - seen, support, right=False))
    return f"<tr>{_head('row', metrics.classes[k])}{''.join(cells)}</tr>"


def _cell(count: int, support: int, *, right: bool) -> str:
    share = count / max(support, 1)
    if right:
        return f'<td class="right" style="--s:{0.2 * share:.2f}">{count}</td>'
    if not count:
        return "<td></td>"
    shade = share**0.5  # a mistake in 25 must be seen too
    deep = ' class="deep"' if shade > DEEP else ""
    return f'<td{deep} style="--s:{shade:.2f}">{count}</td>'
