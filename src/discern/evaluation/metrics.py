"""What a classifier's answers are worth: accuracy with its interval, scores by class, calibration.

Everything here is counted from one table of probabilities [N, C] and the N true labels. Classes
are named throughout; the only order is that of `Metrics.classes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from statistics import NormalDist
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from discern.errors import DatasetError

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]

Z_95 = NormalDist().inv_cdf(0.975)
CALIBRATION_BINS = 15
# Below this a bin's accuracy is mostly chance, and the error would measure the chance.
PICTURES_PER_BIN = 10
# Under the logarithm: one sure and wrong answer costs 34.5, not infinity.
PROBABILITY_FLOOR = 1e-15
# bfloat16 engines round each probability to 3 digits; logits and sigmoids are off by far more.
SUM_TOLERANCE = 0.02


@dataclass(frozen=True)
class Interval:
    """A share and its 95 % confidence interval, all in [0, 1]."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        value, low, high = (f"{100 * share:.1f}" for share in (self.value, self.low, self.high))
        return f"{value} % ({low}–{high})"


@dataclass(frozen=True)
class ClassScore:
    """One class: its pictures in the truth, how often it was answered, and its scores."""

    label: str
    support: int
    predicted: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class ReliabilityBin:
    """Pictures answered with a top probability in [low, high]: mean claim beside mean success."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Confusion:
    """Pictures of class `truth` that were taken for `predicted`: `count` of `support`."""

    truth: str
    predicted: str
    count: int
    support: int


@dataclass(frozen=True)
class Metrics:
    """The score of one model on one set of labelled pictures.

    `classes` holds the model's labels in output order, then, sorted, those of the truth that the
    model does not know (also in `unknown_classes`). `per_class`, and the rows (truth) and columns
    (predicted) of `confusion`, follow it. `top5` is None where the model has at most 5 classes.
    All shares are in [0, 1], `log_loss` is in nats.
    """

    n: int
    accuracy: Interval
    macro_precision: float
    macro_recall: float
    macro_f1: float
    log_loss: float
    calibration_error: float
    top5: float | None
    per_class: tuple[ClassScore, ...]
    classes: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    reliability: tuple[ReliabilityBin, ...]
    unknown_classes: tuple[str, ...] = ()

    def worst_confusions(self, limit: int | None = None) -> tuple[Confusion, ...]:
        """The mistakes made most often, first those that take the larger share of their class."""
        found = [
            Confusion(truth.label, predicted, count, truth.support)
            for truth, row in zip(self.per_class, self.confusion, strict=True)
            for predicted, count in zip(self.classes, row, strict=True)
            if count and predicted != truth.label
        ]
        found.sort(key=lambda c: (-c.count, c.support, c.truth, c.predicted))
        return tuple(found[:limit])

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON; the confusion is {truth: {predicted: count}}, zeros left out."""
        return {f.name: getattr(self, f.name) for f in fields(self)} | {
            "accuracy": asdict(self.accuracy),
            "per_class": {s.label: _without_label(s) for s in self.per_class},
            "classes": list(self.classes),
            "confusion": {
                truth: {name: k for name, k in zip(self.classes, row, strict=True) if k}
                for truth, row in zip(self.classes, self.confusion, strict=True)
            },
            "reliability": [asdict(b) for b in self.reliability],
            "unknown_classes": list(self.unknown_classes),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Metrics:
        """The reverse of `to_dict`. Raises ValueError where a field is missing or has no sense."""
        try:
            return cls(**{**data, **_rebuilt(data)})
        except (KeyError, TypeError, AttributeError) as exc:
            raise ValueError(f"these are no metrics written by discern: {exc}") from exc


def wilson_interval(hits: int, n: int) -> Interval:
    """The share hits/n with its 95 % score interval; honest for small n and shares near 0 or 1.

    Raises ValueError unless 0 <= hits <= n and n >= 1.
    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
    """
    if not 0 <= hits <= n or n < 1:
        raise ValueError(f"{hits} hits of {n} is no share")
    share, z2 = hits / n, Z_95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z_95 / (1 + z2 / n) * (share * (1 - share) / n + z2 / (4 * n * n)) ** 0.5
    # At 0 and n hits one end is the share itself; rounding must not push it past.
    return Interval(share, max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half)))


def score(
    labels: Sequence[str], truth: Sequence[str], probabilities: npt.NDArray[np.floating[Any]]
) -> Metrics:
    """Score probabilities [N, C], whose columns `labels` names, against the N true labels.

    The answer is the class of the largest probability; of equal ones, the first column's. A true
    class that the model does not know counts as wrong: its pictures have probability 0 for the
    truth, and it has a row in the confusion and a class score of 0. Macro averages run over the
    classes present in the truth: the others have no recall. A class never answered has precision
    0, as in scikit-learn. The log loss floors probabilities at 1e-15.

    Raises DatasetError where there is nothing to score, and ValueError where the shapes do not
    match, a label comes twice, or the rows are no probabilities.
    """
    if len(truth) == 0:
        raise DatasetError("There are no labelled pictures to score. Add some, or choose a split.")
    P = _as_probabilities(labels, truth, probabilities)  # [N, C]
    unknown = tuple(sorted(set(truth) - set(labels)))
    classes = (*labels, *unknown)
    position = {name: k for k, name in enumerate(classes)}
    true = np.array([position[name] for name in truth])  # [N]
    answer = P.argmax(axis=1)  # [N]
    confusion = _confusion(true, answer, len(classes))
    per_class = _class_scores(classes, confusion)
    present = [s for s in per_class if s.support]
    bins = _reliability(P.max(axis=1), answer == true)
    return Metrics(
        n=len(true),
        accuracy=wilson_interval(int((answer == true).sum()), len(true)),
        macro_precision=float(np.mean([s.precision for s in present])),
        macro_recall=float(np.mean([s.recall for s in present])),
        macro_f1=float(np.mean([s.f1 for s in present])),
        log_loss=_log_loss(P, true),
        calibration_error=sum(b.count * abs(b.confidence - b.accuracy) for b in bins) / len(true),
        top5=_top_k(P, true, 5) if len(labels) > 5 else None,
        per_class=per_class,
        classes=classes,
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        reliability=bins,
        unknown_classes=unknown,
    )


