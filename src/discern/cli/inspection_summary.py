"""What an inspection found, for a person at a terminal."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from discern.data import Dataset
from discern.evaluation.markup import count
from discern.inspection.inspection import DuplicateGroup, Inspection, Suspect
from discern.survey.duplicates import Kind

_SHOWN = 3  # examples of each finding
_NAMED = 3  # files of a group


def summary(inspection: Inspection, data: str) -> str:
    """The counts as a table, then each finding with its first examples; `data` is a name."""
    dataset = inspection.dataset
    lines = [f"{data}: {dataset.source}.", "", *counts_table(dataset), *_imbalance(dataset)]
    found = list(_findings(inspection))
    for headline, examples in found:
        lines += ["", headline, *examples]
    if not found:
        lines += ["", "Nothing to worry about was found."]
    if inspection.remarks:
        lines += ["", *(f"Note: {remark}" for remark in inspection.remarks)]
    return "\n".join(lines)


def counts_table(dataset: Dataset) -> list[str]:
    """A line for each class, a column for each split."""
    counts = dataset.counts()
    names = [*dataset.classes, *([""] if any("" in split for split in counts.values()) else [])]
    head = ["class", *(split or "no split" for split in counts), "all"]
    body = [(name or "(no label)", [s.get(name, 0) for s in counts.values()]) for name in names]
    body.append(("all", [sum(split.values()) for split in counts.values()]))
    table = [head, *([name, *map(str, row), str(sum(row))] for name, row in body)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(_padded(row, widths)) for row in table]


def _padded(row: list[str], widths: list[int]) -> list[str]:
    """A name to the left, numbers to the right."""
    return [row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]


def _imbalance(dataset: Dataset) -> list[str]:
    """The largest class against the smallest, where one is twice the other."""
    counts = dataset.counts().values()
    totals = {name: sum(split.get(name, 0) for split in counts) for name in dataset.classes}
    if not totals or (ratio := max(totals.values()) / min(totals.values())) < 2:
        return []
    large, small = max(totals, key=totals.__getitem__), min(totals, key=totals.__getitem__)
    return ["", f"{large} has {ratio:.1f} times as many pictures as {small}."]


def _findings(inspection: Inspection) -> Iterator[tuple[str, list[str]]]:
    """A headline and examples for each kind of finding that there is, the gravest first."""
    yield from _bad(inspection)
    yield from _duplicates(inspection)
    yield from _labels(inspection)
    yield from _odd(inspection)


def _bad(inspection: Inspection) -> Iterator[tuple[str, list[str]]]:
    bad = inspection.bad
    if bad:
        named = (f"{_path(inspection, each.sample)}: {each.reason}" for each in bad)
        yield f"{count(len(bad), 'file')} cannot be used:", _examples(named, len(bad))


def _duplicates(inspection: Inspection) -> Iterator[tuple[str, list[str]]]:
    rest = [group for group in inspection.duplicates if not (group.leak or group.conflict)]
    for groups, one, several in (
        (inspection.leaks, "is in two splits", "are in two splits"),
        (inspection.conflicts, "has two labels", "have two labels"),
        (rest, "is there more than once", "are there more than once"),
    ):
        if groups:
            verb = one if len(groups) == 1 else several
            named = (_group(inspection, group) for group in groups)
            told = f"{count(len(groups), 'picture')} {verb} ({_kinds(groups)}):"
            yield told, _examples(named, len(groups))


def _kinds(groups: Sequence[DuplicateGroup]) -> str:
    """How much alike they are: "3 as the same file, 2 nearly"."""
    kinds = Counter(group.kind for group in groups)
    words: dict[Kind, str] = {
        "bytes": "as the same file",
        "pixels": "as the same pixels",
        "near": "nearly",
    }
    return ", ".join(f"{kinds[kind]:,} {told}" for kind, told in words.items() if kinds[kind])


def _group(inspection: Inspection, group: DuplicateGroup) -> str:
    sign = " ≈ " if group.kind == "near" else " = "
    more = " …" if len(group.samples) > _NAMED else ""
    dataset = inspection.dataset
    names = (
        _path(inspection, sample) + (f" ({dataset.labels[sample]})" if group.conflict else "")
        for sample in group.samples[:_NAMED]
    )
    return sign.join(names) + more


def _labels(inspection: Inspection) -> Iterator[tuple[str, list[str]]]:
    found = inspection.labels
    if found is None:
        return
    if n := len(found.suspects):
        told = f"{count(n, 'label')} of {found.checked:,} {'is' if n == 1 else 'are'} doubtful:"
        yield told, _examples((_suspect(inspection, each) for each in found.suspects), n)
    if n := len(found.outliers):
        named = (
            f"{_path(inspection, each.sample)}: {each.score:.1f} times as far from others as usual"
            for each in found.outliers
        )
        told = f"{count(n, 'picture')} {'is' if n == 1 else 'are'} unlike all others:"
        yield told, _examples(named, n)


def _suspect(inspection: Inspection, suspect: Suspect) -> str:
    given = f"{suspect.given} ({suspect.of_given:.2f})"
    suggested = f"{suspect.suggested} ({suspect.probability:.2f})"
    return f"{_path(inspection, suspect.sample)}: {given}, rather {suggested}"


def _odd(inspection: Inspection) -> Iterator[tuple[str, list[str]]]:
    odd = inspection.odd
    if odd:
        n = len({each.sample for each in odd})
        kinds = Counter(each.kind for each in odd)
        told = ", ".join(f"{number:,} {kind}" for kind, number in kinds.items())
        first = {each.kind: each for each in reversed(odd)}  # of each kind the oddest
        named = (
            f"{_path(inspection, first[kind].sample)}: {kind}, {first[kind].detail}"
            for kind in kinds
        )
        headline = f"{count(n, 'picture')} {'looks' if n == 1 else 'look'} odd ({told}):"
        yield headline, _examples(named, len(odd))


def _examples(lines: Iterable[str], n: int) -> list[str]:
    """The first of n, a line each, and how many more there are."""
    shown = [f"  {line}" for line in islice(lines, _SHOWN)]
    return [*shown, f"  … and {n - len(shown):,} more"] if n > len(shown) else shown


def _path(inspection: Inspection, sample: int) -> str:
    return str(inspection.dataset.paths[sample])
