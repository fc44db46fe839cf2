"""Pictures worth looking at: sure and wrong, in doubt, and of classes mixed up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from discern.evaluation.findings import Case, PairCases
from discern.evaluation.markup import clipped, count, name
from discern.evaluation.report.elements import Section, label_line, lead, listed
from discern.evaluation.report.thumbnails import Thumbnail, Thumbnails, in_frame

NAMED_LABELS = 4  # of a set

SWITCH = (
    '<p class="switch"><label><input type="checkbox"/> Show all heat maps</label> '
    "<span>What spoke for the answer is laid over the picture. "
    "Point at a picture, or tap it, to see its own.</span></p>"
)


def surest_mistakes(cases: Sequence[Case], thumbnails: Thumbnails) -> Section | None:
    """The wrong answers of the highest probability."""
    if not cases:
        return None
    why = (
        "Wrong answers that the model was surest of. Look for labels that are wrong, "
        "pictures of two things, and what the training data lacks."
    )
    return _section("Sure and wrong", "The surest mistakes", why, _gallery(cases, thumbnails))


def doubtful_answers(cases: Sequence[Case], thumbnails: Thumbnails) -> Section | None:
    """The answers whose first and second label are closest."""
    if not cases:
        return None
    why = (
        "Answers, right or wrong, whose second label is nearly as probable as the first. "
        "Labelling more pictures like these teaches a model most."
    )
    return _section("In doubt", "The most doubtful answers", why, _gallery(cases, thumbnails))


def mixed_up(pairs: Sequence[PairCases], thumbnails: Thumbnails) -> Section | None:
    """The classes mixed up most often, with pictures."""
    shown = [_pair(pair, thumbnails) for pair in pairs if pair.cases]
    if not shown:
        return None
    why = "The mistakes made most often, the surest of each first."
    return _section("Mixed up", "Classes mixed up", why, "\n".join(shown))


def _section(short: str, heading: str, why: str, galleries: str) -> Section:
    switch = SWITCH if 'class="overlaid"' in galleries else ""
    return Section(short, heading, f"{lead(why)}\n{switch}\n{galleries}")


def _pair(pair: PairCases, thumbnails: Thumbnails) -> str:
    of = f"{pair.count:,} of {count(pair.support, 'picture')}"
    return (
        f'<h3><b dir="auto">{name(pair.truth)}</b> taken for '
        f'<b dir="auto">{name(pair.predicted)}</b> <span>{of}</span></h3>\n'
        f"{_gallery(pair.cases, thumbnails)}"
    )


def _gallery(cases: Sequence[Case], thumbnails: Thumbnails) -> str:
    cards = "\n".join(_card(case, thumbnails.of(case.file, case.label)) for case in cases)
    return f'<ol class="gallery">\n{cards}\n</ol>'


def _card(case: Case, thumbnail: Thumbnail) -> str:
    lines = [label_line("Answer", case.label, case.probability), _truth(case)]
    if case.set is not None and len(case.set) != 1:
        within = [clipped(label) for label in case.set]
        lines.append(label_line("Set", listed(within, NAMED_LABELS) or "empty"))
    flag = '<p class="flag">Refused as none of these.</p>\n' if case.unknown else ""
    return (
        f'<li class="case">{_frame(case, thumbnail)}\n<dl>{"".join(lines)}</dl>\n'
        f'{flag}<p class="file">{name(_short(case.file))}</p></li>'
    )


def _truth(case: Case) -> str:
    if case.truth == case.label:
        return label_line("Truth", "the same")
    return label_line("Truth", clipped(case.truth), case.of_truth)


def _frame(case: Case, thumbnail: Thumbnail) -> str:
    """The picture; where there is heat, the frame is a switch that shows it."""
    if thumbnail.heat is None:
        return in_frame(thumbnail, _short(case.file))
    return (
        f'<label class="frame heated"><input type="checkbox"/>'
        f'<img src="{thumbnail.picture}" alt="{name(_short(case.file))}"/>'
        f'<img class="overlaid" src="{thumbnail.heat}" alt=""/><span>Heat map</span></label>'
    )


def _short(file: Path) -> str:
    """The file and its folder: where the data lies is nobody else's business."""
    return "/".join(file.parts[-2:])
