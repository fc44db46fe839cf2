"""A forest finds near points, in leaves of one size, whatever the points."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from discern.survey.forest import forest


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(1, 40), st.integers(0, 99))
def test_every_point_is_in_a_leaf_and_no_leaf_is_too_large(n: int, leaf: int, seed: int) -> None:
    points = np.random.default_rng(seed).normal(size=(n, 3)).astype(np.float32)
    for leaves in forest(points, 2, leaf, seed):
        assert leaves.shape[1] <= leaf
        assert set(leaves.ravel().tolist()) == set(range(n))
        assert leaves.size < n + len(leaves), "a leaf is filled up by less than a point"


def test_near_points_meet_in_some_tree() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(4000, 16)).astype(np.float32)
    twins = points[:200] + 0.1 * rng.normal(size=(200, 16)).astype(np.float32)
    met, chance = np.zeros(200, bool), np.zeros(200, bool)
    for leaves in forest(np.concatenate([points, twins]), 8, 32):
        leaf = np.empty(4200, int)
        for number, members in enumerate(leaves):
            leaf[members] = number
        met |= leaf[:200] == leaf[4000:]
        chance |= leaf[:200] == leaf[200:400]
    assert met.mean() > 0.97
    assert chance.mean() < 0.3


def test_points_that_are_all_the_same() -> None:
    (leaves,) = forest(np.ones((1000, 4), np.float32), 1, 16)
    assert leaves.shape[1] <= 16
