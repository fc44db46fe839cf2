"""Choosing the score for "none of these", and its threshold, on held-out pictures alone.

Scores are compared on two questions: are pictures of a class that was left out of training told
from those of the others, and are pictures that are certainly none of the classes told from true
ones? Both by the area under the ROC curve (AUROC): how often the stranger of a pair scores higher.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from math import ceil
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from discern.model.calibration import softmax
from discern.model.unknown import (
    SCORES,
    Arrays,
    Evidence,
    Unknown,
    directions,
    energies,
    outside,
)
from discern.runtime.machine import cores
from discern.runtime.pipeline import ordered_map
from discern.training.folds import row_folds
from discern.training.head import Head, Layer, one_thread_each, transformed
from discern.training.held_out import HeldOut
from discern.training.logistic import fit_path
from discern.training.outcome import Known

Matrix = npt.NDArray[np.float32]
Floats = npt.NDArray[np.floating]
Codes = npt.NDArray[np.intp]
In = TypeVar("In")
Out = TypeVar("Out")
Scores = dict[str, Floats]  # each score's values for the same pictures

AT_MOST = 5000  # pictures that statistics are made of, and that scores are compared on
BASIS = 32  # principal directions, at most; more were no better, and cost each answer of a server
NEIGHBOUR_NUMBERS = 1_280_000  # of all neighbours together: 5 MB
LARGEST = 8_000_000  # bytes that a score's arrays may take in the model folder
FOLDS = 5
LEFT_OUT = 20  # classes that are left out in turn, at most
QUICK_C = 0.01  # of the heads that are fitted without a class
TIE = 0.002  # AUROCs this close are the same: the simpler score is taken
SMALLEST_VARIANCE = 1e-8  # of directions, which have unit length


@dataclass(frozen=True)
class FittedUnknown:
    """The rule, and for the model's record how it was chosen."""

    unknown: Unknown
    facts: dict[str, Any]


@dataclass(frozen=True)
class _Comparison:
    """How all scores fare."""

    true: Scores  # of held-out pictures
    strangers: Mapping[str, Scores]  # by kind
    left_out: Mapping[str, Mapping[str, float]]  # by class and score, AUROC


class _Part(NamedTuple):
    """Pictures to make statistics of, and held-out ones that are not among them."""

    embeddings: Matrix  # [n, D]
    truth: Codes  # [n]
    judged: Codes  # positions in the held-out pictures


@dataclass(frozen=True)
class _Units:
    """What folds are made of, all [n]."""

    truth: Codes
    groups: Codes
    origin: Codes


def fit_unknown(
    known: Known,
    held: HeldOut,
    head: Head,
    strangers: Mapping[str, Matrix],
    classes: Sequence[str],
    keep: float = 0.95,
    seed: int = 0,
) -> FittedUnknown | None:
    """The best score, at the threshold that a new picture of the classes passes with chance `keep`.

    `strangers` are embeddings [S, D] by kind. The head and the logits of `held` are both
    calibrated, as the model's answers will be. Where held-out pictures are among the known ones,
    statistics are cross-fitted: a picture must not be its own neighbour. None where there are
    too few held-out pictures for the promise.

    A network that was trained whole has seen the classes that are left out here, only the
    statistics have not: its AUROCs for them are too good.
    """
    parts = _parts(known, held, seed)
    judged = sum(len(part.judged) for part in parts)
    if ceil((judged + 1) * keep) > judged:
        return None
    basis = _basis_size(*known.embeddings.shape)
    fit = _balanced(known.truth, AT_MOST, seed)
    final = fit_scores(known.embeddings[fit], known.truth[fit], head, basis, seed)
    comparison = _Comparison(
        _held_scores(parts, held, head, basis, seed),
        {
            kind: scores_of(final, head_evidence(vectors, head))
            for kind, vectors in strangers.items()
        },
        _left_out(parts, held, head.power, classes, basis, seed),
    )
    small = [name for name in final if sum(a.nbytes for a in final[name].values()) <= LARGEST]
    compared = {name: _compared(comparison, name) for name in small}
    best = _choose(compared)
    threshold = threshold_keeping(comparison.true[best], keep)
    facts = {"keep": keep, "compared": compared, **_facts(comparison, best, threshold)}
    return FittedUnknown(Unknown(best, threshold, final[best]), facts)


def threshold_keeping(scores: Floats, keep: float) -> float:
    """The score that a new picture, drawn like those of `scores` [n], stays below with `keep`.

    The (n + 1) keep-th smallest, as in split conformal prediction (Vovk et al. 2005).
    """
    rank = min(ceil((len(scores) + 1) * keep), len(scores))
    return float(np.sort(scores)[rank - 1])


def auroc(true: Floats, strange: Floats) -> float:
    """How often a stranger scores higher than a true picture, for scores [n] and [m]."""
    from sklearn.metrics import roc_auc_score

    wanted = np.repeat([0, 1], [len(true), len(strange)])
    return float(roc_auc_score(wanted, np.concatenate([true, strange])))


