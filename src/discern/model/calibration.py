"""Temperature and vector scaling: a few numbers that make probabilities mean what they say.

Guo et al., On Calibration of Modern Neural Networks, 2017. A temperature divides all logits, so
it never changes which class comes first. Vector scaling has a scale and a shift for each class:
it also mends a class that is claimed too often, and may change answers.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from discern.config import CalibrationMethod

Logits: TypeAlias = npt.NDArray[np.floating[Any]]
Floats: TypeAlias = npt.NDArray[np.float64]
Columns: TypeAlias = npt.NDArray[np.intp]
Method: TypeAlias = Literal["none", "temperature", "vector"]

LOWEST, HIGHEST = 0.05, 20.0  # the range searched; outside it something else is wrong
FOLDS = 5
FEWEST_OF_A_CLASS = 10  # pictures, for it to have two numbers of its own
# The prior of vector scaling: given a temperature, a class may well be off by a factor of e in
# its odds, and its scale by a half. More takes evidence.
SHIFT_SPREAD, SCALE_SPREAD = 1.0, 0.5
BLOCK = 1 << 16  # logits worked on at once: they stay in the processor's cache
MEMORY = 8  # steps that L-BFGS remembers
PRECISION = 1e-6  # nats a picture: nearer to the least loss than this is near enough


@dataclass(frozen=True, eq=False)
class Calibration:
    """What makes of logits [N, C] those whose softmax means what it says."""

    method: Method
    scale: Floats  # [C]
    shift: Floats  # [C]

    @classmethod
    def none(cls, classes: int) -> "Calibration":
        """Logits stay as they are."""
        return cls("none", np.ones(classes), np.zeros(classes))

    @classmethod
    def by_temperature(cls, temperature: float, classes: int) -> "Calibration":
        """All logits are divided by one number."""
        return cls("temperature", np.full(classes, 1 / temperature), np.zeros(classes))

    def apply(self, logits: Logits) -> Floats:
        """Calibrated logits [N, C]."""
        calibrated: Floats = logits * self.scale + self.shift
        return calibrated

    @property
    def temperature(self) -> float:
        """What all logits are divided by; 1 where each class has numbers of its own."""
        return 1.0 if self.method == "vector" else float(1 / self.scale[0])


@dataclass(frozen=True, eq=False)
class ChosenCalibration:
    """The calibration taken, and what the choice was made on: n held-out pictures."""

    calibration: Calibration
    log_losses: Mapping[Method, float]  # cross-validated, in nats, of each method compared
    cross_fitted: Floats  # [n, C] logits, each calibrated by a fit that had not seen it


def softmax(logits: Logits, temperature: float = 1.0) -> Floats:
    """Probabilities of logits [N, C] at a temperature."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    powers = np.exp(scaled)
    return powers / powers.sum(axis=1, keepdims=True)  # type: ignore[no-any-return]


def log_loss(
    logits: Logits, truth: Columns, temperature: float = 1.0, weights: Logits | None = None
) -> float:
    """Mean negative log likelihood of the true columns `truth` [N], in nats."""
    return float(np.average(_losses(logits, truth, temperature), weights=weights))


def _losses(logits: Logits, truth: Columns, temperature: float = 1.0) -> Floats:
    """Each picture's negative log likelihood [N]."""
    p = softmax(logits, temperature)[np.arange(len(truth)), truth]
    return -np.log(np.maximum(p, 1e-15))


def choose_calibration(
    logits: Logits,
    truth: Columns,
    weights: Logits | None = None,
    method: CalibrationMethod = "auto",
    seed: int = 0,
) -> ChosenCalibration:
    """Fit what cross-validation on held-out logits [n, C] and their true columns [n] favours.

    "auto" takes a temperature, or nothing where a temperature loses by it. Vector scaling, with
    its 2 C numbers, is compared where each class has 10 pictures, and taken where its mean gain
    over the temperature is more than the gain's standard error.
    """
    w = _shares(weights, len(truth))
    methods = _compared(truth, logits.shape[1], method)
    fits = {name: _fit(name, logits, truth, w) for name in methods}
    crossed = {name: _cross_fitted(fit, logits, truth, w, seed) for name, fit in fits.items()}
    losses = {name: _losses(found, truth) for name, found in crossed.items()}
    taken = methods[-1] if method != "auto" else _favoured(losses, w)
    means = {name: float(loss @ w) for name, loss in losses.items()}
    return ChosenCalibration(fits[taken], means, crossed[taken])


def _shares(weights: Logits | None, n: int) -> Floats:
    """Weights [n] that sum to 1."""
    if weights is None:
        return np.full(n, 1 / max(n, 1))
    shares: Floats = weights.astype(np.float64) / weights.sum(dtype=np.float64)
    return shares


