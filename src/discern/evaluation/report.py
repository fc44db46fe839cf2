"""The evaluation as one page of HTML that needs nothing else: no network, no script.

The page's frame and style are `report.html.template`; here is what fills it. A new part of the
report is one more function that returns a section.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from string import Template

from discern.evaluation.charts import interval_track, reliability_diagram
from discern.evaluation.confusion_table import confusion_table, table_legend
from discern.evaluation.markup import count, percent, text
from discern.evaluation.metrics import ClassScore, Confusion, Metrics, ReliabilityBin

WORST_CONFUSIONS = 10
NAMED_CLASSES = 5
# A longer table scrolls in a box of its own, so that what follows it is found.
TALL_FROM = 30


def render_report(
    metrics: Metrics, *, title: str, facts: Mapping[str, str], notes: Sequence[str] = ()
) -> str:
    """The report as one self-contained HTML page.

    `facts` (backbone, dataset, seed, …) are listed as they come. `notes` are what a reader must
    know before believing the score ("this split was used to choose …") and stand right below it.
    All text is escaped.
    """
    sections = (
        _mistakes(metrics),
        _calibration(metrics),
        _classes(metrics),
        _facts(facts),
    )
    template = files(__package__).joinpath("report.html.template").read_text("utf-8")
    return Template(template).substitute(
        title=text(title),
        headline=_headline(metrics, [*notes, *_unknown_note(metrics)]),
        sections="\n".join(section for section in sections if section),
    )


def _section(heading: str, body: str) -> str:
    name = heading.lower().replace(" ", "-")
    return f'<section aria-labelledby="{name}">\n<h2 id="{name}">{heading}</h2>\n{body}\n</section>'


def _scrollable(label: str, table: str, *, tall: bool = False) -> str:
    # Focusable, so that the arrow keys scroll what is wider than the screen.
    shape = "wide tall" if tall else "wide"
    return f'<div class="{shape}" role="region" aria-label="{label}" tabindex="0">{table}</div>'


def _headline(metrics: Metrics, notes: Sequence[str]) -> str:
    return f"{_score(metrics)}\n{_notes(notes)}\n{_figures(metrics)}"


def _score(metrics: Metrics) -> str:
    accuracy = metrics.accuracy
    baseline = max(s.support for s in metrics.per_class) / metrics.n
    return f"""<div class="hero">
<p class="score">{percent(accuracy.value)}<span>%</span></p>
<div class="interval">
<p><b>Accuracy</b>: right on {_hits(metrics):,} of {count(metrics.n, "picture")}.</p>
<p class="soft">95 % interval {percent(accuracy.low)} to {percent(accuracy.high)} %</p>
{interval_track(accuracy, baseline)}
</div>
</div>"""


def _hits(metrics: Metrics) -> int:
    return sum(row[k] for k, row in enumerate(metrics.confusion))


def _notes(notes: Sequence[str]) -> str:
    if not notes:
        return ""
    lines = "\n".join(f'<p class="note" role="note">{text(note)}</p>' for note in notes)
    return f'<div class="notes">\n{lines}\n</div>'


def _unknown_note(metrics: Metrics) -> list[str]:
    """What to say of classes that the model cannot answer, if there are any."""
    unknown = metrics.unknown_classes
    if not unknown:
        return []
    pictures = sum(s.support for s in metrics.per_class if s.label in unknown)
    more = f" and {len(unknown) - NAMED_CLASSES} more" if len(unknown) > NAMED_CLASSES else ""
    return [
        f"The model does not know {count(len(unknown), 'class', 'classes')} of these pictures: "
        f"{', '.join(unknown[:NAMED_CLASSES])}{more}. "
        f"{count(pictures, 'picture')} of such a class can only be wrong."
    ]


def _figures(metrics: Metrics) -> str:
    figures = {
        "Macro F1": f"{percent(metrics.macro_f1)} %",
        "Log loss": f"{metrics.log_loss:.3f}",
        "Calibration error": f"{percent(metrics.calibration_error)} %",
        "Pictures": f"{metrics.n:,}",
        "Classes": f"{len(metrics.classes):,}",
    }
    if metrics.top5 is not None:
        figures = {"Right in the top 5": f"{percent(metrics.top5)} %"} | figures
    return f'<dl class="figures">{_pairs(figures)}</dl>'


def _pairs(pairs: Mapping[str, str]) -> str:
    return "\n".join(
        f'<div><dt>{text(name)}</dt><dd dir="auto">{text(value)}</dd></div>'
        for name, value in pairs.items()
    )


def _mistakes(metrics: Metrics) -> str:
    worst = metrics.worst_confusions(WORST_CONFUSIONS)
    lines = "\n".join(_in_words(confusion) for confusion in worst)
    listed = f'<ol class="confusions">\n{lines}\n</ol>' if worst else "<p>None were made.</p>"
    matrix = _scrollable("Confusion matrix", confusion_table(metrics))
    body = f'<p>{table_legend(metrics)}</p>\n<div class="mistakes">\n{listed}\n{matrix}\n</div>'
    return _section("Mistakes", body)


def _in_words(confusion: Confusion) -> str:
    times = f"{count(confusion.count, 'time')} of {confusion.support:,}"
    return (
        f'<li><span><b dir="auto">{text(confusion.truth)}</b> taken for '
        f'<b dir="auto">{text(confusion.predicted)}</b></span><span>{times}</span></li>'
    )


def _calibration(metrics: Metrics) -> str:
    body = f"""<p>A probability of 80 % should be right 8 times in 10. Points on the dashed line \
