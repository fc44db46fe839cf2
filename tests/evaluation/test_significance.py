"""Tests of significance: against SciPy, against published values, and at their own word."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discern.evaluation.significance import (
    difference_interval,
    holm,
    mcnemar,
    worse_than_rest,
)

stats = pytest.importorskip("scipy.stats")

right = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


def pair(only_a: int, only_b: int, both: int = 5) -> tuple[np.ndarray, np.ndarray]:
    a = np.repeat([True, False, True], [only_a, only_b, both])
    b = np.repeat([False, True, True], [only_a, only_b, both])
    return a, b


def test_mcnemar_as_published() -> None:
    # Fagerland et al. 2013, table 1: 1 and 7 discordant pairs of 21 children, mid-p 0.039.
    assert mcnemar(*pair(1, 7, 13)) == pytest.approx(0.0390625)


@pytest.mark.parametrize("fewer, more", [(0, 1), (3, 9), (40, 70), (4000, 4300)])
def test_mcnemar_is_twice_scipys_tail_less_what_was_seen(fewer: int, more: int) -> None:
    binomial = stats.binom(fewer + more, 0.5)
    expected = 2 * binomial.cdf(fewer) - binomial.pmf(fewer)
    assert mcnemar(*pair(fewer, more)) == pytest.approx(expected, rel=1e-7)


@given(right)
def test_mcnemar_takes_no_sides_and_no_notice_of_what_both_answer_alike(pairs: list) -> None:
    a, b = np.array(pairs).T
    p = mcnemar(a, b)
    assert 0 < p <= 1
    assert mcnemar(b, a) == p
    assert mcnemar(np.append(a, [True, False]), np.append(b, [True, False])) == p


@pytest.mark.parametrize("each", [0, 1, 30])
def test_mcnemar_of_equals_is_one(each: int) -> None:
    assert mcnemar(*pair(each, each)) == pytest.approx(1.0)


def test_mcnemar_is_seldom_wrong_about_equals_and_finds_the_better() -> None:
    rng = np.random.default_rng(0)
    equal = [mcnemar(rng.random(200) < 0.8, rng.random(200) < 0.8) for _ in range(1000)]
    assert 0.03 < np.mean(np.array(equal) < 0.05) < 0.065
    assert mcnemar(rng.random(1000) < 0.9, rng.random(1000) < 0.8) < 1e-4


def test_the_interval_holds_the_difference_as_often_as_it_says() -> None:
    held = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        losses = rng.exponential(1.0, (2, 150)) + rng.exponential(1.0, 150)
        found = difference_interval(losses[0] + 0.2, losses[1], seed)
        held.append(found.low <= 0.2 <= found.high)
    assert 0.915 < np.mean(held) < 0.98


def test_the_interval_of_a_mean_difference_is_the_one_of_the_central_limit() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.random(5000) < 0.9, rng.random(5000) < 0.88
    found = difference_interval(a, b)
    gain = a.astype(float) - b
    half = 1.96 * gain.std() / 5000**0.5
    assert found.value == pytest.approx(gain.mean())
    assert (found.low, found.high) == pytest.approx(
        (gain.mean() - half, gain.mean() + half), abs=0.0008
    )


def test_pairing_counts() -> None:
    rng = np.random.default_rng(2)
    hard = rng.exponential(3.0, 400)
    paired = difference_interval(hard + 0.1, hard + rng.normal(0, 0.1, 400))
    assert paired.low > 0.08
    loose = difference_interval(rng.permutation(hard) + 0.1, hard)
    assert loose.low < 0 < loose.high


def test_the_interval_turns_with_its_sides_and_is_the_seeds() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.random(50), rng.random(50)
    one, other = difference_interval(a, b, 7), difference_interval(b, a, 7)
    assert (one.value, one.low, one.high) == pytest.approx((-other.value, -other.high, -other.low))
    assert difference_interval(a, b, 7) == one != difference_interval(a, b, 8)
    same = difference_interval(a, a)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_more_pictures_than_are_drawn_at_once_come_to_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(4)
    a, b = rng.random(300), rng.random(300)
    whole = difference_interval(a, b)
    monkeypatch.setattr("discern.evaluation.significance.BLOCK", 1000)
    assert difference_interval(a, b) == whole


@pytest.mark.parametrize("a, b", [([], []), ([1.0], [1.0, 2.0]), ([[1.0]], [[1.0]])])
def test_what_is_no_pairs_is_refused(a: list, b: list) -> None:
    for test in (mcnemar, difference_interval):
        with pytest.raises(ValueError, match="no pairs"):
            test(np.array(a), np.array(b))


def test_worse_than_rest_of_the_lady_tasting_tea() -> None:
    # Fisher 1935: all four cups right by chance, 1 in 70; half of what was seen is taken off.
    assert worse_than_rest(0, 4, 4, 4) == pytest.approx(1 / 140)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 90), st.integers(1, 90))
def test_worse_than_rest_is_scipys_less_half_of_what_was_seen(
    hits: int, misses: int, rest_hits: int, rest_misses: int
) -> None:
    n, rest_n = hits + misses, rest_hits + rest_misses
    found = worse_than_rest(hits, n, rest_hits, rest_n)
    chance = stats.hypergeom(n + rest_n, hits + rest_hits, n)
    assert found == pytest.approx(chance.cdf(hits) - chance.pmf(hits) / 2, abs=1e-9)


def test_worse_than_rest_is_one_sided() -> None:
    assert worse_than_rest(10, 40, 900, 1000) < 1e-9
    assert worse_than_rest(40, 40, 900, 1000) > 0.9
    assert worse_than_rest(36, 40, 900, 1000) > 0.3


@pytest.mark.parametrize("counts", [(5, 4, 1, 2), (-1, 4, 1, 2), (1, 4, 3, 2)])
def test_what_are_no_counts_is_refused(counts: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="no counts"):
        worse_than_rest(*counts)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.2]) == [0.2]


@settings(max_examples=50)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.randoms())
def test_holm_only_raises_keeps_the_order_and_knows_none(p: list[float], random: object) -> None:
    adjusted = holm(p)
    assert all(p[i] <= adjusted[i] <= 1 for i in range(len(p)))
    assert max(adjusted) <= min(1.0, len(p) * max(p))
    order = sorted(range(len(p)), key=lambda i: p[i])
    assert [adjusted[i] for i in order] == sorted(adjusted)
    assert min(adjusted) == min(1.0, len(p) * min(p))
    shuffled = list(range(len(p)))
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert holm([p[i] for i in shuffled]) == [adjusted[i] for i in shuffled]
