"""Prediction sets: so many labels that the true one is among them as often as was promised.

Split conformal prediction: what held-out pictures would have needed, new ones like them need too,
however wrong the probabilities are. A class is the stranger to a picture, the more probability
stands before it: APS (Romano et al., Classification with Valid and Adaptive Coverage, 2020). RAPS
adds a penalty for each rank beyond the first few (Angelopoulos et al., Uncertainty Sets for Image
Classifiers using Conformal Prediction, 2021), which keeps the long tail of many classes out.

Both papers count a class's own probability too and draw lots over the last class. Here the same
picture always has the same set, and only what stands *before* a class is counted. The first class
so has a score of 0 and is always in: no set is empty, and sets of a model that is mostly sure do
not grow past what was promised. In return coverage is never below accuracy: where less than the
accuracy is asked for, every set is one label.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from discern.errors import ConfigError

Probabilities: TypeAlias = npt.NDArray[np.floating[Any]]
Floats: TypeAlias = npt.NDArray[np.float64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Columns: TypeAlias = npt.NDArray[np.intp]

LEVELS = tuple(percent / 100 for percent in range(50, 100))  # coverages that can be asked for
PENALTIES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)  # of RAPS, compared where there is enough
TUNING_SHARE = 5  # one picture in so many chooses the penalty, and promises nothing
ENOUGH_TO_TUNE, ENOUGH_CLASSES = 500, 20  # pictures; fewer classes have no tail to cut
WORTH = 0.95  # a penalty is taken for sets smaller than this share of those without
ROUNDING = 1e-9


@dataclass(frozen=True)
class PredictionSets:
    """What a class's score may be at most to be in the set, for each coverage.

    `penalty` is added to the score for each rank after `free_ranks`; without it the method is APS.
    """

    coverage: float  # taken where none is asked for
    levels: tuple[float, ...]  # coverages that can be promised, ascending
    thresholds: tuple[float, ...]  # the largest score in the set, of each level
    pictures: int  # that it was calibrated on
    penalty: float = 0.0
    free_ranks: int = 1

    @property
    def method(self) -> Literal["aps", "raps"]:
        return "raps" if self.penalty else "aps"

    def threshold(self, coverage: float | None = None) -> float:
        """The largest score in sets of this coverage, or of the next that is known.

        ConfigError for a coverage that cannot be promised.
        """
        asked = self.coverage if coverage is None else coverage
        if not self.levels[0] - ROUNDING <= asked <= self.levels[-1] + ROUNDING:
            raise ConfigError(
                f"Sets of coverage {asked:g} cannot be promised: this model's are calibrated on "
                f"{self.pictures} pictures, from {self.levels[0]:g} to {self.levels[-1]:g}. "
                "Ask for one between."
            )
        return self.thresholds[bisect_left(self.levels, asked - ROUNDING)]

    def mask(self, probabilities: Probabilities, coverage: float | None = None) -> Bools:
        """Which classes [N, C] are in each picture's set, the likeliest one always."""
        scores = _scores(*_standing(probabilities), self.penalty, self.free_ranks)
        inside: Bools = scores <= self.threshold(coverage)
        return inside

    def size(self, descending: Sequence[float], coverage: float | None = None) -> int:
        """How many of one picture's likeliest classes are in its set, by their probabilities.

        The same as `mask`, whose arrays cost a server more than these few numbers.
        """
        largest, above = self.threshold(coverage), 0.0
        for rank, p in enumerate(descending):
            if above + self.penalty * max(0, rank + 1 - self.free_ranks) > largest:
                return rank
            above += p
        return len(descending)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "method": self.method,
            "coverage": self.coverage,
            "levels": list(self.levels),
            "thresholds": list(self.thresholds),
            "pictures": self.pictures,
            "penalty": self.penalty,
            "free_ranks": self.free_ranks,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "PredictionSets":
        """The reverse of `to_dict`. Raises ValueError where it makes no sense."""
        try:
            found = cls(
                coverage=float(data["coverage"]),
                levels=tuple(map(float, data["levels"])),
                thresholds=tuple(map(float, data["thresholds"])),
                pictures=int(data["pictures"]),
                penalty=float(data["penalty"]),
                free_ranks=int(data["free_ranks"]),
            )
            sound = data["method"] == found.method and _make_sense(found)
        except (KeyError, TypeError, ValueError, OverflowError) as exc:
            raise ValueError(f"these are no prediction sets written by discern: {exc!r}") from exc
        if not sound:
            raise ValueError("these prediction sets make no sense")
        return found


def _make_sense(sets: PredictionSets) -> bool:
    levels, thresholds = np.array(sets.levels), np.array(sets.thresholds)
    return bool(
        len(levels) == len(thresholds) > 0
        and levels[0] > 0
        and levels[-1] < 1
        and sets.coverage in sets.levels
        and (np.diff(levels) > 0).all()
        and thresholds[0] >= 0
        and np.isfinite(thresholds[-1])
        and (np.diff(thresholds) >= 0).all()
        and 0 <= sets.penalty < np.inf
        and sets.free_ranks >= 1
        and sets.pictures >= 1
    )