def _as_probabilities(
    labels: Sequence[str], truth: Sequence[str], probabilities: npt.NDArray[np.floating[Any]]
) -> Floats:
    P = np.asarray(probabilities, dtype=np.float64)
    if P.shape != (len(truth), len(labels)) or not labels:
        raise ValueError(
            f"probabilities have shape {P.shape}; {len(truth)} pictures and {len(labels)} labels "
            f"need {(len(truth), len(labels))}"
        )
    if len(set(labels)) != len(labels):
        raise ValueError("a label names two columns of the probabilities")
    if not np.isfinite(P).all():
        raise ValueError("probabilities hold NaN or infinity")
    if P.min() < 0 or np.abs(P.sum(axis=1) - 1).max() > SUM_TOLERANCE:
        raise ValueError("rows do not sum to 1; pass probabilities, not logits")
    return P


def _confusion(true: Ints, answer: Ints, size: int) -> Ints:
    return np.bincount(true * size + answer, minlength=size * size).reshape(size, size)


def _class_scores(classes: Sequence[str], confusion: Ints) -> tuple[ClassScore, ...]:
    hits, support, predicted = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    columns = (
        support,
        predicted,
        _ratio(hits, predicted),
        _ratio(hits, support),
        _ratio(2 * hits, support + predicted),
    )
    rows = zip(classes, *(column.tolist() for column in columns), strict=True)
    return tuple(ClassScore(*row) for row in rows)


def _ratio(part: Ints, whole: Ints) -> Floats:
    return part / np.maximum(whole, 1)  # where the whole is 0, so is the part


def _probability_of_truth(P: Floats, true: Ints) -> Floats:
    known = true < P.shape[1]
    found = np.zeros(len(P))
    found[known] = P[known, true[known]]
    return found  # [N]


def _log_loss(P: Floats, true: Ints) -> float:
    # The upper limit is for rows that rounding has carried past 1: no answer earns a reward.
    claimed = np.clip(_probability_of_truth(P, true), PROBABILITY_FLOOR, 1.0)
    return float(-np.log(claimed).mean()) + 0.0  # + 0.0: a perfect score is 0, not -0


def _top_k(P: Floats, true: Ints, k: int) -> float:
    # By rank, ties going to the first column as in argmax, so that flat probabilities earn nothing.
    own = _probability_of_truth(P, true)[:, None]
    earlier = np.arange(P.shape[1]) < true[:, None]
    rank = ((own < P) | ((own == P) & earlier)).sum(axis=1)
    return float(((rank < k) & (true < P.shape[1])).mean())


def _reliability(confidence: Floats, hit: Bools) -> tuple[ReliabilityBin, ...]:
    """Bins of the top probability [N], of equal mass: about as many pictures in each.

    A good model is nearly always sure. Bins of equal width would put most pictures in the last
    one, where over- and underconfidence cancel, and leave single pictures in the others (Nixon et
    al., "Measuring calibration in deep learning", 2019; the error itself: Naeini et al.,
    "Obtaining well calibrated probabilities using Bayesian binning", 2015). Equal confidences
    share a bin, so that the order of the pictures does not count; small sets have fewer bins.
    """
    order = np.argsort(confidence, kind="stable")
    confidence, hit = confidence[order], hit[order]
    n = len(confidence)
    count = min(CALIBRATION_BINS, max(1, n // PICTURES_PER_BIN))
    cuts = np.arange(1, count) * n // count
    starts = np.unique(np.append(0, np.searchsorted(confidence, confidence[cuts])))[1:]
    pairs = zip(np.split(confidence, starts), np.split(hit, starts), strict=True)
    return tuple(_bin(claims, hits) for claims, hits in pairs)


def _bin(confidence: Floats, hit: Bools) -> ReliabilityBin:
    return ReliabilityBin(
        low=float(confidence[0]),
        high=float(confidence[-1]),
        count=len(confidence),
        confidence=float(confidence.mean()),
        accuracy=float(hit.mean()),
    )


def _without_label(of_class: ClassScore) -> dict[str, Any]:
    fields = asdict(of_class)
    del fields["label"]
    return fields


def _rebuilt(data: Mapping[str, Any]) -> dict[str, Any]:
    classes = tuple(data["classes"])
    confusion = data["confusion"]
    return {
        "accuracy": Interval(**data["accuracy"]),
        "per_class": tuple(ClassScore(label=c, **data["per_class"][c]) for c in classes),
        "classes": classes,
        "confusion": tuple(tuple(confusion[t].get(p, 0) for p in classes) for t in classes),
        "reliability": tuple(ReliabilityBin(**b) for b in data["reliability"]),
        "unknown_classes": tuple(data.get("unknown_classes", ())),
    }
