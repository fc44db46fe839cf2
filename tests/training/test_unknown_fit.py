"""Which score is chosen, its threshold, and the strangers it is tried on."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discern.model.calibration import softmax
from discern.model.unknown import SCORES, read_unknown
from discern.training.head import Head, Layer
from discern.training.held_out import HeldOut
from discern.training.outcome import Known
from discern.training.strangers import HEIGHT, KINDS, WIDTH, strangers
from discern.training.unknown_fit import (
    LARGEST,
    auroc,
    fit_scores,
    fit_unknown,
    threshold_keeping,
)

CLASSES = ("a", "b", "c", "d")
D = 24
CENTRES = np.random.default_rng(7).normal(0, 1, (len(CLASSES), D))
# The classes lie in their own directions; true pictures spread little outside of them.
FLAT = np.linalg.qr(CENTRES.T)[0]


def pictures(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings [n, D] around the class means, and their columns [n]."""
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % len(CLASSES)
    spread = rng.normal(0, 0.35, (n, len(CLASSES))) @ FLAT.T + rng.normal(0, 0.15, (n, D))
    return (CENTRES[truth] + spread).astype(np.float32), truth


def head_for() -> Head:
    """Logits by nearness to the class means."""
    weight = (2 * CENTRES.T).astype(np.float32)
    return Head((Layer(weight, -(CENTRES**2).sum(1).astype(np.float32)),), power=False)


def held_out(n: int, seed: int, embeddings: np.ndarray | None = None) -> HeldOut:
    x, truth = pictures(n, seed)
    x = x if embeddings is None else embeddings
    return HeldOut(
        np.arange(n), truth, head_for().logits(x), np.ones(n, np.float32), x, None, np.arange(n)
    )


def foreign(seed: int = 5) -> dict[str, np.ndarray]:
    """What the head takes for a class, but lies beside all directions of true pictures."""
    rng = np.random.default_rng(seed)
    beside = rng.normal(0, 1, (60, D))
    beside -= beside @ FLAT @ FLAT.T
    close = CENTRES[rng.integers(0, len(CLASSES), 60)] + beside
    return {"noise": beside.astype(np.float32), "textures": close.astype(np.float32)}


@pytest.fixture
def frozen() -> tuple[Known, HeldOut]:
    held = held_out(240, 0)
    return Known(held.embeddings, held.truth, cross_fitted=True), held


def kept_and_accepted(fitted, seed: int) -> tuple[float, dict[str, float]]:
    """Shares of new pictures and of new strangers that pass."""
    rule, head = read_unknown(fitted.unknown.to_bytes()), head_for()

    def passed(x: np.ndarray) -> float:
        return float((rule.scores(x, softmax(head.logits(x))) <= rule.threshold).mean())

    strange = {kind: passed(x) for kind, x in foreign(seed + 100).items()}
    return passed(pictures(400, seed)[0]), strange


def test_new_pictures_pass_and_new_strangers_do_not(frozen):
    fitted = fit_unknown(*frozen, head_for(), foreign(), CLASSES, keep=0.95)
    assert fitted is not None
    kept, accepted = kept_and_accepted(fitted, 9)
    assert 0.91 <= kept <= 0.99
    assert max(accepted.values()) <= 0.1
    assert fitted.facts["strangers"]["textures"]["auroc"] > 0.95


def test_the_score_that_is_fooled_is_not_chosen(frozen):
    facts = fit_unknown(*frozen, head_for(), foreign(), CLASSES).facts
    compared = facts["compared"]
    assert list(compared) == list(SCORES)
    fooled = compared["maximum_probability"]["strangers"]
    assert compared[facts["score"]]["strangers"] > fooled + 0.1
    best = max(found["mean"] for found in compared.values())
    assert compared[facts["score"]]["mean"] >= best - 0.01


def test_a_network_is_judged_on_another_split():
    x, truth = pictures(240, 0)
    held = held_out(160, 3)
    fitted = fit_unknown(Known(x, truth, False), held, head_for(), foreign(), CLASSES)
    assert fitted is not None
    kept, accepted = kept_and_accepted(fitted, 9)
    assert kept > 0.9
    assert max(accepted.values()) <= 0.1
    assert fitted.facts["pictures"] == 160


def noise(n: int, seed: int) -> np.ndarray:
    """Embeddings that are all far from each other."""
    return np.random.default_rng(seed).normal(0, 1, (n, D)).astype(np.float32)


def aurocs_of_new_pictures(copies: int, grouped: bool) -> dict[str, float]:
    """How strange new pictures look that are drawn like those known; each of them is there so
    many times."""
    which = np.repeat(np.arange(300), copies)
    x = noise(300, 0)[which]
    groups = which if grouped else np.arange(len(which))
    held = replace(held_out(len(which), 0, x), truth=which % len(CLASSES), groups=groups)
    new = {"new": noise(600, 1)}
    facts = fit_unknown(Known(x, held.truth, True), held, head_for(), new, CLASSES).facts
    return {name: found["strangers"] for name, found in facts["compared"].items()}