def _compared(truth: Columns, classes: int, method: CalibrationMethod) -> tuple[Method, ...]:
    if method == "none" or len(truth) == 0:
        return ("none",)
    if method != "auto":
        return ("none", method)
    if np.bincount(truth, minlength=classes).min() < FEWEST_OF_A_CLASS:
        return ("none", "temperature")
    return ("none", "temperature", "vector")


def _favoured(losses: Mapping[Method, Floats], w: Floats) -> Method:
    """The method of least loss [n]; vector scaling only where that is not by chance."""
    if "temperature" not in losses or losses["none"] @ w < losses["temperature"] @ w:
        simple: Method = "none"
    else:
        simple = "temperature"
    if "vector" not in losses:
        return simple
    gain = losses[simple] - losses["vector"]  # [n]
    error = np.sqrt((w**2) @ (gain - gain @ w) ** 2)
    return "vector" if gain @ w > error else simple


def _cross_fitted(
    fitted: Calibration, logits: Logits, truth: Columns, w: Floats, seed: int
) -> Floats:
    """Logits [n, C], each calibrated as `fitted` was, but by the folds that it is not in."""
    if fitted.method == "none":
        return logits.astype(np.float64)
    crossed = np.empty(logits.shape)
    for held in _folds(len(truth), seed):
        rest = np.delete(np.arange(len(truth)), held)
        shares = w[rest] / w[rest].sum() if len(rest) else w[rest]
        found = _fit(fitted.method, logits[rest], truth[rest], shares, start=fitted)
        crossed[held] = found.apply(logits[held])
    return crossed


def _folds(n: int, seed: int) -> Iterator[Columns]:
    """Positions [n] dealt out at random.

    Not class by class: shares of the classes as in the rest would be something known of the truth
    that is held out, and flatter the shifts.
    """
    order = np.random.default_rng(seed).permutation(n)
    return (np.sort(order[k::FOLDS]) for k in range(min(FOLDS, n)))


def _fit(
    method: Method, logits: Logits, truth: Columns, w: Floats, start: Calibration | None = None
) -> Calibration:
    """Fit one method; `start`, a fit on like pictures, saves it time and changes nothing else."""
    classes = logits.shape[1]
    if method == "none" or len(truth) == 0:
        return Calibration.none(classes)
    loss = _Loss(logits, truth, w)
    scale = _best_scale(loss, 1.0 if start is None else float(start.scale.mean()))
    if method == "temperature":
        return Calibration.by_temperature(1 / scale, classes)
    return _vector(loss, scale, start)


def fit_temperature(logits: Logits, truth: Columns, weights: Logits | None = None) -> float:
    """The temperature of least log loss on held-out logits [N, C] and their true columns [N].

    Truth is taken with a doubt of 1 / (N + 2), as Platt (1999) does: where a few held-out
    pictures are all answered right, the plain loss would ask for certainty.
    """
    return 1 / _best_scale(_Loss(logits, truth, _shares(weights, len(truth))))


