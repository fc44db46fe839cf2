"""Sets keep their promise, are never empty, and read back as they were written."""

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discern.errors import ConfigError
from discern.model.calibration import softmax
from discern.model.prediction_sets import PredictionSets, calibrate_sets


def answers(n: int, classes: int = 5, seed: int = 0, tail: float = 0.0) -> tuple[Any, Any]:
    """Probabilities [n, C] and true columns [n]; some pictures are hard, and `tail` is noise."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(classes, size=n)
    logits = rng.normal(0, 1, (n, classes)) + tail * rng.standard_t(4, (n, classes))
    logits[np.arange(n), truth] += 1 + np.log(classes) + rng.normal(0, 1.5, n)
    return softmax(logits), truth


def calibrated(*args: Any, **kwargs: Any) -> PredictionSets:
    sets = calibrate_sets(*args, **kwargs)
    assert sets is not None
    return sets


def covered(sets: PredictionSets, p: Any, truth: Any, coverage: float | None = None) -> float:
    return float(sets.mask(p, coverage)[np.arange(len(truth)), truth].mean())


def test_by_hand() -> None:
    p = np.array([[0.6, 0.3, 0.1]] * 9)
    truth = np.array([0] * 6 + [1, 1, 2])
    sets = calibrated(p, truth, 0.6)
    # ceil(10 * 0.6) = 6: the sixth smallest of six 0, two 0.6 and one 0.9.
    assert [sets.threshold(c) for c in (0.6, 0.7, 0.8, 0.9)] == pytest.approx([0, 0.6, 0.6, 0.9])
    assert sets.mask(p[:1]).tolist() == [[True, False, False]]
    assert sets.mask(p[:1], 0.7).tolist() == [[True, True, False]]
    assert sets.mask(p[:1, ::-1], 0.9).tolist() == [[True, True, True]]


@pytest.mark.parametrize("largest, size", [(0.0, 1), (0.49, 1), (0.51, 2), (0.89, 2), (0.91, 3)])
def test_penalties_by_hand(largest: float, size: int) -> None:
    sets = PredictionSets(0.9, (0.9,), (largest,), 100, penalty=0.1, free_ranks=2)
    # Scores 0, 0.5, 0.8 + 0.1 and 0.95 + 0.2.
    inside = sets.mask(np.array([[0.15, 0.05, 0.3, 0.5]]))
    assert inside.tolist() == [[size > 2, size > 3, size > 1, True]]


def test_weights_by_hand() -> None:
    p = np.array([[0.6, 0.3, 0.1]] * 9)
    truth = np.array([2, 1, 0, 0, 1, 0, 0, 0, 0])
    # Scores 0.9, 0.6 and 0 weigh 1, 3 + 1 and 4 of 9; a new picture weighs 1.
    sets = calibrated(p, truth, 0.8, weights=np.array([1, 3, 0.5, 0.5, 1, 1, 1, 0.5, 0.5]))
    assert [sets.threshold(c) for c in (0.5, 0.8, 0.85)] == pytest.approx([0.6, 0.6, 0.9])
    sets = calibrated(p, truth, 0.8, weights=np.array([4, 1, 0.5, 0.5, 1, 0.5, 0.5, 0.5, 0.5]))
    assert [sets.threshold(c) for c in (0.5, 0.8)] == pytest.approx([0.6, 0.9])


@pytest.mark.parametrize("method", ["aps", "raps"])
@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_the_promise_is_kept_on_average_and_not_overdone(method: Any, coverage: float) -> None:
    p, truth = answers(4000)
    found = []
    for seed in range(150):
        order = np.random.default_rng(seed).permutation(len(p))
        here, there = order[:125], order[125:]
        sets = calibrated(p[here], truth[here], coverage, method=method, seed=seed)
        found.append(covered(sets, p[there], truth[there]))
    # A threshold from n pictures covers ceil((n + 1) q) / (n + 1) on average, 1 in 100 more at most
    # with the hundred that RAPS leaves; the mean of 150 is known to 0.3 of a hundredth.
    assert coverage - 0.007 < np.mean(found) < coverage + 0.017


def test_wrong_probabilities_cost_size_and_not_the_promise() -> None:
    p, truth = answers(6000)
    rng = np.random.default_rng(1)
    wrong = softmax(4 * (np.log(p) + rng.normal(0, 2, p.shape)))
    good, bad = (calibrated(q[:3000], truth[:3000], 0.95) for q in (p, wrong))
    assert covered(good, p[3000:], truth[3000:]) == pytest.approx(0.95, abs=0.015)
    assert covered(bad, wrong[3000:], truth[3000:]) == pytest.approx(0.95, abs=0.015)
    assert bad.mask(wrong).sum() > 1.2 * good.mask(p).sum()


def test_less_coverage_than_accuracy_is_one_label_each() -> None:
    p, truth = answers(2000)
    accuracy = (p.argmax(1) == truth).mean()
    sets = calibrated(p, truth)
    below = sets.mask(p, np.floor(100 * accuracy - 2) / 100)
    assert (below.sum(1) == 1).all()
    assert below[np.arange(len(p)), p.argmax(1)].all()


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 99),
    n=st.integers(9, 60),
    classes=st.integers(2, 7),
    method=st.sampled_from(["auto", "aps", "raps"]),
    decimals=st.sampled_from([1, 16]),
)
def test_sets_hold_the_likeliest_grow_with_coverage_and_are_the_same_alone(
    seed: int, n: int, classes: int, method: Any, decimals: int
) -> None:
    p, truth = answers(n, classes, seed)
    p = p.round(decimals)  # to one, many are equal
    sets = calibrate_sets(p, truth, 0.8, seed=seed, method=method)
    if sets is None:
        assert method == "raps" and n - max(1, n // 5) < 9
        return
    masks = [sets.mask(p, level) for level in sets.levels]
    for smaller, larger in pairwise(masks):
        assert (smaller <= larger).all()
    assert masks[0][np.arange(n), p.argmax(1)].all()
    alone = np.concatenate([sets.mask(row[None]) for row in p])
    assert np.array_equal(alone, sets.mask(p))
    for level, mask in zip(sets.levels, masks, strict=True):
        descending = np.sort(p)[:, ::-1].tolist()
        assert [sets.size(row, level) for row in descending] == mask.sum(axis=1).tolist()


def test_few_pictures_promise_as_much_as_they_can() -> None:
    p, truth = answers(40)
    assert calibrate_sets(p[:8], truth[:8], 0.9) is None
    assert calibrate_sets(p[:0], truth[:0], 0.9) is None
    assert calibrated(p[:9], truth[:9], 0.9).levels[-1] == 0.9
    sets = calibrated(p, truth, 0.9)
    assert sets.levels[-1] == 0.97  # 40 / 41 is 0.976
    with pytest.raises(ConfigError, match=r"0\.98.*40 pictures, from 0\.5 to 0\.97"):
        sets.mask(p, 0.98)


@pytest.mark.parametrize("coverage", [0.2, 0.49, 1.0, 1.5, -1, float("nan")])
def test_a_coverage_that_cannot_be_is_refused(coverage: float) -> None:
    p, truth = answers(500)
    with pytest.raises(ConfigError, match="coverage"):
        calibrate_sets(p, truth, coverage)
    with pytest.raises(ConfigError, match="coverage"):
        calibrated(p, truth).mask(p, coverage)


def test_a_coverage_between_two_is_rounded_up_and_the_asked_one_is_exact() -> None:
    p, truth = answers(1000)
    sets = calibrated(p, truth, 0.995)
    assert sets.threshold() == sets.threshold(0.995) == sets.thresholds[-1]
    assert sets.threshold(0.905) == sets.threshold(0.91) > sets.threshold(0.9)
    own = calibrated(p, truth, 0.905)
    assert own.threshold(0.9) <= own.threshold() <= own.threshold(0.91)
    assert 0.905 in own.levels


def test_weights_say_how_much_a_picture_counts_whatever_their_unit() -> None:
    p, truth = answers(600)
    hard = p[np.arange(600), truth] < 0.3
    plain, twice = (calibrated(p, truth, weights=np.full(600, w)) for w in (1.0, 2.0))
    heavy = calibrated(p, truth, weights=np.where(hard, 3.0, 1.0))
    assert plain.thresholds == pytest.approx(calibrated(p, truth).thresholds)
    assert plain.thresholds == pytest.approx(twice.thresholds)
    assert heavy.threshold() > plain.threshold()


def test_the_long_tail_of_many_classes_is_penalised() -> None:
    p, truth = answers(3000, 100, tail=1.0)
    q, unseen = answers(3000, 100, seed=1, tail=1.0)
    aps, auto = calibrated(p, truth, method="aps"), calibrated(p, truth)
    assert (aps.method, auto.method) == ("aps", "raps")
    assert auto.pictures == 2400  # the others chose the penalty
    assert auto.mask(q).sum() < 0.9 * aps.mask(q).sum()
    assert covered(auto, q, unseen) == pytest.approx(0.9, abs=0.02)


@pytest.mark.parametrize("n, classes", [(3000, 5), (300, 100)])
def test_few_classes_or_pictures_choose_nothing(n: int, classes: int) -> None:
    sets = calibrated(*answers(n, classes, tail=1.0))
    assert sets.method == "aps"
    assert sets.pictures == n


def test_the_draw_is_the_seeds() -> None:
    p, truth = answers(1000, 30)
    assert calibrated(p, truth, seed=3, method="raps") == calibrated(
        p, truth, seed=3, method="raps"
    )


@pytest.mark.parametrize("method", ["aps", "raps"])
def test_json_and_back(method: Any) -> None:
    p, truth = answers(300)
    sets = calibrated(p, truth, 0.925, method=method)
    assert sets.method == method
    assert PredictionSets.from_dict(json.loads(json.dumps(sets.to_dict()))) == sets


@pytest.mark.parametrize(
    "change",
    [
        {"coverage": 0.123},
        {"coverage": None},
        {"levels": []},
        {"levels": [0.9], "thresholds": [0.1, 0.2]},
        {"levels": [0.9, 0.5], "thresholds": [0.1, 0.2]},
        {"levels": [0.9, 1.0], "thresholds": [0.1, 0.2]},
        {"levels": [0.0, 0.9], "thresholds": [0.1, 0.2]},
        {"levels": 5},
        {"levels": [0.5, 0.9], "thresholds": [0.2, 0.1]},
        {"levels": [0.9], "thresholds": [float("nan")]},
        {"levels": [0.9], "thresholds": [float("inf")]},
        {"levels": [0.9], "thresholds": [-0.1]},
        {"levels": [0.9], "thresholds": ["much"]},
        {"penalty": -1},
        {"penalty": float("inf")},
        {"penalty": 0.1},  # of a method that has none
        {"method": "magic"},
        {"free_ranks": 0},
        {"pictures": 0},
        {"pictures": float("inf")},
    ],
)
def test_nonsense_is_refused(change: dict[str, Any]) -> None:
    data = calibrated(*answers(200)).to_dict()
    assert PredictionSets.from_dict(data)
    with pytest.raises(ValueError, match="prediction sets"):
        PredictionSets.from_dict(data | change)


@pytest.mark.parametrize("data", [{}, [], None, "sets"])
def test_what_is_no_table_of_sets_is_refused(data: Any) -> None:
    with pytest.raises(ValueError, match="prediction sets"):
        PredictionSets.from_dict(data)