def _compared(comparison: _Comparison, name: str) -> dict[str, float]:
    """A score's mean AUROC on left-out classes, on strangers, and over both of these."""
    true = comparison.true[name]
    found = {
        "left_out_classes": [aurocs[name] for aurocs in comparison.left_out.values()],
        "strangers": [auroc(true, kind[name]) for kind in comparison.strangers.values()],
    }
    means = {question: float(np.mean(values)) for question, values in found.items() if values}
    mean = float(np.mean(list(means.values()))) if means else 0.5
    return {question: round(value, 4) for question, value in {**means, "mean": mean}.items()}


def _choose(compared: Mapping[str, Mapping[str, float]]) -> str:
    """The simplest of the scores that are as good as the best; they are in this order."""
    best = max(aurocs["mean"] for aurocs in compared.values())
    return next(name for name, aurocs in compared.items() if aurocs["mean"] >= best - TIE)


def _facts(comparison: _Comparison, name: str, threshold: float) -> dict[str, Any]:
    """How the chosen score fares, at its threshold, for the model's record."""
    true = comparison.true[name]
    return {
        "score": name,
        "threshold": threshold,
        "pictures": len(true),
        "kept": round(float((true <= threshold).mean()), 4),
        "left_out_classes": {
            label: round(aurocs[name], 4) for label, aurocs in comparison.left_out.items()
        },
        "strangers": {
            kind: {
                "pictures": len(scores[name]),
                "auroc": round(auroc(true, scores[name]), 4),
                "accepted": round(float((scores[name] <= threshold).mean()), 4),
            }
            for kind, scores in comparison.strangers.items()
        },
    }