keep that promise; below it, the model claims too much.</p>
<figure class="calibration">
{reliability_diagram(metrics.reliability)}
<figcaption>
<p>{_verdict(metrics)}</p>
<p>Each point is a group of pictures with like probabilities, groups as equal in number as can be. \
The line through it is its 95 % interval.</p>
<details><summary>The numbers</summary>{_bins(metrics.reliability)}</details>
</figcaption>
</figure>"""
    return _section("Calibration", body)


def _verdict(metrics: Metrics) -> str:
    claimed = sum(b.count * b.confidence for b in metrics.reliability) / metrics.n
    accuracy = metrics.accuracy
    if claimed > accuracy.high:
        judged = "It claims too much."
    elif claimed < accuracy.low:
        judged = "It claims too little."
    else:
        judged = f"The gap is no larger than chance makes it over {count(metrics.n, 'picture')}."
    return (
        f"On average the model claims <strong>{percent(claimed)} %</strong> and is right "
        f"<strong>{percent(accuracy.value)} %</strong> of the time. {judged}"
    )


def _bins(bins: Sequence[ReliabilityBin]) -> str:
    rows = "\n".join(
        f'<tr><th scope="row">{percent(b.low)}–{percent(b.high)}</th><td>{b.count}</td>'
        f"<td>{percent(b.confidence)}</td><td>{percent(b.accuracy)}</td></tr>"
        for b in bins
    )
    return (
        f'<table class="list bins">{_column_heads("Probability %", "Pictures", "Claimed", "Right")}'
        f"<tbody>\n{rows}\n</tbody></table>"
    )


def _classes(metrics: Metrics) -> str:
    worst_first = sorted(metrics.per_class, key=lambda s: (s.f1, -s.support, s.label))
    rows = "\n".join(_class_row(s) for s in worst_first)
    table = (
        '<table class="list scores">'
        "<caption>In percent, at first from the worst F1 to the best.</caption>"
        f"{_column_heads('Class', 'Pictures', 'Precision', 'Recall', 'F1')}"
        f"<tbody>\n{rows}\n</tbody></table>"
    )
    return _section("Classes", _scrollable("Classes", table, tall=len(worst_first) > TALL_FROM))


def _column_heads(*names: str) -> str:
    heads = "".join(f'<th scope="col">{name}</th>' for name in names)
    return f"<thead><tr>{heads}</tr></thead>"


def _class_row(of_class: ClassScore) -> str:
    shares = (of_class.precision, of_class.recall, of_class.f1)
    cells = "".join(f"<td>{_bar(share)}</td>" for share in shares)
    label = f'<th scope="row" dir="auto">{text(of_class.label)}</th>'
    return f"<tr>{label}<td>{of_class.support}</td>{cells}</tr>"


def _bar(share: float) -> str:
    bar = f'<span class="bar" style="--v:{share:.3f}"></span>'
    return f'<span class="cell">{bar}<span>{percent(share)}</span></span>'


def _facts(facts: Mapping[str, str]) -> str:
    return _section("Facts", f'<dl class="facts">{_pairs(facts)}</dl>') if facts else ""
