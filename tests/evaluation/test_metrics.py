"""Scores by hand, against scikit-learn, against published values, and the laws they obey."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as peer

from discern.errors import DatasetError
from discern.evaluation import Interval, Metrics, score, wilson_interval

PETS = ("cat", "dog", "emu")


def rows(seed: int, n: int, size: int) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(size), size=n)


def random_case(seed: int, n: int, size: int) -> tuple[list[str], list[str], np.ndarray]:
    labels = [f"class {k}" for k in range(size)]
    truth = [labels[k] for k in np.random.default_rng(seed + 1).integers(size, size=n)]
    return labels, truth, rows(seed, n, size)


cases = st.builds(
    random_case, seed=st.integers(0, 999), n=st.integers(1, 80), size=st.integers(1, 9)
)


def test_a_small_set_by_hand() -> None:
    P = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.5, 0.25, 0.25], [0.0, 1.0, 0.0]])
    m = score(PETS, ["cat", "cat", "dog", "dog"], P)
    assert m.confusion == ((1, 1, 0), (1, 1, 0), (0, 0, 0))
    assert m.accuracy.value == m.macro_precision == m.macro_recall == m.macro_f1 == 0.5
    assert m.log_loss == pytest.approx(-np.log([0.8, 0.2, 0.25, 1.0]).mean())
    assert m.calibration_error == pytest.approx(abs(0.75 - 0.5))  # one bin: few pictures
    assert m.top5 is None
    assert [(s.label, s.support, s.predicted) for s in m.per_class] == [
        ("cat", 2, 2),
        ("dog", 2, 2),
        ("emu", 0, 0),
    ]


def test_agrees_with_scikit_learn() -> None:
    labels, truth, P = random_case(seed=5, n=400, size=8)
    m = score(labels, truth, P)
    answers = [labels[k] for k in P.argmax(axis=1)]
    per_class = peer.precision_recall_fscore_support(truth, answers, labels=labels)
    ours = [(s.precision, s.recall, s.f1, s.support) for s in m.per_class]
    np.testing.assert_allclose(np.transpose(ours), per_class)
    macro = peer.precision_recall_fscore_support(truth, answers, average="macro")[:3]
    assert (m.macro_precision, m.macro_recall, m.macro_f1) == pytest.approx(macro)
    assert m.accuracy.value == peer.accuracy_score(truth, answers)
    assert m.log_loss == pytest.approx(peer.log_loss(truth, P, labels=labels))
    assert m.top5 == pytest.approx(peer.top_k_accuracy_score(truth, P, k=5, labels=labels))
    np.testing.assert_array_equal(m.confusion, peer.confusion_matrix(truth, answers, labels=labels))


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [
        # Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_as_published(hits: int, n: int, low: float, high: float) -> None:
    interval = wilson_interval(hits, n)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_holds_its_share(share: tuple[int, int]) -> None:
    hits, n = share
    interval, mirrored = wilson_interval(hits, n), wilson_interval(n - hits, n)
    assert 0 <= interval.low <= interval.value <= interval.high <= 1
    assert interval.low == pytest.approx(1 - mirrored.high)


@pytest.mark.parametrize(("hits", "n"), [(-1, 5), (6, 5), (0, 0)])
def test_wilson_interval_refuses_what_is_no_share(hits: int, n: int) -> None:
    with pytest.raises(ValueError, match="no share"):
        wilson_interval(hits, n)


def test_interval_reads_as_percent() -> None:
    assert str(Interval(0.868, 0.828, 0.9)) == "86.8 % (82.8–90.0)"


@given(cases, st.randoms())
def test_the_order_of_classes_and_pictures_changes_nothing(case, random) -> None:
    labels, truth, P = case
    before = score(labels, truth, P)
    columns = random.sample(range(len(labels)), len(labels))
    lines = random.sample(range(len(truth)), len(truth))
    after = score([labels[k] for k in columns], [truth[k] for k in lines], P[lines][:, columns])
    assert {s.label: s for s in after.per_class} == {s.label: s for s in before.per_class}
    assert after.to_dict()["confusion"] == before.to_dict()["confusion"]
    assert after.accuracy == before.accuracy
    assert after.top5 == before.top5
    assert [b.count for b in after.reliability] == [b.count for b in before.reliability]
    for name in ("macro_f1", "log_loss", "calibration_error"):
        assert getattr(after, name) == pytest.approx(getattr(before, name))


@given(cases)
def test_counts_add_up(case) -> None:
    labels, truth, P = case
    m = score(labels, truth, P)
    assert m.n == len(truth) == sum(map(sum, m.confusion)) == sum(b.count for b in m.reliability)
    assert [s.support for s in m.per_class] == [sum(row) for row in m.confusion]
    assert [s.predicted for s in m.per_class] == [sum(c) for c in zip(*m.confusion, strict=True)]
    assert sum(c.count for c in m.worst_confusions()) == m.n - sum(
        row[k] for k, row in enumerate(m.confusion)
    )
    assert 0 <= m.calibration_error <= 1


@given(cases)
def test_survives_json(case) -> None:
    m = score(*case)
    assert Metrics.from_dict(json.loads(json.dumps(m.to_dict()))) == m


def test_from_dict_refuses_what_it_did_not_write() -> None:
    whole = score(PETS, ["cat"], rows(0, 1, 3)).to_dict()
    for broken in ({}, whole | {"accuracy": 0.9}, whole | {"confusion": []}, whole | {"f2": 1}):
        with pytest.raises(ValueError, match="no metrics"):
            Metrics.from_dict(broken)


def test_sure_and_right_is_perfect() -> None:
    m = score(PETS, list(PETS) * 40, np.tile(np.eye(3, dtype=np.float32), (40, 1)))
    assert (m.log_loss, m.calibration_error, m.macro_f1) == (0, 0, 1)
    assert m.worst_confusions() == ()
    assert len(m.reliability) == 1  # equal confidences are never parted


def test_sure_and_wrong_costs_much_but_not_infinity() -> None:
    m = score(PETS, ["dog"], np.array([[1.0, 0.0, 0.0]]))
    assert m.log_loss == pytest.approx(-np.log(1e-15))
    assert m.calibration_error == 1


def test_bins_hold_equally_many_pictures() -> None:
    labels, truth, P = random_case(seed=1, n=604, size=3)
    bins = score(labels, truth, P).reliability
    assert len(bins) == 15
    assert {b.count for b in bins} <= {40, 41}
    assert all(a.high <= b.low for a, b in pairwise(bins))


def test_calibration_error_of_a_known_gap() -> None:
    # Claims 0.9 and 0.6, right 8 and 7 times in 10.
    P = np.repeat([[0.9, 0.1], [0.6, 0.4]], 10, axis=0)
    truth = ["a"] * 8 + ["b"] * 2 + ["a"] * 7 + ["b"] * 3
    m = score(["a", "b"], truth, P)
    assert m.calibration_error == pytest.approx((0.1 + 0.1) / 2)


def test_a_class_the_model_does_not_know_is_wrong() -> None:
    P = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    m = score(["cat", "dog"], ["cat", "yak", "ant"], P)
    assert m.classes == ("cat", "dog", "ant", "yak")
    assert m.unknown_classes == ("ant", "yak")
    assert m.confusion[3] == (0, 1, 0, 0)
    assert m.accuracy.value == pytest.approx(1 / 3)
    assert m.macro_recall == pytest.approx(1 / 3)  # of cat, ant and yak; dog has no recall
    assert (m.per_class[3].precision, m.per_class[3].recall, m.per_class[3].f1) == (0, 0, 0)
    assert m.log_loss == pytest.approx(-(np.log(0.9) + 2 * np.log(1e-15)) / 3)


def test_flat_probabilities_earn_the_top_5_nothing() -> None:
    labels = [f"class {k}" for k in range(10)]
    assert score(labels, labels, np.full((10, 10), 0.1)).top5 == 0.5


def test_worst_confusions_come_in_order() -> None:
    P = np.eye(3)[[1, 1, 2, 0, 0, 2]]
    worst = score(PETS, ["cat"] * 4 + ["dog", "dog"], P).worst_confusions(2)
    assert [(c.truth, c.predicted, c.count, c.support) for c in worst] == [
        ("cat", "dog", 2, 4),
        ("dog", "cat", 1, 2),
    ]


def test_nothing_to_score_is_the_users_error() -> None:
    with pytest.raises(DatasetError, match="no labelled pictures to score"):
        score(PETS, [], np.empty((0, 3)))


@pytest.mark.parametrize(
    ("labels", "P", "message"),
    [
        (PETS, [[0.5, 0.5]], "shape"),
        (PETS, [[0.2, 0.3, 0.5]] * 2, "shape"),
        (("cat", "dog", "cat"), [[0.2, 0.3, 0.5]], "two columns"),
        (PETS, [[np.nan, 0.5, 0.5]], "NaN"),
        (PETS, [[4.0, -1.0, 2.0]], "not logits"),
        (PETS, [[0.9, 0.9, 0.1]], "not logits"),
    ],
)
def test_what_are_no_probabilities_is_refused(labels, P, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        score(labels, ["cat"], np.array(P))
