"""What was found, in words, the gravest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from discern.data.split_names import TRAIN, UNLABELLED
from discern.inspection.inspection import Inspection

UNREMARKABLE = "Nothing to worry about"


@dataclass(frozen=True)
class Finding:
    """Something to see to: how many, of what, and why; `section` of the report has it in full."""

    count: int
    what: str
    why: str
    section: str
    grave: bool  # a model trained or scored on the data as they are would be wrong


def findings(inspection: Inspection) -> tuple[Finding, ...]:
    """What there is to see to, in the order in which to do it."""
    found = (
        _leaks(inspection),
        _conflicts(inspection),
        _unlearnable(inspection),
        _bad(inspection),
        _suspects(inspection),
        _repeated(inspection),
        _odd(inspection),
    )
    return tuple(each for each in found if each.count)


def verdict(found: Sequence[Finding], *, labels_checked: bool) -> str:
    """The gravest finding as a sentence without its full stop."""
    grave = [each for each in found if each.grave]
    if grave:
        return f"{grave[0].count:,} {grave[0].what}"
    return UNREMARKABLE if labels_checked else f"{UNREMARKABLE} so far"


def labels_checked(inspection: Inspection) -> bool:
    """Whether a backbone had its say on any label."""
    return inspection.labels is not None and inspection.labels.checked > 0


def unlearnable_classes(inspection: Inspection) -> tuple[str, ...]:
    """Classes that are in other splits, but not in train."""
    counts = inspection.dataset.counts()
    if TRAIN not in counts:
        return ()
    scored = {
        label
        for split, of_split in counts.items()
        if split not in ("", TRAIN, UNLABELLED)
        for label in of_split
    }
    return tuple(sorted(scored - set(counts[TRAIN]) - {""}))


def odd_pictures(inspection: Inspection) -> int:
    """How many pictures are odd in one way or another."""
    outliers = inspection.labels.outliers if inspection.labels else ()
    return len({each.sample for each in inspection.odd} | {each.sample for each in outliers})


def _leaks(inspection: Inspection) -> Finding:
    n = len(inspection.leaks)
    what = "picture is in more than one split" if n == 1 else "pictures are in more than one split"
    why = "Scores would be too good: the model has seen what it is scored on."
    return Finding(n, what, why, "duplicates", grave=True)


def _conflicts(inspection: Inspection) -> Finding:
    n = len(inspection.conflicts)
    what = "picture has two labels" if n == 1 else "pictures have two labels"
    why = "The same picture, labelled differently: at most one of them is right."
    return Finding(n, what, why, "duplicates", grave=True)


def _unlearnable(inspection: Inspection) -> Finding:
    n = len(unlearnable_classes(inspection))
    what = "class is not in train" if n == 1 else "classes are not in train"
    return Finding(n, what, "Pictures of them can only be answered wrongly.", "classes", grave=True)


def _bad(inspection: Inspection) -> Finding:
    n = len(inspection.bad)
    what = "file cannot be used" if n == 1 else "files cannot be used"
    return Finding(n, what, "Training leaves them out.", "bad-files", grave=True)


def _suspects(inspection: Inspection) -> Finding:
    n = len(inspection.labels.suspects) if inspection.labels else 0
    what = "label is doubtful" if n == 1 else "labels are doubtful"
    return Finding(
        n, what, "A model that had not seen the picture says something else.", "labels", grave=True
    )


def _repeated(inspection: Inspection) -> Finding:
    n = sum(not (group.leak or group.conflict) for group in inspection.duplicates)
    what = "picture is there more than once" if n == 1 else "pictures are there more than once"
    why = "Within a class and a split, which only gives them more weight."
    return Finding(n, what, why, "duplicates", grave=False)


def _odd(inspection: Inspection) -> Finding:
    n = odd_pictures(inspection)
    what = "picture is unlike the rest" if n == 1 else "pictures are unlike the rest"
    why = "Dark, tiny, blurred, or of something else. Look through them once."
    return Finding(n, what, why, "odd-ones", grave=False)
