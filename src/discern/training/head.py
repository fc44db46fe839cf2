"""The head on frozen embeddings: standardise, then multinomial logistic regression.

C, the inverse strength of the L2 penalty, is chosen by log loss in cross-validation. The same
folds give each picture an answer from a head that had not seen it, on which probabilities are
calibrated and promises made: no pictures need be held out for it.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from discern.config import HeadConfig
from discern.model.calibration import Calibration, log_loss
from discern.progress import SILENT, Progress
from discern.runtime.machine import cores
from discern.runtime.pipeline import ordered_map
from discern.training.folds import row_folds
from discern.training.held_out import HeldOut
from discern.training.logistic import fit_path

Matrix = npt.NDArray[np.float32]
Codes = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Layer:
    """One dense layer: inputs [N, I] @ weight + bias."""

    weight: Matrix  # [I, O]
    bias: Matrix  # [O]


@dataclass(frozen=True)
class Head:
    """Dense layers with ReLU between them, from embedding [N, D] to logits [N, C].

    With `power`, the square root is taken first and the result scaled to unit length (Perronnin
    et al. 2010): embeddings out of a ReLU are never negative and strongly skewed, which
    standardising alone does not mend. The standardisation is folded into the first layer. Its
    last `metadata` inputs are the encoded facts beside the picture.
    """

    layers: tuple[Layer, ...]
    power: bool
    metadata: int = 0

    @property
    def embedding_size(self) -> int:
        return len(self.layers[0].weight) - self.metadata

    @property
    def classes(self) -> int:
        return len(self.layers[-1].bias)

    def logits(self, embeddings: Matrix, metadata: Matrix | None = None) -> Matrix:
        """Logits [N, C]; metadata [N, M] is taken as missing where there is none."""
        features = joined(transformed(embeddings, self.power), metadata, self.metadata)
        return through(self.layers, features)

    def calibrated(self, calibration: Calibration) -> "Head":
        """The head whose softmax gives calibrated probabilities."""
        *inner, last = self.layers
        scale, shift = calibration.scale, calibration.shift
        final = Layer(
            (last.weight * scale).astype(np.float32),
            (last.bias * scale + shift).astype(np.float32),
        )
        return replace(self, layers=(*inner, final))


def through(layers: Sequence[Layer], features: Matrix) -> Matrix:
    """The last layer's outputs [N, C] for features [N, F], with ReLU between layers."""
    *inner, last = layers
    for layer in inner:
        features = np.maximum(features @ layer.weight + layer.bias, 0)
    outputs: Matrix = features @ last.weight + last.bias
    return outputs


def transformed(embeddings: Matrix, power: bool) -> Matrix:
    """What the first layer sees of embeddings [N, D]."""
    if not power:
        return embeddings
    rooted = np.sqrt(np.maximum(embeddings, 0))
    unit: Matrix = rooted / np.maximum(np.linalg.norm(rooted, axis=1, keepdims=True), 1e-6)
    return unit


def joined(features: Matrix, metadata: Matrix | None, size: int) -> Matrix:
    """Features [N, D] with metadata [N, size] beside them, zeros where it is not given."""
    if not size:
        return features
    if metadata is None:
        metadata = np.zeros((len(features), size), np.float32)
    return np.hstack([features, metadata])


@dataclass(frozen=True)
class Rows:
    """Training data: unique pictures, their classes' columns, and how much each counts.

    A row may be another form of a picture (seen from another crop, or with nothing known beside
    it): `origin` is then the row it is a form of. Forms stay in the fold of their origin, which
    alone is judged.
    """

    embeddings: Matrix  # [N, D]
    truth: Codes  # [N]
    weights: Matrix  # [N]
    groups: Codes  # [N]; pictures of one group stay in one fold
    samples: Codes  # [N]; positions in the dataset
    origin: Codes  # [N]
    metadata: Matrix | None = None  # [N, M]

    @property
    def bare(self) -> Codes:
        """The rows that hide what is known beside their picture."""
        if self.metadata is None:
            return np.empty(0, np.intp)
        known = np.asarray(self.metadata.any(axis=1))
        return np.flatnonzero(~known & known[self.origin])


