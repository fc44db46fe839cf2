"""A forest of random projections: which points are near each other, without looking at all pairs.

Each tree halves the points at the median of a random direction, and the halves again, until a
handful is left; points that share a leaf are likely near each other, and in one of several trees
nearly surely. Leaves are all of one size, however the points lie, so that time grows with
n log n. (Dasgupta and Freund, "Random projection trees and low dimensional manifolds", 2008;
here with one direction for all nodes of a level.)
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.floating[Any]]  # [n, D], of 32 bits
Leaves = npt.NDArray[np.intp]  # [L, S], positions of points; some occur twice to fill the last


def forest(points: Points, trees: int, leaf: int, seed: int = 0) -> Iterator[Leaves]:
    """The leaves of one tree after the other, of at most `leaf` points each."""
    chance = np.random.default_rng(seed)
    levels = max(0, math.ceil(math.log2(max(1, len(points)) / leaf)))
    for _ in range(trees if levels else 1):  # where all fit in one leaf, all trees are alike
        yield _tree(points, levels, chance)


def _tree(points: Points, levels: int, chance: np.random.Generator) -> Leaves:
    directions = chance.standard_normal((points.shape[1], levels), np.float32)
    along = points @ directions  # [n, levels]
    leaves = 2**levels
    filled = leaves * math.ceil(len(points) / leaves)
    order = np.resize(chance.permutation(len(points)), filled)
    for level in range(levels):
        nodes = order.reshape(2**level, -1)
        halves = np.argpartition(along[nodes, level], nodes.shape[1] // 2, axis=1)
        order = np.take_along_axis(nodes, halves, axis=1)
    return order.reshape(leaves, -1)