def calibrate_sets(
    probabilities: Probabilities,
    truth: Columns,
    coverage: float = 0.9,
    weights: npt.NDArray[np.floating[Any]] | None = None,
    seed: int = 0,
    method: Literal["auto", "aps", "raps"] = "auto",
) -> PredictionSets | None:
    """Sets from held-out probabilities [n, C] and their true columns [n]; None where n is too few.

    The promise takes n >= coverage / (1 - coverage), and is for pictures like the held-out ones,
    on average over all of them. Out-of-fold answers come from heads that learned from less than
    the model's, which errs on the side of more coverage. "auto" takes RAPS where its sets are
    clearly smaller on pictures set aside for that. ConfigError for no possible coverage.
    """
    if not LEVELS[0] <= coverage < 1:
        raise ConfigError(
            f"coverage is {coverage:g}; expected a share from {LEVELS[0]} to below 1."
        )
    w = np.ones(len(truth)) if weights is None else weights.astype(np.float64)
    held, penalty, free_ranks = _Held(*_standing(probabilities), truth, w), 0.0, 1
    if len(truth) and (method == "raps" or (method == "auto" and _worth_tuning(*held.rank.shape))):
        order = np.random.default_rng(seed).permutation(len(truth))
        tuning, rest = np.split(order, [max(1, len(truth) // TUNING_SHARE)])
        penalty, free_ranks = _tuned(held.part(tuning), coverage, method == "raps")
        held = held.part(rest)
    n = len(held.truth)
    reach = n / (n + 1) + ROUNDING  # n pictures cannot tell what happens less often than 1 in n + 1
    if coverage > reach:
        return None
    levels = tuple(level for level in sorted({*LEVELS, coverage}) if level <= reach)
    thresholds = _quantiles(held.own_scores(penalty, free_ranks), held.weights, levels)
    return PredictionSets(coverage, levels, thresholds, n, penalty, free_ranks)


@dataclass(frozen=True, eq=False)
class _Held:
    """Held-out pictures: where each class stands, and which is true."""

    above: Floats  # [n, C]
    rank: Columns  # [n, C]
    truth: Columns  # [n]
    weights: Floats  # [n]

    def part(self, rows: Columns) -> "_Held":
        return _Held(self.above[rows], self.rank[rows], self.truth[rows], self.weights[rows])

    def own_scores(self, penalty: float, free_ranks: int) -> Floats:
        """The true classes' scores [n]."""
        own = np.arange(len(self.truth)), self.truth
        return _scores(self.above[own], self.rank[own], penalty, free_ranks)


def _standing(probabilities: Probabilities) -> tuple[Floats, Columns]:
    """For each class, the probability of all before it and their number, both [N, C].

    Of equal ones, the first column stands before.
    """
    p = probabilities.astype(np.float64)
    order = np.argsort(-p, axis=1, kind="stable")
    rank, above = np.empty_like(order), np.empty_like(p)
    np.put_along_axis(rank, order, np.arange(p.shape[1])[None], axis=1)
    before = np.take_along_axis(p, order, axis=1)[:, :-1].cumsum(axis=1)
    np.put_along_axis(above, order, np.pad(before, ((0, 0), (1, 0))), axis=1)
    return above, rank


def _scores(above: Floats, rank: Columns, penalty: float, free_ranks: int) -> Floats:
    scores: Floats = above + penalty * np.maximum(0, rank + 1 - free_ranks)
    return scores


def _quantiles(scores: Floats, weights: Floats, levels: Sequence[float]) -> tuple[float, ...]:
    """The scores that so large shares of pictures [n], a new one counted in, do not exceed.

    With equal weights, the ceil((n + 1) * level)-th smallest.
    """
    order = np.argsort(scores)
    reached = weights[order].cumsum()
    needed = np.array(levels) * (reached[-1] + weights.mean()) - ROUNDING * reached[-1]
    at = np.minimum(np.searchsorted(reached, needed), len(scores) - 1)
    return tuple(scores[order[at]].tolist())


def _worth_tuning(pictures: int, classes: int) -> bool:
    return pictures >= ENOUGH_TO_TUNE and classes >= ENOUGH_CLASSES


def _tuned(held: _Held, coverage: float, take_best: bool) -> tuple[float, int]:
    """Penalty and free ranks of the smallest sets on average; none unless it is worth it."""
    true_rank = held.rank[np.arange(len(held.truth)), held.truth]
    free_ranks = 1 + int(_quantiles(true_rank.astype(float), held.weights, [coverage])[0])

    def size(penalty: float) -> float:
        own = held.own_scores(penalty, free_ranks)
        largest = _quantiles(own, held.weights, [coverage])[0]
        inside = _scores(held.above, held.rank, penalty, free_ranks) <= largest
        return float(np.average(inside.sum(axis=1), weights=held.weights))

    sizes = {penalty: size(penalty) for penalty in PENALTIES}
    best = min(sizes, key=lambda penalty: sizes[penalty])
    worth = take_best or sizes[best] < WORTH * size(0.0)
    return (best, free_ranks) if worth else (0.0, 1)
