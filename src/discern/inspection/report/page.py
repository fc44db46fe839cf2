"""The page: its sections in their order."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

from discern.evaluation.report.elements import Section
from discern.evaluation.report.sectioned import sectioned
from discern.evaluation.report.thumbnails import Thumbnails
from discern.inspection.inspection import Inspection
from discern.inspection.report.bad_files import bad_files
from discern.inspection.report.classes import classes
from discern.inspection.report.duplicates import duplicates
from discern.inspection.report.headline import headline
from discern.inspection.report.labels import labels
from discern.inspection.report.looks import looks
from discern.inspection.report.next_steps import next_steps
from discern.inspection.report.odd_ones import odd_ones
from discern.inspection.report.verdict import findings

LARGEST = 4_800_000  # bytes
SIDE = 192  # pixels, of the longer side of a thumbnail
# Shares of the room for pictures, so that ever so many duplicates leave some for the labels.
DUPLICATES, LABELS, ODD_ONES = 0.45, 0.3, 0.25


def render_inspection(inspection: Inspection, *, title: str | None = None) -> str:
    """The report as one self-contained HTML page of less than 5 MB.

    Without a title, the dataset's folder is named. All text is escaped; files are named by their
    path within the dataset; pictures that cannot be read have a place that says why.
    """
    title = title or inspection.dataset.root.absolute().name or "Inspection"
    found = findings(inspection)
    said = headline(inspection, found)
    first = (classes(inspection), looks(inspection), bad_files(inspection))
    last = next_steps(anything_found=bool(found))

    def page(room: int) -> str:
        return _page(title, said, (*first, *_with_pictures(inspection, room), last))

    return page(LARGEST - len(page(0).encode()))


def _with_pictures(inspection: Inspection, room: int) -> tuple[Section, ...]:
    """The sections that show pictures, of `room` bytes in all."""
    for_duplicates, for_labels, for_odd_ones = (
        Thumbnails(None, int(share * room), SIDE) for share in (DUPLICATES, LABELS, ODD_ONES)
    )
    return (
        duplicates(inspection, for_duplicates),
        labels(inspection, for_labels),
        odd_ones(inspection, for_odd_ones),
    )


def _page(title: str, headline: str, sections: Sequence[Section]) -> str:
    return sectioned(
        title=title,
        headline=headline,
        sections=sections,
        style=(files(__package__) / "inspection.css").read_text("utf-8"),
    )
