"""What outputs mean: the label, the set, none of these."""

from dataclasses import replace

import numpy as np
import pytest

from discern.errors import ConfigError, ModelDamagedError
from discern.model import ModelInfo
from discern.model.interpreter import Interpreter, interpreter_of
from discern.model.prediction_sets import calibrate_sets
from discern.model.unknown import Unknown

LABELS = ("cat", "dog", "fish")
UNSURE = {
    "probabilities": np.array([0.35, 0.45, 0.2], np.float32),
    "embedding": np.ones(4, np.float32),
}
SURE = UNSURE | {"probabilities": np.array([0.99, 0.005, 0.005], np.float32)}


def held_out(n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities [n, 3] that mean what they say, and the truth [n]."""
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), n)
    return p, np.array([rng.choice(3, p=row) for row in p])


SETS = calibrate_sets(*held_out(), coverage=0.8)
LOW_TOP = Unknown(
    "maximum_probability", -0.5, {"power": np.float32(0)}
)  # strange where no class has half of it


def test_without_rules_there_is_only_the_label() -> None:
    found = Interpreter(LABELS)(UNSURE)
    assert (found.label, found.unknown, found.set) == ("dog", None, None)


def test_the_set_begins_with_the_label_and_grows_with_the_coverage() -> None:
    rules = Interpreter(LABELS, SETS)
    assert rules(SURE).set == ("cat",)
    found = rules(UNSURE).set
    assert found is not None
    assert found[:2] == ("dog", "cat")
    sizes = [len(rules.covering(c)(UNSURE).set or ()) for c in (0.5, 0.8, 0.99)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def test_a_coverage_that_cannot_be_promised() -> None:
    with pytest.raises(ConfigError, match="no prediction sets"):
        Interpreter(LABELS).covering(0.9)
    with pytest.raises(ConfigError):
        Interpreter(LABELS, SETS).covering(1.5)


def test_none_of_these() -> None:
    rules = Interpreter(LABELS, None, LOW_TOP)
    assert rules(UNSURE).unknown is True
    assert rules(UNSURE).label == "dog", "the nearest is told all the same"
    assert rules(SURE).unknown is False


def test_rules_are_read_from_the_folder(info: ModelInfo) -> None:
    assert SETS is not None
    info = replace(info, prediction_sets=SETS.to_dict(), unknown={"score": "x"})
    rules = interpreter_of(info, LOW_TOP.to_bytes)
    assert rules(UNSURE) == Interpreter(info.labels, SETS, LOW_TOP)(UNSURE)


def test_rules_that_make_no_sense_are_damage(info: ModelInfo) -> None:
    def missing() -> bytes:
        raise FileNotFoundError("unknown.npz")

    with pytest.raises(ModelDamagedError, match=r"unknown\.npz"):
        interpreter_of(replace(info, unknown={"score": "x"}), missing)
    with pytest.raises(ModelDamagedError):
        interpreter_of(replace(info, prediction_sets={"coverage": "much"}), missing)