@dataclass(frozen=True)
class FittedHead:
    """A head, with what cross-validation said of it."""

    head: Head  # not calibrated
    c: float | None  # None for a head with inner layers
    losses: dict[float, float]  # C -> out-of-fold log loss
    held_out: HeldOut | None  # None where there were too few pictures to leave any out


@dataclass(frozen=True)
class CrossValidated:
    """What the folds said: of each C, and of the pictures at the best."""

    losses: list[float]  # out-of-fold log loss by position in the ascending grid of C
    held_out: HeldOut | None

    def best(self, otherwise: int) -> int:
        """The position of the least loss, or `otherwise` where nothing could be judged."""
        return int(np.argmin(self.losses)) if self.losses else otherwise


Told = Callable[[int, float], None]  # folds done, mean log loss of their answers so far


def fit_head(
    rows: Rows,
    classes: int,
    config: HeadConfig,
    seed: int,
    *,
    power: bool | None = None,
    progress: Progress = SILENT,
) -> FittedHead:
    """Choose C by cross-validation, and fit on all rows.

    `power` None takes the square root where no embedding is negative.
    """
    inputs = _inputs(rows, classes, config, power)
    grid = sorted(config.c)
    with progress.stage("Cross-validation", None if config.folds < 2 else config.folds) as advance:
        judged = _judged_by_folds(
            inputs, rows, classes, config, seed, told=lambda _done, _loss: advance(1)
        )
    best = judged.best(otherwise=len(grid) // 2)
    with one_thread_each():
        *_, layers = _path(inputs, rows.truth, classes, config, seed, upto=best + 1)
    head = Head(inputs.folded(layers), inputs.power, inputs.metadata)
    if config.layers:
        return FittedHead(head, None, {}, judged.held_out)
    losses = dict(zip(grid, judged.losses, strict=False))
    return FittedHead(head, grid[best], losses, judged.held_out)


def cross_validate(
    rows: Rows,
    classes: int,
    config: HeadConfig,
    seed: int,
    told: Told = lambda _done, _loss: None,
) -> CrossValidated:
    """Each row's answer by a head that had not seen it; `told` hears of each fold, and may raise.

    A fold stops at the first C that is worse than the one before: the loss has one minimum, and
    large C are slow. C that some fold did not reach are left out. Rows whose class is in no other
    fold are not judged: an answer that could not be given says nothing of C or of calibration.
    """
    return _judged_by_folds(_inputs(rows, classes, config, None), rows, classes, config, seed, told)


def _judged_by_folds(
    inputs: "_Inputs", rows: Rows, classes: int, config: HeadConfig, seed: int, told: Told
) -> CrossValidated:
    folds = row_folds(rows, config.folds, seed)
    found: list[list[Matrix]] = []  # by fold, then by C
    fold_losses: list[float] = []
    with one_thread_each():
        for answers in ordered_map(
            lambda fold: _answers(inputs, rows, classes, config, seed, *fold),
            folds,
            cores(),
            ahead=1,
        ):
            held = folds[len(found)][1]
            found.append(answers)
            fold_losses.append(min(log_loss(z, rows.truth[held]) for z in answers))
            told(len(found), float(np.mean(fold_losses)))
    reached = min(map(len, found), default=0)
    paths = [_gathered([path[i] for path in found], folds, rows) for i in range(reached)]
    losses = [_judged_loss(logits, rows) for logits in paths]
    best = paths[int(np.argmin(losses))] if losses else None
    return CrossValidated(losses, None if best is None else _held_out(best, rows))


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Many small matrix products, several folds at once: each is fastest on one thread."""
    # The limit holds for the thread pools of libraries that are loaded by then.
    import sklearn.linear_model
    import sklearn.model_selection  # noqa: F401
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield


@dataclass(frozen=True)
class _Inputs:
    """Standardised features [N, F] of rows, and how much each row counts in fitting."""

    features: Matrix
    mean: Matrix  # [F]
    scale: Matrix  # [F]
    weights: Matrix  # [N]
    power: bool
    metadata: int

    def folded(self, layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
        """The layers with the standardisation folded into the first."""
        first, *others = layers
        weight = first.weight / self.scale[:, None]
        bias = first.bias - self.mean @ weight
        return Layer(weight.astype(np.float32), bias.astype(np.float32)), *others


def _inputs(rows: Rows, classes: int, config: HeadConfig, power: bool | None) -> _Inputs:
    power = bool((rows.embeddings >= 0).all()) if power is None else power
    size = 0 if rows.metadata is None else rows.metadata.shape[1]
    features = joined(transformed(rows.embeddings, power), rows.metadata, size)
    mean, scale = features.mean(0), features.std(0)
    scale[scale < 1e-6] = 1.0  # a feature that never changes says nothing
    features = features - mean
    features /= scale
    forms = np.bincount(rows.origin, minlength=len(rows.origin))[rows.origin]
    weights = rows.weights / forms * _class_weights(rows, classes, config)
    return _Inputs(features, mean, scale, weights.astype(np.float32), power, size)


def _class_weights(rows: Rows, classes: int, config: HeadConfig) -> Matrix:
    """[N] weights that make classes count alike, or ones."""
    if config.class_weights == "none":
        return np.ones_like(rows.weights)
    counts = np.bincount(rows.truth, rows.weights, classes)
    present = max(1, int((counts > 0).sum()))
    per_class = counts.sum() / (present * np.maximum(counts, 1))
    weights: Matrix = per_class[rows.truth].astype(np.float32)
    return weights


def _path(
    inputs: _Inputs,
    truth: Codes,
    classes: int,
    config: HeadConfig,
    seed: int,
    fit: Codes | slice = slice(None),
    upto: int | None = None,
) -> Iterator[tuple[Layer, ...]]:
    """Fits on the rows `fit`, one for each C of the ascending grid, up to so many of them."""
    features, weights = inputs.features[fit], inputs.weights[fit]
    if config.layers:
        from discern.training.mlp_head import fit_layers

        yield fit_layers(features, truth[fit], weights, classes, config, seed)
        return
    for weight, bias in fit_path(features, truth[fit], weights, classes, sorted(config.c)[:upto]):
        yield (Layer(weight, bias),)


def _answers(
    inputs: _Inputs,
    rows: Rows,
    classes: int,
    config: HeadConfig,
    seed: int,
    fit: Codes,
    held: Codes,
) -> list[Matrix]:
    """Logits [H, C] of the held rows for each C of the grid, as far as they get better."""
    found: list[Matrix] = []
    losses: list[float] = []
    for layers in _path(inputs, rows.truth, classes, config, seed, fit):
        found.append(through(layers, inputs.features[held]))
        losses.append(log_loss(found[-1], rows.truth[held]))
        if losses[-1] > min(losses):
            break
    return found


def _gathered(answers: list[Matrix], folds: Sequence[tuple[Codes, Codes]], rows: Rows) -> Matrix:
    """The folds' answers as logits [N, C] in the rows' order; NaN where no fold could answer."""
    logits = np.full((len(rows.truth), answers[0].shape[1]), np.nan, np.float32)
    for found, (_, held) in zip(answers, folds, strict=False):
        logits[held] = found
    return logits


def _judged(logits: Matrix, rows: Rows) -> Codes:
    """The rows that count: their own origin, and answered by a fold that could."""
    own = rows.origin == np.arange(len(rows.origin))
    return np.flatnonzero(own & ~np.isnan(logits[:, 0]))


def _judged_loss(logits: Matrix, rows: Rows) -> float:
    judged = _judged(logits, rows)
    return log_loss(logits[judged], rows.truth[judged], weights=rows.weights[judged])


def _held_out(logits: Matrix, rows: Rows) -> HeldOut:
    judged = _judged(logits, rows)
    everything = len(judged) == len(rows.truth)  # then nothing large is copied
    return HeldOut(
        rows.samples[judged],
        rows.truth[judged],
        logits[judged],
        rows.weights[judged],
        rows.embeddings if everything else rows.embeddings[judged],
        _without_metadata(logits, rows, judged),
        rows.groups[judged],
    )


def _without_metadata(logits: Matrix, rows: Rows, judged: Codes) -> Matrix | None:
    """What the judged rows' forms with nothing known beside the picture were answered."""
    if rows.metadata is None:
        return None
    found = logits[judged].copy()
    bare = rows.bare
    place = np.full(len(rows.truth), -1)
    place[judged] = np.arange(len(judged))
    at = place[rows.origin[bare]]
    found[at[at >= 0]] = logits[bare[at >= 0]]
    return found
