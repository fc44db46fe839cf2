"""What stands first: what was found, what to do first, and what must be known to believe it."""

from __future__ import annotations

from collections.abc import Sequence

from discern.evaluation.markup import clipped, count, text
from discern.evaluation.report.elements import figures
from discern.inspection.inspection import Inspection
from discern.inspection.report.sizes import in_bytes
from discern.inspection.report.verdict import Finding, labels_checked, verdict


def headline(inspection: Inspection, found: Sequence[Finding]) -> str:
    """The verdict, the findings with what to do, the remarks, and the figures."""
    said = verdict(found, labels_checked=labels_checked(inspection))
    return (
        f'<div class="hero">\n<p class="verdict">{text(said)}</p>\n'
        f'<p class="reason">{text(what_first(inspection, found))}</p>\n</div>\n'
        f"{_listed(found)}\n{_notes(inspection.remarks)}\n{figures(key_figures(inspection))}"
    )


def what_first(inspection: Inspection, found: Sequence[Finding]) -> str:
    """What to do about the verdict, in a sentence or two."""
    grave = [each for each in found if each.grave]
    if len(grave) > 1:
        return f"{grave[0].why} See to this first, then to the rest, from top to bottom."
    if grave:
        return f"{grave[0].why} See to this before you train."
    told = f"{count(len(inspection.dataset), 'picture')} were looked at: {_absent(inspection)}."
    return f"{told} What is below is worth a look, no more." if found else told


def key_figures(inspection: Inspection) -> dict[str, str]:
    """The figures that say what dataset this is."""
    dataset, looks = inspection.dataset, inspection.looks
    values = {
        "Pictures": f"{len(dataset):,}",
        "Classes": f"{len(dataset.classes):,}",
        "Splits": ", ".join(map(clipped, dataset.split_names)) or "none",
    }
    if len(looks.samples):
        values["On disk"] = in_bytes(float(looks.bytes.sum()))
    return values


def _absent(inspection: Inspection) -> str:
    told = ["every file can be read", "no picture is in two splits or has two labels"]
    if labels_checked(inspection):
        told.append("no label is doubtful")
    return ", ".join(told)


def _listed(found: Sequence[Finding]) -> str:
    if not found:
        return ""
    lines = "\n".join(_line(each) for each in found)
    return f'<ol class="findings" aria-label="What was found">\n{lines}\n</ol>'


def _line(found: Finding) -> str:
    return (
        f'<li><a href="#{found.section}"><b>{found.count:,}</b> {text(found.what)}</a>'
        f"<span>{text(found.why)}</span></li>"
    )


def _notes(remarks: Sequence[str]) -> str:
    if not remarks:
        return ""
    lines = "\n".join(f'<p class="note" role="note">{text(each)}</p>' for each in remarks)
    return f'<div class="notes">\n{lines}\n</div>'
