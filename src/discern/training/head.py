"""The head on frozen embeddings: standardise, then multinomial logistic regression.

C, the inverse strength of the L2 penalty, is chosen by log loss in cross-validation. The same
folds give out-of-fold logits, on which the temperature is fitted: no held-out pictures needed.
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from discern.config import HeadConfig
from discern.errors import TrainingError
from discern.model.calibration import fit_temperature, log_loss
from discern.progress import SILENT, Progress
from discern.runtime.machine import cores

Matrix = npt.NDArray[np.float32]
Codes = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Head:
    """logits [N, C] = transformed embedding [N, D] @ weight + bias.

    With `power`, the square root is taken first and the result scaled to unit length (Perronnin
    et al. 2010): embeddings out of a ReLU are never negative and strongly skewed, which
    standardising alone does not mend. The standardisation is folded into weight and bias.
    """

    weight: Matrix  # [D, C]
    bias: Matrix  # [C]
    power: bool

    def logits(self, embeddings: Matrix) -> Matrix:
        logits: Matrix = transformed(embeddings, self.power) @ self.weight + self.bias
        return logits


def transformed(embeddings: Matrix, power: bool) -> Matrix:
    """What the linear part sees of embeddings [N, D]."""
    if not power:
        return embeddings
    rooted = np.sqrt(np.maximum(embeddings, 0))
    unit: Matrix = rooted / np.maximum(np.linalg.norm(rooted, axis=1, keepdims=True), 1e-6)
    return unit


@dataclass(frozen=True)
class FittedHead:
    """A head, with what cross-validation said of it."""

    head: Head
    c: float
    temperature: float
    losses: dict[float, float]  # C -> out-of-fold log loss at temperature 1


@dataclass(frozen=True)
class Rows:
    """Training data: unique pictures, their classes' columns, and how much each counts."""

    embeddings: Matrix  # [N, D]
    truth: Codes  # [N]
    weights: Matrix  # [N]
    groups: npt.NDArray[np.intp]  # [N]; pictures of one group stay in one fold


def fit_head(
    rows: Rows,
    classes: int,
    config: HeadConfig,
    seed: int,
    *,
    power: bool | None = None,
    progress: Progress = SILENT,
) -> FittedHead:
    """Choose C, fit on all rows, calibrate on out-of-fold logits.

    `power` None takes the square root where no embedding is negative.
    """
    # The limit below holds for the thread pools of libraries that are loaded by then.
    import sklearn.linear_model
    import sklearn.model_selection  # noqa: F401
    from threadpoolctl import threadpool_limits

    power = bool((rows.embeddings >= 0).all()) if power is None else power
    features, mean, scale = _standardised(rows.embeddings, power)
    weights = rows.weights * _class_weights(rows, classes, config)
    # Many small matrix products, several folds at once: each is fastest on one thread.
    with threadpool_limits(1):
        logits, judged = _out_of_fold(features, rows, weights, classes, config, seed, progress)
        truth, counts = rows.truth[judged], rows.weights[judged]
        losses = {c: log_loss(z, truth, weights=counts) for c, z in logits.items()}
        best = min(losses, key=lambda c: losses[c]) if losses else _middle(config.c)
        path = [c for c in sorted(config.c) if c <= best]
        *_, (weight, bias) = _fit_path(features, rows.truth, weights, classes, path)
    temperature = fit_temperature(logits[best], truth, counts) if losses else 1.0
    head = Head(
        (weight / scale[:, None]).astype(np.float32),
        (bias - (mean / scale) @ weight).astype(np.float32),
        power,
    )
    return FittedHead(head, best, temperature, losses)


