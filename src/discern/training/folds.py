"""Folds for cross-validation: stratified, with groups and a picture's forms kept together."""

import warnings
from typing import Protocol

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.intp]


class Grouped(Protocol):
    """What folds are made of, all [N]."""

    @property
    def truth(self) -> Codes: ...
    @property
    def groups(self) -> Codes: ...
    @property
    def origin(self) -> Codes: ...


def row_folds(rows: Grouped, wanted: int, seed: int) -> list[tuple[Codes, Codes]]:
    """Stratified folds (rows to fit, rows to judge); groups and forms of a picture stay together.

    Fewer than wanted where a class is small, and none where no class could be judged.
    """
    own = np.flatnonzero(rows.origin == np.arange(len(rows.origin)))
    fold = np.full(len(rows.truth), -1)
    for number, held in enumerate(_folds(rows.truth[own], rows.groups[own], wanted, seed)):
        fold[own[held]] = number
    fold = fold[rows.origin]
    pairs = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(fold.max() + 1)]
    known = ((fit, held[np.isin(rows.truth[held], rows.truth[fit])]) for fit, held in pairs)
    return [(fit, held) for fit, held in known if len(held) and len(set(rows.truth[fit])) > 1]


def _folds(truth: Codes, groups: Codes, wanted: int, seed: int) -> list[Codes]:
    """The rows that each fold judges."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    counts = np.bincount(truth)
    units = np.bincount(np.unique(np.stack([truth, groups]), axis=1)[0])
    if units.max() < 2:
        return []
    n = max(2, min(wanted, int(counts[counts > 0].min())))
    empty = np.zeros(len(truth))
    _, first, codes = np.unique(groups, return_index=True, return_inverse=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class with one row is dealt with later
        # Grouped folds take a step of Python for each group; a few copies are not worth that.
        if 2 * len(first) > len(groups):
            kinds = StratifiedKFold(n, shuffle=True, random_state=seed)
            return _led(first[codes], [held for _, held in kinds.split(empty, truth)])
        grouped = StratifiedGroupKFold(n, shuffle=True, random_state=seed)
        return [held for _, held in grouped.split(empty, truth, groups)]


def _led(leader: Codes, folds: list[Codes]) -> list[Codes]:
    """The folds with each row in that of its group's first row, which `leader` [N] names."""
    fold = np.empty(len(leader), np.intp)
    for number, held in enumerate(folds):
        fold[held] = number
    return [np.flatnonzero(fold[leader] == number) for number in range(len(folds))]
