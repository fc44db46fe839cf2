"""Candidates compared on the same held-out pictures, and which of them to take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np
import numpy.typing as npt

from discern.evaluation.leaks import LeakScore
from discern.evaluation.metrics import Interval, Metrics, score
from discern.evaluation.significance import Difference, difference_interval, mcnemar
from discern.runtime.speed import Speed

SIGNIFICANT = 0.05  # a p below it: worse by more than chance


@dataclass(frozen=True)
class Answers:
    """What a candidate said of pictures that it had not seen; n pictures, C classes."""

    samples: npt.NDArray[np.intp]  # [n] which pictures, the same numbers for every candidate
    truth: npt.NDArray[np.intp]  # [n] columns
    probabilities: npt.NDArray[np.float32]  # [n, C]

    def at(self, samples: npt.NDArray[np.intp]) -> Answers:
        """The answers to these pictures, in their order."""
        order = np.argsort(self.samples)
        rows = order[np.searchsorted(self.samples, samples, sorter=order)]
        return Answers(samples, self.truth[rows], self.probabilities[rows])

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        hits: npt.NDArray[np.bool_] = self.probabilities.argmax(1) == self.truth
        return hits


@dataclass(frozen=True)
class Costs:
    """What a candidate takes, in time and in space."""

    embed_seconds: float
    embed_estimated: bool  # from pictures a second, as most had been embedded before
    train_seconds: float
    speed: Speed
    parameters: int
    megabytes: float  # of its graph; 10^6 bytes


@dataclass(frozen=True)
class Candidate:
    """A backbone with its scores on held-out pictures, and how it does against the best."""

    backbone: str
    accuracy: Interval
    macro_f1: float
    log_loss: float
    costs: Costs
    p: float  # McNemar's test against the most accurate; 1 for that one
    gain: Difference  # in accuracy over the most accurate: never above 0

    @property
    def latency_ms(self) -> float:
        return self.costs.speed.latency_ms

    @property
    def not_worse(self) -> bool:
        """Whether chance alone may make it less accurate than the best."""
        return self.p >= SIGNIFICANT


@dataclass(frozen=True)
class Comparison:
    """Candidates, the most accurate first, which one was taken, and what that one scored.

    `score` is the taken one's on `split`, of which no picture took part in the choice; both are
    None where there was no such split.
    """

    candidates: tuple[Candidate, ...]
    failures: Mapping[str, str]  # backbone → why it could not be compared
    taken: Candidate
    reason: str
    pictures: int  # that all were compared on
    score: Metrics | None
    split: str | None
    model: Path  # the taken one's folder
    leaks: LeakScore | None = None  # on `split`


def compare_answers(
    classes: Sequence[str],
    answers: Mapping[str, Answers],
    costs: Mapping[str, Costs],
    seed: int = 0,
) -> tuple[Candidate, ...]:
    """The candidates on the pictures that all of them answered, the most accurate first.

    Of two that are as accurate, the one of less log loss comes first.
    """
    common = common_samples(answers.values())
    shared = {name: found.at(common) for name, found in answers.items()}
    metrics = {
        name: score(classes, [classes[k] for k in found.truth.tolist()], found.probabilities)
        for name, found in shared.items()
    }
    order = sorted(metrics, key=lambda name: _rank(metrics[name]))
    best = shared[order[0]].right
    return tuple(
        Candidate(
            name,
            metrics[name].accuracy,
            metrics[name].macro_f1,
            metrics[name].log_loss,
            costs[name],
            mcnemar(shared[name].right, best),
            difference_interval(shared[name].right.astype(float), best.astype(float), seed),
        )
        for name in order
    )


def common_samples(answers: Iterable[Answers]) -> npt.NDArray[np.intp]:
    """The pictures [n] that every candidate answered."""
    return reduce(np.intersect1d, (found.samples for found in answers))


def _rank(metrics: Metrics) -> tuple[float, float]:
    return -metrics.accuracy.value, metrics.log_loss


def choose(candidates: Sequence[Candidate]) -> Candidate:
    """The quickest that is not significantly worse than the most accurate, the first.

    Latencies that are the same in two digits count as equal; the smaller is then taken.
    """
    return min(
        (c for c in candidates if c.not_worse),
        key=lambda c: (float(f"{c.latency_ms:.2g}"), c.costs.megabytes),
    )


def reason(candidates: Sequence[Candidate], taken: Candidate, pictures: int) -> str:
    """Why this one was taken, in a sentence or two."""
    best, others = candidates[0], [c for c in candidates if c is not taken]
    if not others:
        return "There is nothing to compare it with."
    if taken is not best:
        return (
            f"It {_economy(taken, best)}, and is not significantly worse: "
            f"{_against(taken, best, pictures)}."
        )
    quicker = [c for c in others if c.latency_ms < taken.latency_ms]
    if not quicker:
        return f"It is the most accurate and answers soonest, in {milliseconds(taken)}."
    if rivals := [c for c in quicker if c.not_worse]:  # as quick, in two digits, but larger
        return (
            f"It is the most accurate; {short_name(rivals[0].backbone)} is no quicker to speak of."
        )
    nearest = quicker[0]
    return (
        "It is the most accurate, and whatever is quicker is significantly worse; the nearest, "
        f"{short_name(nearest.backbone)}: {_against(nearest, best, pictures)}."
    )


def _economy(taken: Candidate, best: Candidate) -> str:
    """In what a candidate is better than the most accurate one."""
    name = f"the most accurate, {short_name(best.backbone)}"
    if milliseconds(taken) != milliseconds(best):
        return f"answers in {milliseconds(taken)}, {name}, in {milliseconds(best)}"
    sizes = taken.costs.megabytes, best.costs.megabytes
    return f"takes {sizes[0]:,.1f} MB, {name}, {sizes[1]:,.1f} MB at the same speed"


def _against(candidate: Candidate, best: Candidate, pictures: int) -> str:
    """How a candidate does beside the best, with how sure that is."""
    low, high = 100 * candidate.gain.low, 100 * candidate.gain.high
    return (
        f"{100 * candidate.accuracy.value:.1f} % against {100 * best.accuracy.value:.1f} % of "
        f"{pictures:,} held-out pictures (95 % interval of the difference {_signed(low)} to "
        f"{_signed(high)} points, McNemar {p_value(candidate.p)})"
    )


def front(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those than which none is both quicker and as accurate, the quickest first."""
    found: list[Candidate] = []
    for c in sorted(candidates, key=lambda c: (c.latency_ms, -c.accuracy.value)):
        if not found or c.accuracy.value > found[-1].accuracy.value:
            found.append(c)
    return found


def milliseconds(candidate: Candidate) -> str:
    return f"{significant(candidate.latency_ms)} ms"


def significant(value: float) -> str:
    """Two digits that mean something: 0.52, 4.3, 38, 120."""
    digits = 0 if value >= 9.95 else 1 if value >= 0.995 else 2
    return f"{value:,.{digits}f}"


def p_value(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def short_name(backbone: str) -> str:
    """A backbone's name without the folder or the owner that it came from."""
    return backbone.rstrip("/").rpartition("/")[2] or backbone


def _signed(points: float) -> str:
    return f"{points:+.1f}".replace("-", "−") if round(points, 1) else "0.0"
