"""What stands first: the score with its interval, and what must be known to believe it."""

from __future__ import annotations

from collections.abc import Sequence

from discern.evaluation.evaluate import Evaluation
from discern.evaluation.markup import clipped, count, percent, text
from discern.evaluation.metrics import Metrics
from discern.evaluation.report.charts import interval_track
from discern.evaluation.report.elements import between, figures, listed

NAMED_CLASSES = 5


def headline(evaluation: Evaluation) -> str:
    """The score, the notes on it, and the other figures."""
    metrics = evaluation.metrics
    notes = [*evaluation.notes, *_unknown_classes(metrics)]
    return f"{_score(metrics, evaluation.split)}\n{_notes(notes)}\n{_figures(metrics)}"


def _score(metrics: Metrics, split: str) -> str:
    accuracy = metrics.accuracy
    baseline = max(s.support for s in metrics.per_class) / metrics.n
    guessing = f"{percent(baseline)} % by always saying the commonest class"
    hits = sum(row[k] for k, row in enumerate(metrics.confusion))
    return f"""<div class="hero">
<p class="score">{percent(accuracy.value)}<span>%</span></p>
<div class="interval">
<p><b>Accuracy</b>: right on {hits:,} of {count(metrics.n, "picture")} ({text(split)}).</p>
<p class="soft">95 % interval {between(accuracy)}</p>
{interval_track(accuracy, baseline, guessing)}
</div>
</div>"""


def _notes(notes: Sequence[str]) -> str:
    if not notes:
        return ""
    lines = "\n".join(f'<p class="note" role="note">{text(note)}</p>' for note in notes)
    return f'<div class="notes">\n{lines}\n</div>'


def _unknown_classes(metrics: Metrics) -> list[str]:
    """What to say of classes that the model cannot answer, if there are any."""
    unknown = metrics.unknown_classes
    if not unknown:
        return []
    pictures = sum(s.support for s in metrics.per_class if s.label in unknown)
    return [
        f"The model does not know {count(len(unknown), 'class', 'classes')} of these pictures: "
        f"{listed([clipped(each) for each in unknown], NAMED_CLASSES)}. "
        f"{count(pictures, 'picture')} of such a class can only be wrong."
    ]


def _figures(metrics: Metrics) -> str:
    values = {
        "Macro F1": f"{percent(metrics.macro_f1)} %",
        "Log loss": f"{metrics.log_loss:.3f}",
        "Calibration error": f"{percent(metrics.calibration_error)} %",
        "Pictures": f"{metrics.n:,}",
        "Classes": f"{len(metrics.classes):,}",
    }
    if metrics.top5 is not None:
        values = {"Right in the top 5": f"{percent(metrics.top5)} %"} | values
    return figures(values)