def _middle(grid: Sequence[float]) -> float:
    """The C taken where there are too few pictures to judge any."""
    return sorted(grid)[len(grid) // 2]


def _standardised(embeddings: Matrix, power: bool) -> tuple[Matrix, Matrix, Matrix]:
    features = transformed(embeddings, power)
    mean, scale = features.mean(0), features.std(0)
    scale[scale < 1e-6] = 1.0  # a feature that never changes says nothing
    features = features - mean
    features /= scale
    return features, mean, scale


def _class_weights(rows: Rows, classes: int, config: HeadConfig) -> Matrix:
    """[N] weights that make classes count alike, or ones."""
    if config.class_weights == "none":
        return np.ones_like(rows.weights)
    counts = np.bincount(rows.truth, rows.weights, classes)
    present = max(1, int((counts > 0).sum()))
    per_class = counts.sum() / (present * np.maximum(counts, 1))
    weights: Matrix = per_class[rows.truth].astype(np.float32)
    return weights


def _out_of_fold(
    features: Matrix,
    rows: Rows,
    weights: Matrix,
    classes: int,
    config: HeadConfig,
    seed: int,
    progress: Progress,
) -> tuple[dict[float, Matrix], npt.NDArray[np.intp]]:
    """For ascending C, logits [M, C] of rows that their fold had not seen; and which rows [M].

    A fold stops at the first C that is worse than the one before: the loss has one minimum, and
    large C are slow. C that some fold did not reach are left out, and so are rows whose class is
    in no other fold: an answer that could not be given says nothing of C or of the temperature.
    """
    from joblib import Parallel, delayed

    grid, folds = sorted(config.c), _folds(rows, config.folds, seed)

    def run(fit: Codes, held: Codes) -> list[Matrix]:
        found: list[Matrix] = []
        losses: list[float] = []
        for weight, bias in _fit_path(features[fit], rows.truth[fit], weights[fit], classes, grid):
            found.append(features[held] @ weight + bias)
            losses.append(log_loss(found[-1], rows.truth[held]))
            if losses[-1] > min(losses):
                break
        return found

    results = []
    with progress.stage("Choosing C", len(folds)) as advance:
        jobs = (delayed(run)(fit, held) for fit, held in folds)
        for result in Parallel(cores(), backend="threading", return_as="generator")(jobs):
            results.append(result)
            advance(1)
    reached = min(map(len, results), default=0)
    judged = [held for _, held in folds]
    out = {c: np.concatenate([found[i] for found in results]) for i, c in enumerate(grid[:reached])}
    return out, np.concatenate(judged) if judged else np.empty(0, np.intp)


def _folds(rows: Rows, wanted: int, seed: int) -> list[tuple[Codes, Codes]]:
    """Stratified folds (rows to fit, rows to judge) that keep groups together.

    Fewer than wanted where a class is small, and none where no class could be judged.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    counts = np.bincount(rows.truth)
    units = np.bincount(np.unique(np.stack([rows.truth, rows.groups]), axis=1)[0])
    if units.max() < 2:
        return []
    n = max(2, min(wanted, int(counts[counts > 0].min())))
    empty = np.zeros(len(rows.truth))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class with one row is dealt with below
        if len(np.unique(rows.groups)) == len(rows.groups):
            kinds = StratifiedKFold(n, shuffle=True, random_state=seed)
            folds = list(kinds.split(empty, rows.truth))
        else:
            grouped = StratifiedGroupKFold(n, shuffle=True, random_state=seed)
            folds = list(grouped.split(empty, rows.truth, rows.groups))
    known = ((fit, held[np.isin(rows.truth[held], rows.truth[fit])]) for fit, held in folds)
    return [(fit, held) for fit, held in known if len(held) and len(set(rows.truth[fit])) > 1]


def _fit_path(
    features: Matrix, truth: Codes, weights: Matrix, classes: int, grid: Sequence[float]
) -> Iterator[tuple[Matrix, Matrix]]:
    """Weight [D, C] and bias [C] for each C of the ascending grid, each fit starting from the last.

    A class without rows gets a bias so low that it is never the answer.
    """
    from sklearn.linear_model import LogisticRegression

    present = np.unique(truth)
    if len(present) < 2:
        raise TrainingError("Only one class is left to train on. Add pictures of another class.")
    model = LogisticRegression(max_iter=300, tol=1e-3, warm_start=True)
    for c in grid:
        model.C = c
        model.fit(features, truth, weights)
        yield _columns(model.coef_, model.intercept_, present, classes)


def _columns(
    coef: npt.NDArray[np.floating],
    intercept: npt.NDArray[np.floating],
    present: Codes,
    classes: int,
) -> tuple[Matrix, Matrix]:
    if len(coef) == 1:  # for two classes there is one logit; a half each way is the same softmax
        coef, intercept = np.vstack([-coef, coef]) / 2, np.hstack([-intercept, intercept]) / 2
    weight = np.zeros((coef.shape[1], classes), np.float32)
    bias = np.full(classes, -30.0, np.float32)
    weight[:, present], bias[present] = coef.T, intercept
    return weight, bias