class _Loss:
    """The mean log loss of softmax(logits * scale + shift), with Platt's doubt.

    It is convex in scale [C] and shift [C]. What does not depend on them is summed up once.
    """

    def __init__(self, logits: Logits, truth: Columns, w: Floats) -> None:
        self.pictures, self.classes = logits.shape
        self._logits, self._w = logits, w
        doubt = 1 / (self.pictures + 2)
        own = logits[np.arange(self.pictures), truth] * w
        # Each class's share of the truth, and its logit where it is the truth, by that share.
        self._shares = (1 - doubt) * np.bincount(truth, w, self.classes)
        self._shares += doubt / self.classes
        self._own = (1 - doubt) * np.bincount(truth, own, self.classes)
        self._own += doubt / self.classes * sum(v @ z for z, v in self._blocks())

    def at(self, scale: Floats, shift: Floats) -> tuple[float, Floats, Floats]:
        """The loss, and its slopes along scale [C] and shift [C]."""
        loss = -float(self._own @ scale + self._shares @ shift)
        by_scale, by_shift = -self._own, -self._shares
        for z, w in self._blocks():
            p, normaliser = _softmax(z, scale, shift)
            loss += float(w @ normaliser)
            by_shift = by_shift + w @ p
            p *= z
            by_scale = by_scale + w @ p
        return loss, by_scale, by_shift

    def along(self, scale: float) -> tuple[float, float]:
        """Slope and curvature of the loss along one scale for all classes."""
        slope, curvature = -float(self._own.sum()), 0.0
        for z, w in self._blocks():
            p, _ = _softmax(z, scale)
            p *= z
            mean, square = p.sum(axis=1), np.einsum("nc,nc->n", p, z)
            slope += float(w @ mean)
            curvature += float(w @ (square - mean**2))
        return slope, curvature

    def curvatures(self, scale: Floats, shift: Floats) -> tuple[Floats, Floats]:
        """Of the loss along each class's own scale [C] and shift [C]."""
        by_scale, by_shift = np.zeros(self.classes), np.zeros(self.classes)
        for z, w in self._blocks():
            p, _ = _softmax(z, scale, shift)
            p *= 1 - p
            by_shift += w @ p
            p *= z**2
            by_scale += w @ p
        return by_scale, by_shift

    def _blocks(self) -> Iterator[tuple[Floats, Floats]]:
        """Rows of logits [n, C] and their weights [n], a cacheful at a time."""
        rows = max(1, BLOCK // self.classes)
        for at in range(0, self.pictures, rows):
            yield self._logits[at : at + rows].astype(np.float64), self._w[at : at + rows]


def _softmax(
    z: Floats, scale: Floats | float, shift: Floats | float = 0.0
) -> tuple[Floats, Floats]:
    """Calibrated probabilities [n, C], and the log of what they were divided by [n]."""
    p = z * scale
    p += shift  # in place, as all that follows: taking memory is what would take the time
    top = p.max(axis=1)
    p -= top[:, None]
    np.exp(p, out=p)
    total = p.sum(axis=1)
    p /= total[:, None]
    return p, top + np.log(total)


def _best_scale(loss: _Loss, start: float = 1.0) -> float:
    """The scale of least loss within the range: Newton's method, halving where that leads out."""
    low, high = 1 / HIGHEST, 1 / LOWEST
    scale = min(max(start, low), high)
    for _ in range(100):
        slope, curvature = loss.along(scale)
        low, high = (scale, high) if slope < 0 else (low, scale)
        newton = scale - slope / max(curvature, 1e-300)
        step = newton if low < newton < high else (low * high) ** 0.5
        if abs(step - scale) < 1e-4 * scale:
            break
        scale = step
    return step


def _vector(loss: _Loss, scale: float, start: Calibration | None) -> Calibration:
    """The most probable scales and shifts, given a normal prior about the temperature's scale.

    A class with few pictures so keeps near to the temperature, and n of them outweigh the prior
    as n grows. Worked out in units of the prior's spread.
    """
    classes, n = loss.classes, loss.pictures

    def numbers(x: Floats) -> tuple[Floats, Floats]:
        return scale * (1 + SCALE_SPREAD * x[:classes]), SHIFT_SPREAD * x[classes:]

    def evaluate(x: Floats) -> tuple[float, Floats]:
        value, by_scale, by_shift = loss.at(*numbers(x))
        slopes = np.concatenate([scale * SCALE_SPREAD * by_scale, SHIFT_SPREAD * by_shift])
        return value + float(x @ x) / (2 * n), slopes + x / n

    first = np.zeros(2 * classes)
    if start is not None:
        first[:classes] = (start.scale / scale - 1) / SCALE_SPREAD
        first[classes:] = start.shift / SHIFT_SPREAD
    by_scale, by_shift = loss.curvatures(*numbers(first))
    curvature = np.concatenate([(scale * SCALE_SPREAD) ** 2 * by_scale, SHIFT_SPREAD**2 * by_shift])
    return Calibration("vector", *numbers(_least(evaluate, first, curvature + 1 / n)))


def _least(
    evaluate: Callable[[Floats], tuple[float, Floats]], x: Floats, curvature: Floats
) -> Floats:
    """Where a convex function is least: L-BFGS from `x`, given its curvature [k] there.

    Liu & Nocedal, On the limited memory BFGS method for large scale optimization, 1989.
    """
    value, slopes = evaluate(x)
    steps: deque[tuple[Floats, Floats]] = deque(maxlen=MEMORY)
    for _ in range(200):
        direction = -_newton_like(slopes, steps, curvature)
        promised = -float(slopes @ direction)
        if promised < PRECISION:
            break
        size = 1.0
        while (found := evaluate(x + size * direction))[0] > value - 1e-4 * size * promised:
            size /= 2
        steps.append((size * direction, found[1] - slopes))
        x, value, slopes = x + size * direction, *found
    return x


def _newton_like(
    slopes: Floats, steps: Sequence[tuple[Floats, Floats]], curvature: Floats
) -> Floats:
    """The slopes divided by the curvature, as far as the steps made so far show it."""
    q = slopes.copy()
    shares = []
    for step, change in reversed(steps):
        shares.append(step @ q / (step @ change))
        q -= shares[-1] * change
    q /= curvature
    for step, change in steps:
        q += (shares.pop() - change @ q / (step @ change)) * step
    return q