@pytest.mark.parametrize("copies", [1, 3])
def test_new_pictures_of_the_classes_are_no_stranger_than_held_out_ones(copies):
    for name, found in aurocs_of_new_pictures(copies, grouped=True).items():
        assert found < 0.57, name


def test_a_copy_among_the_known_makes_a_picture_familiar():
    """What the groups are for."""
    assert aurocs_of_new_pictures(3, grouped=False)["nearest_neighbours"] > 0.7


def test_facts_are_plain_and_say_how_it_was_chosen(frozen):
    fitted = fit_unknown(*frozen, head_for(), foreign(), CLASSES, keep=0.9)
    facts = json.loads(json.dumps(fitted.facts))
    assert facts["score"] == fitted.unknown.score
    assert facts["threshold"] == fitted.unknown.threshold
    assert facts["keep"] == 0.9
    assert 0.9 <= facts["kept"] <= 0.92
    assert set(facts["left_out_classes"]) == set(CLASSES)
    assert facts["strangers"]["noise"]["pictures"] == 60


def test_the_same_seed_gives_the_same_file(frozen):
    one, two = (
        fit_unknown(*frozen, head_for(), foreign(), CLASSES, seed=3).unknown.to_bytes()
        for _ in range(2)
    )
    assert one == two


def test_too_few_pictures_promise_nothing():
    held = held_out(16, 0)
    known = Known(held.embeddings, held.truth, cross_fitted=True)
    assert fit_unknown(known, held, head_for(), {}, CLASSES, keep=0.95) is None
    assert fit_unknown(known, held, head_for(), {}, CLASSES, keep=0.8) is not None


def test_two_classes_and_no_strangers_leave_the_simplest_score():
    """Without one of two there is no head to compare, and nothing else to compare on."""
    held = held_out(80, 0)
    two = replace(held, truth=held.truth % 2, logits=held.logits[:, :2])
    layer = head_for().layers[0]
    head = Head((Layer(layer.weight[:, :2], layer.bias[:2]),), power=False)
    known = Known(two.embeddings, two.truth, cross_fitted=True)
    facts = fit_unknown(known, two, head, {}, CLASSES[:2]).facts
    assert facts["score"] == "maximum_probability"
    assert facts["left_out_classes"] == {}


def test_arrays_stay_small_with_many_pictures_of_many_classes():
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, (4000, 512)).astype(np.float32)
    truth = np.concatenate([np.zeros(3000, int), np.arange(1000) % 50])
    head = Head((Layer(np.ones((512, 50), np.float32), np.zeros(50, np.float32)),), power=True)
    for name, arrays in fit_scores(x, truth, head, 32, 0).items():
        assert sum(array.nbytes for array in arrays.values()) <= LARGEST, name


def test_facts_beside_the_picture_take_no_part(frozen):
    """The score's head is the model's with nothing known beside the picture."""
    layer = head_for().layers[0]
    beside = np.vstack([layer.weight, np.full((3, len(CLASSES)), 9, np.float32)])
    head = Head((Layer(beside, layer.bias),), power=False, metadata=3)
    known, held = frozen
    arrays = fit_scores(known.embeddings, known.truth, head, 4, 0)["energy"]
    np.testing.assert_array_equal(arrays["weight.0"], layer.weight)
    told = replace(held, logits=held.logits + 50, without_metadata=held.logits)
    one, two = (fit_unknown(known, h, head, foreign(), CLASSES) for h in (told, held))
    assert one.facts["compared"]["energy"] == two.facts["compared"]["energy"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=60), st.floats(0.05, 0.99, exclude_max=True))
def test_the_threshold_keeps_at_least_the_share(values, keep):
    scores = np.array(values)
    threshold = threshold_keeping(scores, keep)
    assert (scores <= threshold).mean() >= keep
    assert threshold in values


def test_auroc_is_how_often_the_stranger_scores_higher():
    true, strange = np.array([0.0, 1.0, 2.0]), np.array([1.5, 3.0])
    assert auroc(true, strange) == pytest.approx(5 / 6)


def test_strangers_are_drawn_again_from_the_seed_and_are_all_different():
    one, again, other = strangers(0, 20), strangers(0, 20), strangers(1, 20)
    assert set(one) == {"noise", "textures"} == set(KINDS)
    for kind, drawn in one.items():
        assert {(p.size, p.mode) for p in drawn} == {((WIDTH, HEIGHT), "RGB")}
        contents = [p.tobytes() for p in drawn]
        assert contents == [p.tobytes() for p in again[kind]]
        assert len({*contents, *(p.tobytes() for p in other[kind])}) == 40


def test_noise_changes_from_pixel_to_pixel_and_plain_colours_do_not():
    noise, textures = strangers(0, 10)["noise"], strangers(0, 10)["textures"]
    assert np.asarray(textures[0]).std((0, 1)).max() == 0
    assert all(np.asarray(p).std() > 0 for p in (*noise, *textures[1:]))
    steps = [
        np.abs(np.diff(np.asarray(p).astype(float), axis=1)).mean() for p in (noise[0], textures[1])
    ]
    assert steps[0] > 10 * steps[1]
