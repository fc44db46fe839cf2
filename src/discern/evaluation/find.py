"""Looking behind a score: `find` gathers what is worth telling, ready to be shown."""

from collections.abc import Mapping
from typing import Any

from discern.evaluation.cases import confident_mistakes, doubtful_answers, worst_pairs
from discern.evaluation.evaluate import Evaluation
from discern.evaluation.findings import Findings
from discern.evaluation.promises import set_score, unknown_score
from discern.evaluation.slices import score_slices
from discern.model.interpreter import Interpreter
from discern.progress import SILENT, Progress


def find(
    evaluation: Evaluation,
    interpreter: Interpreter,
    unknown_facts: Mapping[str, Any] | None = None,
    *,
    progress: Progress = SILENT,
) -> Findings:
    """What an evaluation has to tell beyond its figures.

    `interpreter` has the model's rules, `unknown_facts` are those of its model.json. What every
    picture looks like is taken from the survey, to see where the model is weak.
    """
    scored = evaluation.scored
    return Findings(
        mistakes=confident_mistakes(scored, interpreter),
        doubtful=doubtful_answers(scored, interpreter),
        pairs=worst_pairs(scored, interpreter, evaluation.metrics),
        sets=set_score(scored, interpreter),
        unknown=unknown_score(scored, interpreter, unknown_facts, evaluation.strangers),
        slices=score_slices(scored, interpreter.labels, progress),
    )
