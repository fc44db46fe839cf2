"""Two graphs' answers to the same pictures, beside each other."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from discern.errors import PictureError
from discern.evaluation.metrics import Interval, wilson_interval
from discern.evaluation.significance import Difference, difference_interval
from discern.runtime import Predictor
from discern.runtime.engine import Outputs
from discern.runtime.pipeline import Facts, Picture

WORST = 5  # pictures named
SUM = 0.01  # by which probabilities may miss a sum of one
TINY = 1e-12  # the length of an embedding that is all zeros

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Answers:
    """What one graph gave for n pictures."""

    probabilities: Floats  # [n, C]
    embeddings: Floats | None  # [n, D]; None where only the probabilities were kept


@dataclass(frozen=True)
class Picked:
    """One picture that both answered: their labels, and the largest |Δp| of any class."""

    picture: str
    source: str
    exported: str
    difference: float


@dataclass(frozen=True)
class Agreement:
    """How far an exported graph and its source agree on some pictures."""

    pictures: int
    same_label: int
    largest_difference: float  # |Δp|, of any class of any picture
    mean_difference: float  # of each picture's largest
    senseless: int  # pictures for which the exported graph gave no probabilities, or no numbers
    least_cosine: float | None  # of embeddings; None where there are none
    worst: tuple[Picked, ...]  # the largest |Δp| first; all that changed their label before others

    @property
    def share(self) -> float:
        return self.same_label / self.pictures


@dataclass(frozen=True)
class Accuracies:
    """How often each was right on n labelled pictures, and what the exported one lost."""

    pictures: int
    source: Interval
    exported: Interval
    loss: Difference  # source - exported, paired by picture


def ask(
    predictor: Predictor,
    pictures: Sequence[Picture],
    facts: Iterable[Facts] | None = None,
    advance: Callable[[int], None] = lambda _steps: None,
) -> tuple[Answers, list[int], dict[int, str]]:
    """Every picture's outputs, from file to answer; which n of them could be read, and why not."""
    kept: list[Outputs] = []
    at: list[int] = []
    failures: dict[int, str] = {}
    for i, answer in enumerate(predictor.outputs(pictures, metadata=facts)):
        if isinstance(answer, PictureError):
            failures[i] = str(answer)
        else:
            kept.append(answer)
            at.append(i)
        advance(1)
    return _stacked(kept), at, failures


def _stacked(rows: Sequence[Outputs]) -> Answers:
    if not rows:
        return Answers(np.zeros((0, 1), np.float32), None)
    return Answers(
        np.stack([row["probabilities"] for row in rows]),
        np.stack([row["embedding"] for row in rows]),
    )


def agreement(
    labels: Sequence[str], names: Sequence[str], source: Answers, exported: Answers
) -> Agreement:
    """Compare two graphs' answers for the n >= 1 pictures called `names`."""
    p, q = source.probabilities, exported.probabilities
    apart = np.abs(p - q).max(axis=1)  # [n]
    apart = np.where(np.isfinite(apart), apart, 1.0)  # no number is as far off as can be
    before, after = p.argmax(axis=1), q.argmax(axis=1)
    changed = before != after
    order = np.lexsort((-apart, ~changed))[:WORST].tolist()
    return Agreement(
        pictures=len(p),
        same_label=int((~changed).sum()),
        largest_difference=float(apart.max()),
        mean_difference=float(apart.mean()),
        senseless=_senseless(exported),
        least_cosine=_least_cosine(source.embeddings, exported.embeddings),
        worst=tuple(
            Picked(names[i], labels[before[i]], labels[after[i]], float(apart[i])) for i in order
        ),
    )


def _senseless(answers: Answers) -> int:
    p = answers.probabilities
    good = np.isfinite(p).all(axis=1) & (p >= 0).all(axis=1) & (np.abs(p.sum(axis=1) - 1) <= SUM)
    if answers.embeddings is not None:
        good &= np.isfinite(answers.embeddings).all(axis=1)
    return int((~good).sum())


def _least_cosine(a: Floats | None, b: Floats | None) -> float | None:
    if a is None or b is None:
        return None
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(((a * b).sum(axis=1) / np.maximum(lengths, TINY)).min())


def accuracies(
    labels: Sequence[str], truth: Sequence[str], source: Answers, exported: Answers
) -> Accuracies | None:
    """Both accuracies on the pictures whose `truth` is known (not ""); None where none is.

    A true class that the model does not know is one that both get wrong.
    """
    known = np.array([label != "" for label in truth], bool)
    if not known.any():
        return None
    a, b = (_right(labels, truth, some)[known] for some in (source, exported))
    return Accuracies(
        pictures=len(a),
        source=wilson_interval(int(a.sum()), len(a)),
        exported=wilson_interval(int(b.sum()), len(b)),
        loss=difference_interval(a.astype(np.float64), b.astype(np.float64)),
    )


def _right(labels: Sequence[str], truth: Sequence[str], answers: Answers) -> npt.NDArray[np.bool_]:
    given = answers.probabilities.argmax(axis=1).tolist()
    return np.array([labels[k] == true for k, true in zip(given, truth, strict=True)], bool)
