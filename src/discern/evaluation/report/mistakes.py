"""Which classes are taken for which: the commonest mistakes in words, all in a matrix."""

from __future__ import annotations

from discern.evaluation.markup import count, name
from discern.evaluation.metrics import Confusion, Metrics
from discern.evaluation.report.confusion_table import confusion_table, table_legend
from discern.evaluation.report.elements import Section, lead, scrollable

WORST = 10


def mistakes(metrics: Metrics) -> Section:
    """The confusion matrix beside the mistakes made most often."""
    worst = metrics.worst_confusions(WORST)
    lines = "\n".join(_in_words(confusion) for confusion in worst)
    listed = f'<ol class="confusions">\n{lines}\n</ol>' if worst else "<p>None were made.</p>"
    matrix = scrollable("Confusion matrix", confusion_table(metrics))
    body = f'{lead(table_legend(metrics))}\n<div class="mistakes">\n{listed}\n{matrix}\n</div>'
    return Section("Mistakes", "Mistakes", body)


def _in_words(confusion: Confusion) -> str:
    times = f"{count(confusion.count, 'time')} of {confusion.support:,}"
    return (
        f'<li><span><b dir="auto">{name(confusion.truth)}</b> taken for '
        f'<b dir="auto">{name(confusion.predicted)}</b></span><span>{times}</span></li>'
    )
