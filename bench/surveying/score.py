"""What was found of what was planted, and what was found that was not."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from surveying.planting import Kind, Planted

Groups = Sequence[Sequence[int]]  # positions among the files


def found(groups: Groups, planted: Planted, kind: Kind) -> npt.NDArray[np.bool_]:
    """[k]: whether each copy of this kind is in one group with its original."""
    group = group_of(groups, len(planted.files))
    copies = planted.copies(kind)
    together: npt.NDArray[np.bool_] = group[copies] == group[planted.source[copies]]
    return together & (group[copies] >= 0)


def group_of(groups: Groups, n: int) -> npt.NDArray[np.intp]:
    """[n]: the group that each file is in, -1 for none."""
    group = np.full(n, -1, np.intp)
    for i, members in enumerate(groups):
        group[list(members)] = i
    return group


def mixed(groups: Groups, source: npt.NDArray[np.intp]) -> list[Sequence[int]]:
    """The groups that are not of one source, be they wrong or twins that were there before."""
    return [members for members in groups if len(set(source[list(members)])) > 1]


def untouched_share(groups: Groups, planted: Planted) -> float:
    """The share of untouched pictures that are in such groups."""
    inside = np.zeros(len(planted.files), bool)
    inside[list(_flat(mixed(groups, planted.source)))] = True
    return float(inside[planted.untouched].mean())


def _flat(groups: Iterable[Sequence[int]]) -> Iterable[int]:
    return (member for members in groups for member in members)
