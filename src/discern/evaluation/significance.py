"""Is it more than chance? One classifier against another, and a part against the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Bools: TypeAlias = npt.NDArray[np.bool_]
Values: TypeAlias = npt.NDArray[np.floating[Any]]
Floats: TypeAlias = npt.NDArray[np.float64]

RESAMPLES = 2_000
BLOCK = 1 << 20  # picks drawn at once


@dataclass(frozen=True)
class Difference:
    """A mean difference and its 95 % interval, in the unit of what was compared."""

    value: float
    low: float
    high: float


def mcnemar(right_a: Bools, right_b: Bools) -> float:
    """The two-sided mid-p of two classifiers being equally often right on the same N pictures.

    Only pictures that one gets right and the other wrong tell them apart: each is a fair coin if
    they are as good. The exact binomial test is needlessly cautious; half the probability of what
    was seen is taken off. 1 where no picture tells them apart.
    McNemar, "Note on the sampling error of the difference between correlated proportions", 1947;
    Fagerland, Lydersen & Laake, "The McNemar test for binary matched-pairs data: mid-p and
    asymptotic are better than exact conditional", 2013.
    """
    a, b = _paired(right_a, right_b)
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    n, fewer = only_a + only_b, min(only_a, only_b)
    log_p = np.array([_log_choose(n, k) for k in range(fewer + 1)]) - n * math.log(2)
    p = np.exp(log_p)  # of 0 to `fewer` heads
    return min(1.0, float(2 * p.sum() - p[-1]))


def difference_interval(values_a: Values, values_b: Values, seed: int = 0) -> Difference:
    """The mean of values_a - values_b [N], paired by picture, by percentile bootstrap.

    Values are what each picture scored, as right or wrong, or in log loss. Raises ValueError
    where there are none, or not as many.
    Efron & Tibshirani, "An introduction to the bootstrap", 1993, chapter 13.
    """
    a, b = _paired(values_a, values_b)
    gain = a.astype(np.float64) - b.astype(np.float64)
    n, rng = len(gain), np.random.default_rng(seed)
    rows = max(1, BLOCK // n)
    means = [
        gain[rng.integers(n, size=(min(rows, RESAMPLES - at), n))].mean(axis=1)
        for at in range(0, RESAMPLES, rows)
    ]
    low, high = np.quantile(np.concatenate(means), (0.025, 0.975)).tolist()
    return Difference(float(gain.mean()), low, high)


def _paired(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.ndim != 1 or not len(a):
        raise ValueError(f"values of shapes {a.shape} and {b.shape} are no pairs")
    return a, b


def worse_than_rest(hits: int, n: int, rest_hits: int, rest_n: int) -> float:
    """The one-sided mid-p of a part with `hits` of `n` right being as good as the rest.

    Fisher's exact test, given all hits: how likely the part's share of them is so small by chance.
    Half the probability of what was seen is taken off, as the exact test is needlessly cautious.
    Raises ValueError for counts that are none.
    Fisher, "Statistical methods for research workers", 1934; Lancaster, "Significance tests in
    discrete distributions", 1961.
    """
    if not (0 <= hits <= n and 0 <= rest_hits <= rest_n):
        raise ValueError(f"{hits} of {n} and {rest_hits} of {rest_n} are no counts of hits")
    total = hits + rest_hits
    fewest = max(0, total - rest_n)
    log_p = [
        _log_choose(n, k) + _log_choose(rest_n, total - k) - _log_choose(n + rest_n, total)
        for k in range(fewest, hits + 1)
    ]
    p = np.exp(np.array(log_p))
    return min(1.0, float(p.sum() - p[-1] / 2))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def holm(p: Sequence[float]) -> list[float]:
    """p values adjusted for having made so many tests, in their order.

    Holding those below 0.05 for real makes a single false one less likely than 0.05.
    Holm, "A simple sequentially rejective multiple test procedure", 1979.
    """
    order = np.argsort(p, kind="stable")
    stepped = np.asarray(p, dtype=np.float64)[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(stepped))
    return adjusted.tolist()