def _parts(known: Known, held: HeldOut, seed: int) -> list[_Part]:
    """Who is judged by whom: every held-out picture by known ones that it is not among."""
    everything = np.arange(len(held.truth))
    if not known.cross_fitted:
        return [_part(known.embeddings, known.truth, everything, AT_MOST, seed)]
    groups = everything if held.groups is None else held.groups
    folds = row_folds(_Units(held.truth, groups, everything), FOLDS, seed)
    return [
        _part(held.embeddings[fit], held.truth[fit], judged, AT_MOST // len(folds), seed)
        for fit, judged in folds
    ]


def _part(embeddings: Matrix, truth: Codes, judged: Codes, at_most: int, seed: int) -> _Part:
    fit = _balanced(truth, AT_MOST, seed)
    some = np.random.default_rng(seed).permutation(judged)[:at_most]
    return _Part(embeddings[fit], truth[fit], np.sort(some))


def _balanced(truth: Codes, at_most: int, seed: int) -> Codes:
    """Positions of at most so many rows, by chance, from all classes alike while they last."""
    if len(truth) <= at_most:
        return np.arange(len(truth))
    shuffled = np.random.default_rng(seed).permutation(len(truth))
    by_class = shuffled[np.argsort(truth[shuffled], kind="stable")]
    first = np.searchsorted(truth[by_class], truth[by_class])  # where each row's class begins
    turn = np.arange(len(truth)) - first
    return np.sort(by_class[np.argsort(turn, kind="stable")[:at_most]])


def _held_scores(
    parts: Sequence[_Part], held: HeldOut, head: Head, basis: int, seed: int
) -> Scores:
    """All scores of held-out pictures, by statistics of pictures that they are not among."""
    evidence = _held_evidence(held, head.power)

    def judge(part: _Part) -> Scores:
        fitted = fit_scores(part.embeddings, part.truth, head, basis, seed)
        return scores_of(fitted, _rows(evidence, part.judged))

    found = _at_once(judge, parts)
    return {name: np.concatenate([scores[name] for scores in found]) for name in SCORES}


def _at_once(task: Callable[[In], Out], items: Iterable[In]) -> list[Out]:
    """`map`, with a core for each item."""
    with one_thread_each():
        return list(ordered_map(task, items, cores(), ahead=1))


def _held_evidence(held: HeldOut, power: bool) -> Evidence:
    """By the logits of heads that had not seen the pictures.

    The score's own head never knows what stood beside a picture.
    """
    bare = held.logits if held.without_metadata is None else held.without_metadata
    return Evidence(directions(held.embeddings, power), softmax(held.logits), energies(bare))


def head_evidence(embeddings: Matrix, head: Head) -> Evidence:
    """What the head makes of embeddings [N, D]."""
    logits = head.logits(embeddings)
    return Evidence(directions(embeddings, head.power), softmax(logits), energies(logits))


def _rows(evidence: Evidence, rows: Codes) -> Evidence:
    return Evidence(
        evidence.directions[rows], evidence.probabilities[rows], evidence.energies[rows]
    )


def scores_of(fitted: Mapping[str, Arrays], evidence: Evidence) -> Scores:
    """Every score's values [N]."""
    return {name: SCORES[name](arrays, evidence) for name, arrays in fitted.items()}


def _left_out(
    parts: Sequence[_Part],
    held: HeldOut,
    power: bool,
    classes: Sequence[str],
    basis: int,
    seed: int,
) -> dict[str, dict[str, float]]:
    """By class and score, AUROC of its pictures against the others' where it was never seen."""

    def told_apart(pair: tuple[int, _Part]) -> dict[str, float]:
        k, part = pair
        others = part.judged[held.truth[part.judged] != k]
        own = np.flatnonzero(held.truth == k)[:AT_MOST]
        embeddings, truth = part.embeddings[part.truth != k], part.truth[part.truth != k]
        if len(own) == 0 or len(others) == 0 or len(np.unique(truth)) < 2:
            return {}
        head = _quick_head(embeddings, truth, power, len(classes))
        fitted = fit_scores(embeddings, truth, head, basis, seed)
        true = scores_of(fitted, head_evidence(held.embeddings[others], head))
        strange = scores_of(fitted, head_evidence(held.embeddings[own], head))
        return {name: auroc(true[name], strange[name]) for name in fitted}

    counts = np.bincount(held.truth, minlength=len(classes))
    columns = np.argsort(-counts, kind="stable")[:LEFT_OUT].tolist()
    found = _at_once(told_apart, zip(columns, cycle(parts), strict=False))
    return {classes[k]: aurocs for k, aurocs in zip(columns, found, strict=True) if aurocs}


def _quick_head(embeddings: Matrix, truth: Codes, power: bool, classes: int) -> Head:
    """A linear head, whatever the model's own is."""
    features = transformed(embeddings, power)
    mean, scale = features.mean(0), features.std(0)
    scale[scale < 1e-6] = 1.0  # a feature that never changes says nothing
    weights = np.ones(len(truth), np.float32)
    ((weight, bias),) = fit_path((features - mean) / scale, truth, weights, classes, [QUICK_C])
    return Head((Layer(weight / scale[:, None], bias - (mean / scale) @ weight),), power)


def fit_scores(
    embeddings: Matrix, truth: Codes, head: Head, basis: int, seed: int
) -> dict[str, Arrays]:
    """Every score's arrays from known pictures [N, D] and their columns [N]; simplest first."""
    power = {"power": np.array(head.power, np.float32)}
    towards = directions(embeddings, head.power)
    neighbours = _balanced(truth, NEIGHBOUR_NUMBERS // embeddings.shape[1], seed)
    principal = _principal(towards, basis, seed)
    inside, rest = outside(principal, towards)
    layers = _head_arrays(head)
    found: dict[str, Arrays] = {
        "maximum_probability": power,
        "energy": power | layers,
        "nearest_neighbours": power | {"neighbours": _array(towards[neighbours])},
        "mahalanobis": power | principal | _gaussians(inside, rest, truth, towards.shape[1]),
        "virtual_logit": power | layers | principal | _scale(head.logits(embeddings), rest),
    }
    return found


def _array(values: Any) -> Matrix:
    return np.ascontiguousarray(values, np.float32)


def _basis_size(pictures: int, size: int) -> int:
    """Few enough for the pictures to say what is outside, too."""
    return max(1, min(BASIS, size // 2, pictures // 8))


def _principal(towards: Floats, basis: int, seed: int) -> dict[str, Matrix]:
    """The mean [D] and the principal directions [D, K]."""
    from sklearn.decomposition import PCA

    components = min(basis, *towards.shape)
    pca = PCA(components, iterated_power=2, random_state=seed).fit(towards)
    return {"mean": _array(pca.mean_), "basis": _array(pca.components_.T)}


def _gaussians(inside: Floats, rest: Floats, truth: Codes, size: int) -> dict[str, Matrix]:
    """Class means, and one covariance around them: full inside the basis, round outside of it.

    The covariance is shrunk as by Ledoit and Wolf (2004); what is outside is as in probabilistic
    principal components (Tipping and Bishop 1999).
    """
    from sklearn.covariance import LedoitWolf

    present, column = np.unique(truth, return_inverse=True)
    centres = np.stack([inside[column == k].mean(0) for k in range(len(present))])
    around = LedoitWolf(assume_centered=True).fit(inside - centres[column]).covariance_
    floor = SMALLEST_VARIANCE * np.eye(len(around))
    whitening = np.linalg.cholesky(np.linalg.inv(around + floor))
    spread = rest.mean() / max(1, size - len(around))
    return {
        "whitening": _array(whitening),
        "centres": _array(centres @ whitening),
        "rest_variance": np.array(max(spread, SMALLEST_VARIANCE), np.float32),
    }


def _scale(logits: Floats, rest: Floats) -> dict[str, Matrix]:
    """What makes the part outside as large as the largest logit, on average (Wang et al. 2022)."""
    ratio = logits.max(axis=1).mean() / max(np.sqrt(rest).mean(), 1e-6)
    return {"scale": np.array(max(ratio, 0), np.float32)}


def _head_arrays(head: Head) -> dict[str, Matrix]:
    """The head's layers, without what they make of facts beside the picture."""
    first, *later = head.layers
    weights = [first.weight[: head.embedding_size], *(layer.weight for layer in later)]
    found = {f"weight.{i}": _array(weight) for i, weight in enumerate(weights)}
    return found | {f"bias.{i}": _array(layer.bias) for i, layer in enumerate(head.layers)}
