"""Which pictures are worth looking at: sure and wrong, in doubt, and of classes mixed up."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from discern.evaluation.findings import Case, PairCases
from discern.evaluation.metrics import Metrics
from discern.evaluation.scored import Scored
from discern.model.interpreter import Interpreter

Bools: TypeAlias = npt.NDArray[np.bool_]
Rows: TypeAlias = npt.NDArray[np.intp]

SHOWN = 12  # mistakes, and doubtful answers
PAIRS, PER_PAIR = 6, 4


def confident_mistakes(scored: Scored, interpreter: Interpreter) -> tuple[Case, ...]:
    """The wrong answers of the highest probability; equal ones in the order of the pictures."""
    wrong = np.flatnonzero(~right(scored, interpreter.labels))
    return _cases(scored, interpreter, _surest(scored, wrong)[:SHOWN])


def doubtful_answers(scored: Scored, interpreter: Interpreter) -> tuple[Case, ...]:
    """The answers, right or wrong, whose first and second label are closest to each other."""
    second, first = np.sort(scored.probabilities, axis=1)[:, -2:].T
    return _cases(scored, interpreter, np.argsort(first - second, kind="stable")[:SHOWN])


def worst_pairs(
    scored: Scored, interpreter: Interpreter, metrics: Metrics
) -> tuple[PairCases, ...]:
    """The mistakes made most often, each with the surest of its answers."""
    truth = np.array(scored.truth)
    answers = np.array(interpreter.labels)[scored.probabilities.argmax(axis=1)]
    found = []
    for pair in metrics.worst_confusions(PAIRS):
        rows = np.flatnonzero((truth == pair.truth) & (answers == pair.predicted))
        cases = _cases(scored, interpreter, _surest(scored, rows)[:PER_PAIR])
        found.append(PairCases(pair.truth, pair.predicted, pair.count, pair.support, cases))
    return tuple(found)


def right(scored: Scored, labels: tuple[str, ...]) -> Bools:
    """Which of the n answers are the truth."""
    answers = scored.probabilities.argmax(axis=1).tolist()
    pairs = zip(scored.truth, answers, strict=True)
    return np.array([truth == labels[answer] for truth, answer in pairs], dtype=np.bool_)


def _surest(scored: Scored, rows: Rows) -> Rows:
    return rows[np.argsort(-scored.probabilities[rows].max(axis=1), kind="stable")]


def _cases(scored: Scored, interpreter: Interpreter, rows: Rows) -> tuple[Case, ...]:
    return tuple(_case(scored, interpreter, row) for row in rows.tolist())


def _case(scored: Scored, interpreter: Interpreter, row: int) -> Case:
    probabilities, truth = scored.probabilities[row], scored.truth[row]
    outputs = {"probabilities": probabilities.astype(np.float32)}
    prediction = interpreter({**outputs, "embedding": scored.embeddings[row]})
    top = int(probabilities.argmax())
    return Case(
        file=scored.files[row],
        truth=truth,
        label=interpreter.labels[top],
        probability=float(probabilities[top]),
        of_truth=prediction.scores.get(truth, 0.0),  # a class that the model does not know has none
        unknown=prediction.unknown,
        set=prediction.set,
    )
