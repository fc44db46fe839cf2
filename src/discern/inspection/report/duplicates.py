"""Pictures that are there more than once: across splits, across classes, within one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from discern.data import Dataset
from discern.data.split_names import TRAIN
from discern.evaluation.markup import clipped, count, name, percent, text
from discern.evaluation.report.elements import (
    TALL_FROM,
    Section,
    folded,
    lead,
    scrollable,
    table,
)
from discern.evaluation.report.thumbnails import Thumbnails
from discern.inspection.inspection import DuplicateGroup, Inspection
from discern.inspection.report.shown import (
    file_line,
    file_of,
    framed_sample,
    label_of,
    split_of,
)

LEAKS, CONFLICTS, OTHERS = 24, 24, 12  # groups shown with their pictures
MOST_MEMBERS = 6  # of a group
MOST_ROWS, NAMED_FILES = 300, 3  # of a folded table, and files in each of its rows
ALIKE = {"bytes": "the same bytes", "pixels": "the same pixels", "near": "nearly the same"}
OF_CONFLICTS = (
    "One picture, labelled differently: at most one of its labels is right. Decide, and drop the "
    "others."
)
OF_OTHERS = "They do little harm: such a picture only weighs more than others."

Groups = Sequence[DuplicateGroup]


def duplicates(inspection: Inspection, thumbnails: Thumbnails) -> Section:
    """Leaks first, then conflicts, then the rest: pictures of the first, a table of all others."""
    groups = inspection.duplicates
    if not groups:
        return Section("Duplicates", "Duplicates", lead("No picture is there twice, or nearly so."))
    leaks = [each for each in groups if each.leak]
    conflicts = [each for each in groups if each.conflict and not each.leak]
    others = [each for each in groups if not (each.leak or each.conflict)]
    dataset = inspection.dataset
    parts = (
        _part(
            "In more than one split", _leaking(dataset, leaks), dataset, leaks, LEAKS, thumbnails
        ),
        _part("With two labels", _conflicting(leaks), dataset, conflicts, CONFLICTS, thumbnails),
        _part("Within a class and a split", OF_OTHERS, dataset, others, OTHERS, thumbnails),
    )
    body = f"{lead(text(_in_words(groups)))}\n" + "\n".join(filter(None, parts))
    return Section("Duplicates", "Duplicates", body)


def unlike_first(dataset: Dataset, group: DuplicateGroup) -> list[int]:
    """Its samples: one of each label and split before any second one of the same."""
    seen: Counter[tuple[str, str]] = Counter()
    turn: dict[int, int] = {}
    for sample in group.samples:
        kind = str(dataset.labels[sample]), str(dataset.splits[sample])
        turn[sample] = seen[kind]
        seen[kind] += 1
    return sorted(group.samples, key=turn.__getitem__)


def _in_words(groups: Groups) -> str:
    files = sum(len(each.samples) for each in groups)
    kinds = Counter(each.kind for each in groups)
    told = ", ".join(f"{n:,} {ALIKE[kind]}" for kind, n in kinds.most_common())
    return (
        f"{count(len(groups), 'picture')} in {count(files, 'file')}: {told}. Nearly the same are "
        "copies resized, re-encoded, slightly cropped, made brighter or darker."
    )


def _leaking(dataset: Dataset, leaks: Groups) -> str:
    """Why leaks matter, with how many pictures of each split are in train too."""
    told = [
        f"{n:,} of {count(total, 'picture')} of {clipped(split)} ({percent(n / total)} %)"
        for split in dataset.split_names
        if split != TRAIN
        and (n := _also_in_train(dataset, leaks, split))
        and (total := int((dataset.splits == split).sum()))
    ]
    seen = f" In train as well: {'; '.join(told)}." if told else ""
    return (
        "What a model has seen, it answers from memory, and its score is too good. Keep each of "
        f"these in one split.{seen}"
    )


def _conflicting(leaks: Groups) -> str:
    """Why conflicts matter, with how many stand among the leaks."""
    above = sum(each.conflict for each in leaks)
    return OF_CONFLICTS + f" {above:,} more stand above: they cross splits as well." * bool(above)


def _also_in_train(dataset: Dataset, leaks: Groups, split: str) -> int:
    return sum(
        int((dataset.splits[list(each.samples)] == split).sum())
        for each in leaks
        if TRAIN in each.splits
    )


def _part(
    heading: str, why: str, dataset: Dataset, groups: Groups, most: int, thumbnails: Thumbnails
) -> str:
    if not groups:
        return ""
    shown = "\n".join(_group(dataset, each, thumbnails) for each in groups[:most])
    return (
        f"<h3><b>{heading}</b> <span>{count(len(groups), 'picture')}</span></h3>\n"
        f'{lead(text(why))}\n<ol class="groups">\n{shown}\n</ol>\n'
        f"{_rest(dataset, groups[most:], heading)}"
    )


def _group(dataset: Dataset, group: DuplicateGroup, thumbnails: Thumbnails) -> str:
    members = unlike_first(dataset, group)
    cards = "".join(_member(dataset, each, thumbnails) for each in members[:MOST_MEMBERS])
    more = len(members) - MOST_MEMBERS
    note = f", {more:,} more not shown" if more > 0 else ""
    return (
        f'<li class="group"><p class="alike">{ALIKE[group.kind]}'
        f"{', two labels' if group.conflict and group.leak else ''}{note}</p>"
        f'<ul class="members">{cards}</ul></li>'
    )


def _member(dataset: Dataset, sample: int, thumbnails: Thumbnails) -> str:
    return (
        f'<li class="case">{framed_sample(dataset, sample, thumbnails)}\n'
        f'<p class="label" dir="auto">{name(label_of(dataset, sample))}</p>'
        f'<p class="split" dir="auto">{name(split_of(dataset, sample))}</p>'
        f"{file_line(dataset, sample)}</li>"
    )


def _rest(dataset: Dataset, groups: Groups, of: str) -> str:
    """Those not shown with their pictures."""
    if not groups:
        return ""
    rows = [_row(dataset, each) for each in groups[:MOST_ROWS]]
    more = len(groups) - len(rows)
    caption = f"And {count(more, 'more', 'more')}; the JSON form has all." if more else ""
    columns = ("Files", "Classes", "Splits", "Alike")
    listing = table(columns, rows, caption=caption, sortable=True)
    summary = f"{count(len(groups), 'more', 'more')} without pictures"
    box = scrollable(f"{of}, the rest", listing, tall=len(rows) > TALL_FROM)
    return folded(summary, box)


def _row(dataset: Dataset, group: DuplicateGroup) -> str:
    members = unlike_first(dataset, group)
    files = "<br/>".join(name(file_of(dataset, each)) for each in members[:NAMED_FILES])
    more = len(members) - NAMED_FILES
    note = f"<br/>and {more:,} more" if more > 0 else ""
    cells = (_names(group.labels), _names(group.splits), ALIKE[group.kind])
    values = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr><th scope="row" dir="auto">{files}{note}</th>{values}</tr>'


def _names(names: Sequence[str]) -> str:
    return text(", ".join(map(clipped, names[:NAMED_FILES]))) or "–"
