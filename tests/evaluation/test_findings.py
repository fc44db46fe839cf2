"""Cases are the right ones, in a set order; promises are counted as they were made."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from discern.evaluation import score
from discern.evaluation.cases import confident_mistakes, doubtful_answers, worst_pairs
from discern.evaluation.promises import OTHER_CLASSES, auroc, set_score, unknown_score
from discern.evaluation.scored import Scored, Strangers
from discern.model.interpreter import Interpreter
from discern.model.prediction_sets import PredictionSets
from discern.model.unknown import Unknown

LABELS = ("cat", "dog", "fish")
SETS = PredictionSets(0.9, (0.5, 0.9), (0.0, 0.75), 40)  # at 90 %: what has up to 75 % before it
UNKNOWN = Unknown("maximum_probability", -0.5, {"power": np.array(0, np.float32)})
FACTS = {
    "keep": 0.95,
    "left_out_classes": {"cat": 0.9, "dog": 0.7},
    "strangers": {"noise": {"pictures": 40, "auroc": 0.97, "accepted": 0.05}},
}
Floats = npt.NDArray[np.floating]


def scored(truth: list[str], probabilities: object) -> Scored:
    P = np.array(probabilities, dtype=float)
    files = tuple(Path(f"{i}.png") for i in range(len(truth)))
    return Scored(files, truth, P, np.zeros((len(P), 2), np.float32))


def drawn(n: int, seed: int = 0) -> Scored:
    rng = np.random.default_rng(seed)
    truth = rng.choice([*LABELS, "newt"], n, p=[0.3, 0.3, 0.3, 0.1]).tolist()
    return scored(truth, rng.dirichlet(np.ones(3), n))


def test_the_most_confident_mistakes() -> None:
    part = scored(
        ["cat", "dog", "fish", "newt", "cat"],
        [[0.2, 0.7, 0.1], [0.1, 0.8, 0.1], [0.9, 0.1, 0], [0.7, 0.2, 0.1], [0.4, 0.3, 0.3]],
    )
    found = confident_mistakes(part, Interpreter(LABELS, SETS, UNKNOWN))
    assert [case.file.name for case in found] == ["2.png", "0.png", "3.png"]
    first, second, third = found
    assert (first.truth, first.label, first.probability, first.of_truth) == ("fish", "cat", 0.9, 0)
    assert (second.set, second.unknown) == (("dog", "cat"), False)
    assert (third.truth, third.of_truth) == ("newt", 0)
    bare = confident_mistakes(part, Interpreter(LABELS))
    assert {(case.set, case.unknown) for case in bare} == {(None, None)}


@given(st.integers(0, 60), st.integers(0, 9))
def test_cases_are_the_extremes(n: int, seed: int) -> None:
    part, rules = drawn(n + 1, seed), Interpreter(LABELS)
    mistakes = confident_mistakes(part, rules)
    wrong = [
        max(p)
        for p, truth in zip(part.probabilities.tolist(), part.truth, strict=True)
        if LABELS[int(np.argmax(p))] != truth
    ]
    assert [case.probability for case in mistakes] == sorted(wrong, reverse=True)[:12]
    margins = np.sort(part.probabilities)[:, -1] - np.sort(part.probabilities)[:, -2]
    rows = [part.files.index(case.file) for case in doubtful_answers(part, rules)]
    assert margins[rows].tolist() == np.sort(margins)[:12].tolist()


def test_pairs_are_those_of_the_confusion_matrix() -> None:
    part, rules = drawn(200), Interpreter(LABELS)
    metrics = score(LABELS, part.truth, part.probabilities)
    pairs = worst_pairs(part, rules, metrics)
    assert len(pairs) == 6
    for pair, confusion in zip(pairs, metrics.worst_confusions(6), strict=True):
        assert (pair.truth, pair.predicted) == (confusion.truth, confusion.predicted)
        assert (pair.count, pair.support) == (confusion.count, confusion.support)
        assert len(pair.cases) == min(4, pair.count)
        assert {(c.truth, c.label) for c in pair.cases} == {(pair.truth, pair.predicted)}
        probabilities = [case.probability for case in pair.cases]
        assert probabilities == sorted(probabilities, reverse=True)


def test_coverage_and_size_of_sets() -> None:
    part = scored(
        ["cat", "dog", "fish", "newt"],
        [[0.8, 0.1, 0.1], [0.7, 0.2, 0.1], [0.7, 0.2, 0.1], [0.9, 0.1, 0]],
    )
    found = set_score(part, Interpreter(LABELS, SETS))
    assert found is not None
    assert (found.target, found.coverage.value) == (0.9, 2 / 3)  # the newt was never promised
    assert found.sizes == ((1, 1), (2, 2))
    assert found.mean_size == pytest.approx(5 / 3)
    half = set_score(part, Interpreter(LABELS, SETS).covering(0.5))
    assert half is not None
    assert (half.target, half.sizes) == (0.5, ((1, 3),))
    assert set_score(part, Interpreter(LABELS)) is None
    assert set_score(scored(["newt"], [[1, 0, 0]]), Interpreter(LABELS, SETS)) is None


def test_true_pictures_kept_and_strangers_accepted() -> None:
    part = scored(
        ["cat", "dog", "fish", "newt"],
        [[0.8, 0.1, 0.1], [0.5, 0.3, 0.2], [0.4, 0.4, 0.2], [0.6, 0.2, 0.2]],
    )
    digits = np.array([[0.5, 0.3, 0.2], [0.34, 0.33, 0.33], [0.3, 0.1, 0.6], [0.4, 0.3, 0.3]])
    others = (Strangers("digits", digits, np.zeros((4, 2), np.float32)),)
    found = unknown_score(part, Interpreter(LABELS, None, UNKNOWN), FACTS, others)
    assert found is not None
    assert (found.score, found.keep, found.kept.value) == ("maximum_probability", 0.95, 2 / 3)
    by_name = {a.name: (a.n, a.auroc, a.accepted.value) for a in found.against}
    assert list(by_name) == ["digits", OTHER_CLASSES, "drawn noise"]
    assert by_name["digits"] == (4, 8 / 12, 0.5)  # of 12 pairs, two ties
    assert by_name[OTHER_CLASSES] == (1, 1 / 3, 1)
    assert by_name["drawn noise"] == (40, 0.97, 0.05)
    assert found.held_out_classes == (("dog", 0.7), ("cat", 0.9))
    assert unknown_score(part, Interpreter(LABELS), FACTS) is None


@given(st.lists(st.integers(0, 5), min_size=1), st.lists(st.integers(0, 5), min_size=1))
def test_auroc_is_how_often_a_stranger_scores_higher(true: list[int], strange: list[int]) -> None:
    wins = [(s > t) + (s == t) / 2 for s in strange for t in true]
    found = auroc(np.array(true, float), np.array(strange, float))
    assert found == pytest.approx(sum(wins) / len(wins))
