"""Where the model is weaker than elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from discern.evaluation.findings import Slice
from discern.evaluation.markup import count, percent
from discern.evaluation.report.elements import Section, bar, folded, lead, row, scrollable, table

MOST_ROWS = 200


def slices(found: Sequence[Slice]) -> Section | None:
    """Groups of pictures on which it is significantly worse, and all others folded."""
    if not found:
        return None
    worse = [each for each in found if each.worse]
    groups = f"{count(len(found), 'group')} of pictures alike in one thing"
    if worse:
        said = f"Of {groups}, the model is worse on these than chance explains."
        shown = scrollable("Groups it is worse on", _table(worse))
    else:
        said = f"On none of {groups} is the model worse than chance explains."
        shown = ""
    everything = scrollable("All groups", _table(found[:MOST_ROWS]))
    return Section(
        "Weak spots",
        "Weak spots",
        f"{lead(said)}\n{shown}\n{folded('All groups', everything)}",
    )


def _table(groups: Sequence[Slice]) -> str:
    rows = [_row(each) for each in sorted(groups, key=lambda each: each.p)]
    caption = (
        "Accuracy in percent, with its 95 % interval, beside that on the rest, and what their mix "
        "of classes alone would give. p: one-sided, corrected for so many groups."
    )
    return table(("Group", "Pictures", "Accuracy", "Rest", "Classes", "p"), rows, caption=caption)


def _row(each: Slice) -> str:
    p = "&lt; 0.001" if each.p < 0.001 else f"{each.p:.3f}"
    expected = "–" if each.expected is None else percent(each.expected)
    accuracy = bar(each.accuracy.value, each.accuracy)
    cells = (f"{each.n:,}", accuracy, percent(each.rest.value), expected, p)
    return row(f"{each.kind}: {each.name}", cells)
