"""What a notebook shows of an inspection.

It is plain HTML styled in place, not a frame: it takes the notebook's own ink and paper, be they
dark or light (a frame would follow the browser instead), is as high as its content, needs no
script, and is all that is left of a page in notebooks that were not run here.
"""

from __future__ import annotations

from collections.abc import Sequence

from discern.evaluation.markup import name, text
from discern.evaluation.report.thumbnails import Thumbnail, Thumbnails
from discern.inspection.inspection import Inspection
from discern.inspection.report.duplicates import unlike_first
from discern.inspection.report.headline import key_figures, what_first
from discern.inspection.report.shown import file_of, label_of, split_of
from discern.inspection.report.verdict import Finding, findings, labels_checked, verdict

SIDE = 128  # pixels, of the longer side of a thumbnail
ROOM = 200_000  # bytes, for all of them
GROUPS, MEMBERS, SUSPECTS = 4, 3, 8  # pictures shown
SOFT = "opacity:.75"


def notebook_frame(inspection: Inspection) -> str:
    """The verdict, the figures and the first duplicates and suspicious labels, in under 300 kB."""
    found = findings(inspection)
    said = verdict(found, labels_checked=labels_checked(inspection))
    thumbnails = Thumbnails(None, ROOM, SIDE)
    # Notebooks would typeset what stands between dollar signs in names as formulas.
    return f"""<div class="mathjax_ignore tex2jax_ignore" style="max-width:60rem;line-height:1.5">
<p style="margin:0;font-size:1.5em;font-weight:600;line-height:1.2">{text(said)}</p>
<p style="margin:4px 0 0;{SOFT}">{text(what_first(inspection, found))}</p>
{_findings(found)}
{"".join(f'<p style="margin:8px 0 0">{text(each)}</p>' for each in inspection.remarks)}
<p style="margin:12px 0 0">{_figures(inspection)}</p>
{_duplicates(inspection, thumbnails)}
{_suspects(inspection, thumbnails)}
<p style="margin:16px 0 0;{SOFT}">The whole report: <code>inspection.to_html()</code></p>
</div>"""


def _findings(found: tuple[Finding, ...]) -> str:
    lines = "".join(
        f'<li style="margin:0"><b>{each.count:,}</b> {text(each.what)}</li>' for each in found
    )
    return f'<ul style="margin:8px 0 0;padding-left:1.2em">{lines}</ul>' if found else ""


def _figures(inspection: Inspection) -> str:
    return " · ".join(
        f'<span style="{SOFT}">{text(term)}</span> <b>{text(value)}</b>'
        for term, value in key_figures(inspection).items()
    )


def _duplicates(inspection: Inspection, thumbnails: Thumbnails) -> str:
    """The first groups that cross splits or labels."""
    grave = [each for each in inspection.duplicates if each.leak or each.conflict]
    groups = [
        "".join(
            _card(inspection, each, _where(inspection, each), thumbnails)
            for each in unlike_first(inspection.dataset, group)[:MEMBERS]
        )
        for group in grave[:GROUPS]
    ]
    shown = [f'<div style="display:flex;gap:6px">{cards}</div>' for cards in groups]
    return _block("One picture, two splits or two labels", shown, len(grave))


def _suspects(inspection: Inspection, thumbnails: Thumbnails) -> str:
    """The first of the suspicious labels."""
    suspects = inspection.labels.suspects if inspection.labels else ()
    shown = [
        _card(inspection, each.sample, f"{each.given} → {each.suggested}?", thumbnails)
        for each in suspects[:SUSPECTS]
    ]
    return _block("Suspicious labels", shown, len(suspects))


def _where(inspection: Inspection, sample: int) -> str:
    dataset = inspection.dataset
    return f"{label_of(dataset, sample)} · {split_of(dataset, sample)}"


def _block(heading: str, shown: Sequence[str], total: int) -> str:
    if not shown:
        return ""
    which = f"the first {len(shown)} of {total:,}" if len(shown) < total else f"{total:,}"
    return (
        f'<p style="margin:20px 0 0"><b>{heading}</b> <span style="{SOFT}">{which}</span></p>\n'
        f'<div style="display:flex;flex-wrap:wrap;gap:12px 20px;margin:8px 0 0">'
        f"{''.join(shown)}</div>"
    )


def _card(inspection: Inspection, sample: int, what: str, thumbnails: Thumbnails) -> str:
    file = file_of(inspection.dataset, sample)
    thumbnail = thumbnails.of(inspection.dataset.file(sample), "")
    return (
        f'<div style="width:{SIDE}px;font-size:12px;line-height:1.35;overflow-wrap:anywhere">'
        f"{_picture(thumbnail, file)}<b>{name(what)}</b><br/>"
        f'<span style="{SOFT}" dir="auto">{name(file)}</span></div>'
    )


def _picture(thumbnail: Thumbnail, file: str) -> str:
    if thumbnail.picture is None:
        return f'<div style="{SOFT};padding:8px 0">{text(thumbnail.missing)}</div>'
    return (
        f'<img src="{thumbnail.picture}" alt="{name(file)}" style="display:block;'
        f'max-width:100%;height:{SIDE}px;object-fit:contain;margin:0 0 4px"/>'
    )
