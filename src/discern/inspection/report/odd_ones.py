"""Pictures unlike the rest: in embedding space, or in one thing that can be measured."""

from __future__ import annotations

from collections.abc import Sequence

from discern.data import Dataset
from discern.evaluation.markup import count, name, text
from discern.evaluation.report.elements import (
    TALL_FROM,
    Section,
    folded,
    lead,
    row,
    scrollable,
    table,
)
from discern.evaluation.report.thumbnails import Thumbnails
from discern.inspection.inspection import Inspection, Odd, OddKind, Outlier
from discern.inspection.report.shown import (
    file_line,
    file_of,
    framed_sample,
    label_of,
    split_of,
)

OUTLIERS, OF_A_KIND = 20, 5  # shown with their pictures
MOST_ROWS = 300
KINDS: dict[OddKind, str] = {
    "dark": "Dark",
    "bright": "Bright",
    "blurry": "Blurry",
    "uniform": "Nearly of one colour",
    "elongated": "Long and narrow",
    "small": "Small",
    "large": "Large",
    "other colours": "Of another colour mode",
}


def odd_ones(inspection: Inspection, thumbnails: Thumbnails) -> Section:
    """The outliers, then the odd ones of each kind."""
    outliers = inspection.labels.outliers if inspection.labels else ()
    if not (outliers or inspection.odd):
        return Section("Odd ones", "Odd ones out", lead("No picture stands out from the others."))
    why = (
        "Some belong here and are rare: keep those. Others are of something else, or show nothing: "
        "drop those. Nothing is dropped unless you say so."
    )
    dataset = inspection.dataset
    parts = [_outliers(dataset, outliers, thumbnails)]
    parts += [_kind(dataset, kind, inspection.odd, thumbnails) for kind in KINDS]
    return Section("Odd ones", "Odd ones out", f"{lead(why)}\n" + "\n".join(filter(None, parts)))


def _outliers(dataset: Dataset, outliers: Sequence[Outlier], thumbnails: Thumbnails) -> str:
    if not outliers:
        return ""
    details = [(each.sample, f"{each.score:.1f} × the usual") for each in outliers]
    why = "By how far their embeddings lie from the nearest others."
    return _gallery("Unlike all others", details, OUTLIERS, dataset, thumbnails, lead(why))


def _kind(dataset: Dataset, kind: OddKind, odd: Sequence[Odd], thumbnails: Thumbnails) -> str:
    details = [(each.sample, each.detail) for each in odd if each.kind == kind]
    return _gallery(KINDS[kind], details, OF_A_KIND, dataset, thumbnails) if details else ""


def _gallery(
    heading: str,
    details: Sequence[tuple[int, str]],
    most: int,
    dataset: Dataset,
    thumbnails: Thumbnails,
    why: str = "",
) -> str:
    """The first with their pictures, the others in a folded table; `details` of each sample."""
    cards = "\n".join(_card(dataset, *each, thumbnails) for each in details[:most])
    return (
        f"<h3><b>{heading}</b> <span>{count(len(details), 'picture')}</span></h3>\n{why}\n"
        f'<ol class="gallery small">\n{cards}\n</ol>\n{_rest(dataset, details[most:], heading)}'
    )


def _card(dataset: Dataset, sample: int, detail: str, thumbnails: Thumbnails) -> str:
    return (
        f'<li class="case">{framed_sample(dataset, sample, thumbnails)}\n'
        f'<p class="label" dir="auto">{name(label_of(dataset, sample))}</p>'
        f'<p class="split">{text(detail)}</p>{file_line(dataset, sample)}</li>'
    )


def _rest(dataset: Dataset, details: Sequence[tuple[int, str]], of: str) -> str:
    if not details:
        return ""
    rows = [
        row(
            file_of(dataset, sample),
            (name(label_of(dataset, sample)), name(split_of(dataset, sample)), text(detail)),
        )
        for sample, detail in details[:MOST_ROWS]
    ]
    more = len(details) - len(rows)
    caption = f"And {count(more, 'more', 'more')}; the JSON form has all." if more else ""
    listing = table(("File", "Class", "Split", "What"), rows, caption=caption, sortable=True)
    box = scrollable(f"{of}, the rest", listing, tall=len(rows) > TALL_FROM)
    return folded(f"{count(len(details), 'more', 'more')} without pictures", box)
