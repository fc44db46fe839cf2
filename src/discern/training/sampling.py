"""How often an epoch shows each class: as often as it is there, or rare ones more often.

An epoch is always as many pictures as there are. Of a class that is drawn more often than it has
pictures, each is shown several times; of one that is drawn less often, an epoch shows a part, and
the next one goes on with the rest. Balanced and square-root sampling are compared by Kang et al.,
Decoupling Representation and Classifier for Long-Tailed Recognition, 2020.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from discern.config import Sampling

Codes = npt.NDArray[np.intp]

POWERS: dict[Sampling, float] = {"natural": 1.0, "square-root": 0.5, "balanced": 0.0}


@dataclass(frozen=True, eq=False)
class EpochOrder:
    """Which pictures an epoch shows, in order; n of them.

    Iterating gives (showing, position): how often the picture was shown in training before, on
    which its random form depends, and which one it is.
    """

    showings: Codes  # [n]
    positions: Codes  # [n]

    def __len__(self) -> int:
        return len(self.positions)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self.showings.tolist(), self.positions.tolist(), strict=True)


def epoch_order(truth: Codes, sampling: Sampling, epoch: int, seed: int) -> EpochOrder:
    """What an epoch shows of pictures with these columns [n].

    It depends on nothing but the arguments, so a resumed run sees what an unbroken one would.
    Within a class no picture is shown twice more often than another, over any number of epochs.
    """
    n = len(truth)
    order = np.random.default_rng((seed, epoch)).permutation(n)
    if sampling == "natural":
        return EpochOrder(np.full(n, epoch), order)
    drawn = quotas(np.bincount(truth), sampling).tolist()
    parts = [
        _stretch(np.flatnonzero(truth == k), epoch * drawn[k], drawn[k], (seed, k))
        for k in np.unique(truth).tolist()
    ]
    showings, positions = (np.concatenate(column) for column in zip(*parts, strict=True))
    return EpochOrder(showings[order], positions[order])


def quotas(counts: Codes, sampling: Sampling) -> Codes:
    """How many pictures of each class [C] an epoch shows, where it has `counts`; the same sum."""
    emphasis = np.where(counts > 0, np.maximum(counts, 1) ** POWERS[sampling], 0.0)
    exact = counts.sum() * emphasis / emphasis.sum()
    whole: Codes = np.floor(exact).astype(np.intp)
    order = np.argsort(whole - exact, kind="stable")  # the largest remainders get what is left
    whole[order[: counts.sum() - whole.sum()]] += 1
    return whole


def _stretch(members: Codes, start: int, length: int, seed: tuple[int, int]) -> tuple[Codes, Codes]:
    """`length` showings of a class, from the `start`-th on.

    They are a stretch of an endless row in which all members stand once, then all again in
    another order, and so on.
    """
    rounds = np.arange(start // len(members), (start + length - 1) // len(members) + 1)
    orders = [np.random.default_rng((*seed, r)).permutation(members) for r in rounds.tolist()]
    part = slice(start % len(members), start % len(members) + length)
    return np.repeat(rounds, len(members))[part], np.concatenate(orders)[part]
