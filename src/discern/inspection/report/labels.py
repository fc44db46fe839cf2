"""Labels that are likely wrong."""

from __future__ import annotations

from collections.abc import Sequence

from discern.data import Dataset
from discern.evaluation.markup import clipped, count, name, percent, text
from discern.evaluation.report.elements import (
    TALL_FROM,
    Section,
    folded,
    label_line,
    lead,
    row,
    scrollable,
    table,
)
from discern.evaluation.report.thumbnails import Thumbnails
from discern.inspection.inspection import Inspection, LabelFindings, Suspect
from discern.inspection.report.shown import file_line, file_of, framed_sample, split_of

SHOWN, MOST_ROWS = 40, 500
NOT_CHECKED = (
    "They were not checked: that takes a backbone. <code>discern inspect DATA --backbone NAME"
    "</code> holds every label against what a model says that learned from the other pictures."
)


def labels(inspection: Inspection, thumbnails: Thumbnails) -> Section:
    """The most suspicious with their pictures, the rest in a table."""
    found = inspection.labels
    if found is None:
        return _section(lead(NOT_CHECKED))
    told = lead(_in_words(found))
    if not found.suspects:
        return _section(told)
    dataset = inspection.dataset
    cards = "\n".join(_card(dataset, each, thumbnails) for each in found.suspects[:SHOWN])
    rest = _rest(dataset, found.suspects[SHOWN:])
    return _section(f'{told}\n<ol class="gallery">\n{cards}\n</ol>\n{rest}')


def _section(body: str) -> Section:
    return Section("Labels", "Suspicious labels", body)


def _in_words(found: LabelFindings) -> str:
    if not found.checked:
        return f"None was checked with {_backbone(found.backbone)}."
    how = (
        f"{count(found.checked, 'label')} were held against what {_backbone(found.backbone)} says "
        "with a head that had not seen the picture."
    )
    if not found.suspects:
        return f"{how} None is doubtful."
    n = len(found.suspects)
    these = "In this one it is" if n == 1 else f"In these {n:,} it is"
    return (
        f"{how} {these} confident of another label, the surest first. That is as often the model's "
        "mistake as the label's: look, then relabel or drop."
    )


def _backbone(backbone: str) -> str:
    """Its name, without where it lies."""
    if backbone.startswith("local-dir:"):
        backbone = backbone.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return f"<b>{name(backbone)}</b>"


def _card(dataset: Dataset, suspect: Suspect, thumbnails: Thumbnails) -> str:
    given = label_line("Given", suspect.given, suspect.of_given)
    suggested = label_line("Suggested", suspect.suggested, suspect.probability)
    return (
        f'<li class="case suspect">{framed_sample(dataset, suspect.sample, thumbnails)}\n'
        f"<dl>{given}{suggested}</dl>\n{file_line(dataset, suspect.sample)}</li>"
    )


def _rest(dataset: Dataset, suspects: Sequence[Suspect]) -> str:
    if not suspects:
        return ""
    rows = [_row(dataset, each) for each in suspects[:MOST_ROWS]]
    more = len(suspects) - len(rows)
    caption = f"And {count(more, 'more', 'more')}; the JSON form has all." if more else ""
    columns = ("File", "Split", "Given", "%", "Suggested", "%")
    listing = table(columns, rows, caption=caption, sortable=True)
    box = scrollable("More suspicious labels", listing, tall=len(rows) > TALL_FROM)
    return folded(f"{count(len(suspects), 'more', 'more')} without pictures", box)


def _row(dataset: Dataset, suspect: Suspect) -> str:
    cells = (
        name(split_of(dataset, suspect.sample)),
        text(clipped(suspect.given)),
        percent(suspect.of_given),
        text(clipped(suspect.suggested)),
        percent(suspect.probability),
    )
    return row(file_of(dataset, suspect.sample), cells)
