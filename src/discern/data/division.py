"""Which samples to hold out, so that classes keep their proportions while groups stay whole.

A unit is what stays together: a group, copies of one picture, or a picture by itself. Groups go
first, the largest first, each held out if that brings its classes nearer to their targets. Single
pictures then fill what is missing to the exact number. Last, a class with nothing held out though
it has units to spare gets its smallest group.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from discern.data.dataset import Dataset, StringArray
from discern.data.together import codes_of, kept_together

Mask = npt.NDArray[np.bool_]  # [N]
Codes = npt.NDArray[np.intp]  # [N]


def held_out(dataset: Dataset, fraction: float, seed: int) -> Mask:
    """Which samples to hold out. Works in the order of the paths, whatever order they came in."""
    order = np.argsort(dataset.paths, kind="stable")
    order = order[dataset.labels[order] != ""]
    held = np.zeros(len(dataset), dtype=bool)
    if fraction > 0 and len(order):
        rng = np.random.default_rng(seed)
        labels, groups = dataset.labels[order], kept_together(dataset)[order]
        held[order] = _held_in_order(codes_of(labels), groups, fraction, rng)
    return held


@dataclass
class _Division:
    """The state of one division: `target`, `held` and `left` are all [C], by class code."""

    target: npt.NDArray[np.intp]  # pictures to hold out
    total: npt.NDArray[np.intp]  # pictures
    held: npt.NDArray[np.intp]  # pictures held out so far
    left: npt.NDArray[np.intp]  # units in the rest

    def leaves_some(self, classes: Codes) -> bool:
        """Whether the rest keeps a unit of each of a group's classes if the group goes."""
        return bool((self.left[classes] > 1).all())

    def gains(self, classes: Codes, sizes: Codes) -> bool:
        """Whether holding the group out brings its classes nearer to their targets."""
        short = self.target[classes] - self.held[classes]
        change = (short - sizes) ** 2 - short**2
        return float(np.sum(change / self.total[classes])) < 0

    def take(self, classes: Codes, sizes: Codes) -> None:
        """Hold a group out."""
        self.held[classes] += sizes
        self.left[classes] -= 1


@dataclass(frozen=True)
class _Groups:
    """How many pictures of which class each group holds, in compressed sparse rows."""

    order: npt.NDArray[np.intp]  # [G], codes of the groups, in the order to try them
    starts: npt.NDArray[np.intp]  # [G + 1]
    classes: Codes
    sizes: Codes

    def row(self, group: int) -> tuple[Codes, Codes]:
        """Class codes and numbers of pictures of one group."""
        part = slice(self.starts[group], self.starts[group + 1])
        return self.classes[part], self.sizes[part]


def _held_in_order(
    codes: Codes, names: StringArray, fraction: float, rng: np.random.Generator
) -> Mask:
    """`codes` are the classes, `names` the groups, both by path."""
    grouped = names != ""
    group_codes = codes_of(names[grouped])
    groups = _groups(group_codes, codes[grouped], rng)
    division = _division(codes, grouped, groups, fraction)
    chosen = _choose_groups(division, groups)
    held = np.zeros(len(codes), dtype=bool)
    held[~grouped] = _choose_singles(division, codes[~grouped], rng)
    chosen |= _rescue(division, groups)
    held[grouped] = chosen[group_codes] if len(chosen) else False
    return held


def _groups(group_codes: Codes, class_codes: Codes, rng: np.random.Generator) -> _Groups:
    """Count pictures by (group, class); larger groups are tried first, equal ones at random."""
    width = int(class_codes.max(initial=0)) + 1
    pairs, sizes = np.unique(group_codes * width + class_codes, return_counts=True)
    of_pair, classes = np.divmod(pairs, width)
    number = int(group_codes.max(initial=-1)) + 1
    starts = np.searchsorted(of_pair, np.arange(number + 1))
    order = np.lexsort((rng.random(number), -np.bincount(group_codes, minlength=number)))
    return _Groups(order, starts, classes, sizes)


def _division(codes: Codes, grouped: Mask, groups: _Groups, fraction: float) -> _Division:
    total = np.bincount(codes)
    singles = np.bincount(codes[~grouped], minlength=len(total))
    units = singles + np.bincount(groups.classes, minlength=len(total))
    target = np.floor(fraction * total + 0.5).astype(np.intp)
    target = np.maximum(target, units >= 3)  # a small class is tested on one picture at least
    return _Division(target, total, np.zeros_like(total), units)


def _choose_groups(division: _Division, groups: _Groups) -> Mask:
    chosen = np.zeros(len(groups.order), dtype=bool)
    for group in groups.order:
        classes, sizes = groups.row(group)
        if division.leaves_some(classes) and division.gains(classes, sizes):
            division.take(classes, sizes)
            chosen[group] = True
    return chosen


def _choose_singles(division: _Division, codes: Codes, rng: np.random.Generator) -> Mask:
    """Per class as many pictures as are missing to the target, at random."""
    singles = np.bincount(codes, minlength=len(division.total))
    spare = np.minimum(singles, division.left - 1)
    quota = np.clip(division.target - division.held, 0, np.maximum(spare, 0))
    order = np.lexsort((rng.random(len(codes)), codes))
    first = np.cumsum(singles) - singles  # where each class starts in `order`
    rank = np.empty(len(codes), dtype=np.intp)
    rank[order] = np.arange(len(codes)) - first[codes[order]]
    division.held += quota
    division.left -= quota
    chosen: Mask = rank < quota[codes]
    return chosen


def _rescue(division: _Division, groups: _Groups) -> Mask:
    """The smallest groups that give a held-out picture to classes which have none yet."""
    chosen = np.zeros(len(groups.order), dtype=bool)
    for group in groups.order[::-1]:
        classes, sizes = groups.row(group)
        lacking = (division.held[classes] == 0) & (division.target[classes] > 0)
        if lacking.any() and division.leaves_some(classes):
            division.take(classes, sizes)
            chosen[group] = True
    return chosen
