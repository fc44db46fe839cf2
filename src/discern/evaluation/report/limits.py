"""What a model should not be used for."""

from __future__ import annotations

from discern.evaluation.evaluate import Evaluation
from discern.evaluation.findings import Findings
from discern.evaluation.limitations import limitations
from discern.evaluation.markup import text
from discern.evaluation.report.elements import Section, lead
from discern.model.info import ModelInfo


def limits(evaluation: Evaluation, info: ModelInfo, findings: Findings | None) -> Section:
    """The limitations that the figures show; what else there is they cannot tell."""
    sentences = limitations(evaluation, info, findings)
    lines = "\n".join(f"<li>{text(sentence)}</li>" for sentence in sentences)
    why = (
        "What it should not be used or relied on for, as far as the figures above tell. "
        "What else your pictures bring, only you can know."
    )
    body = f'{lead(why)}\n<ul class="limits">\n{lines}\n</ul>'
    return Section("Limits", "Limits", body)
