"""The scores against their definitions, and the file that holds them."""

from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discern.errors import ModelDamagedError
from discern.model.calibration import softmax
from discern.model.unknown import (
    SCORES,
    SHAPES,
    WITH_HEAD,
    Arrays,
    Unknown,
    directions,
    energies,
    read_unknown,
)

D, K, C, N = 6, 2, 3, 9


def arrays_of(score: str, power: bool = True, seed: int = 0) -> dict[str, np.ndarray]:
    """Random arrays of the shapes that the score needs; the basis is orthonormal."""
    rng = np.random.default_rng(seed)
    sizes = {"D": D, "K": K, "C": C, "n": 7}
    found = {name: rng.uniform(0.5, 1, [sizes[d] for d in s]) for name, s in SHAPES[score].items()}
    if "basis" in found:
        found["basis"] = np.linalg.qr(rng.normal(size=(D, K)))[0]
    if "whitening" in found:
        found["whitening"] += 2 * np.eye(K)  # far from singular
    if score in WITH_HEAD:
        found |= {"weight.0": rng.normal(size=(D, 4)), "bias.0": rng.normal(size=4)}
        found |= {"weight.1": rng.normal(size=(4, C)), "bias.1": rng.normal(size=C)}
    found["power"] = np.array(power)
    return {name: array.astype(np.float32) for name, array in found.items()}


def unknown(score: str, power: bool = True) -> Unknown:
    return Unknown(score, 0.25, arrays_of(score, power))


@pytest.fixture
def embeddings() -> np.ndarray:
    return np.random.default_rng(1).uniform(0, 4, (N, D)).astype(np.float32)


@pytest.fixture
def probabilities() -> np.ndarray:
    return softmax(np.random.default_rng(2).normal(size=(N, C))).astype(np.float32)


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def head_energies(arrays: Arrays, x: np.ndarray) -> np.ndarray:
    hidden = np.maximum(x @ arrays["weight.0"] + arrays["bias.0"], 0)
    return -np.log(np.exp(hidden @ arrays["weight.1"] + arrays["bias.1"]).sum(1))


def test_the_surer_answer_is_less_strange(embeddings, probabilities):
    scores = unknown("maximum_probability").scores(embeddings, probabilities)
    np.testing.assert_array_equal(scores, -probabilities.max(1))


@pytest.mark.parametrize("power", [True, False])
def test_energy_is_that_of_the_heads_logits(embeddings, probabilities, power):
    rule = unknown("energy", power)
    inputs = unit(np.sqrt(embeddings)) if power else embeddings
    scores = rule.scores(embeddings, probabilities)
    np.testing.assert_allclose(scores, head_energies(rule.arrays, inputs), rtol=1e-4, atol=1e-5)


def test_neighbours_are_near_by_cosine_whatever_the_length(probabilities):
    rule = unknown("nearest_neighbours", power=False)
    known = np.eye(D, dtype=np.float32)[[0, 0, 1]]
    rule = Unknown(rule.score, 0.25, {**rule.arrays, "neighbours": known})
    pictures = np.zeros((3, D), np.float32)
    pictures[0, 0], pictures[1, 1], pictures[2, 2] = 5, 3, 1
    scores = rule.scores(pictures, probabilities[:3])
    # the first has two neighbours, the second just one (which may be a stray), the third none
    np.testing.assert_allclose(scores, [0, 1, 1], atol=1e-6)


def test_one_neighbour_is_enough_where_there_is_no_other(probabilities):
    rule = unknown("nearest_neighbours", power=False)
    known = np.eye(D, dtype=np.float32)[:1]
    rule = Unknown(rule.score, 0.25, {**rule.arrays, "neighbours": known})
    np.testing.assert_allclose(rule.scores(3 * known, probabilities[:1]), [0], atol=1e-6)


def test_mahalanobis_is_the_distance_under_the_whole_covariance(embeddings, probabilities):
    """Full covariance in the basis, round outside; against the D x D matrix written out."""
    rule = unknown("mahalanobis")
    a = {name: array.astype(np.float64) for name, array in rule.arrays.items()}
    outside_basis = np.eye(D) - a["basis"] @ a["basis"].T
    within = a["basis"] @ a["whitening"]
    precision = within @ within.T + outside_basis / a["rest_variance"]
    centres = a["mean"] + a["centres"] @ np.linalg.inv(a["whitening"]) @ a["basis"].T
    gaps = directions(embeddings, power=True)[:, None] - centres
    expected = np.einsum("ncd,de,nce->nc", gaps, precision, gaps).min(1)
    np.testing.assert_allclose(rule.scores(embeddings, probabilities), expected, rtol=1e-3)


def test_the_virtual_logit_adds_what_is_outside_the_basis(embeddings, probabilities):
    rule = unknown("virtual_logit")
    towards = unit(np.sqrt(embeddings))
    gap = towards - rule.arrays["mean"]
    rest = np.linalg.norm(gap - gap @ rule.arrays["basis"] @ rule.arrays["basis"].T, axis=1)
    expected = head_energies(rule.arrays, towards) + rule.arrays["scale"] * rest
    np.testing.assert_allclose(rule.scores(embeddings, probabilities), expected, rtol=1e-4)


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=8), st.floats(-1000, 1000))
def test_energy_falls_as_all_logits_rise(logits, by):
    row = np.array([logits])
    np.testing.assert_allclose(energies(row + by), energies(row) - by, atol=1e-6)
    assert energies(row)[0] <= -max(logits) + 1e-9


@pytest.mark.parametrize("score", SCORES)
def test_one_by_one_is_as_all_at_once_from_any_thread(score, embeddings, probabilities):
    rule = unknown(score)
    together = rule.scores(embeddings, probabilities)
    with ThreadPoolExecutor(4) as pool:
        alone = list(
            pool.map(lambda i: rule.scores(embeddings[[i]], probabilities[[i]])[0], range(N))
        )
    np.testing.assert_allclose(alone, together, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("score", SCORES)
def test_a_picture_without_any_feature_has_a_score(score, probabilities):
    nothing = np.zeros((1, D), np.float32)
    assert np.isfinite(unknown(score).scores(nothing, probabilities[:1])).all()


@pytest.mark.parametrize("score", SCORES)
def test_what_is_written_is_read_again(score, embeddings, probabilities):
    rule = unknown(score)
    again = read_unknown(rule.to_bytes())
    assert (again.score, again.threshold) == (score, 0.25)
    np.testing.assert_array_equal(
        again.scores(embeddings, probabilities), rule.scores(embeddings, probabilities)
    )
    assert again.to_bytes() == rule.to_bytes()


def changed(**arrays: np.ndarray | None) -> bytes:
    """The file of a virtual logit with other arrays; None takes one away."""
    rule = unknown("virtual_logit")
    held = {"score": np.array(rule.score), "threshold": np.array(0.25), **rule.arrays, **arrays}
    buffer = BytesIO()
    np.savez(buffer, **{name: array for name, array in held.items() if array is not None})
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "No data left"),
        (b"not a zip", "pickle"),
        (changed()[:-40], "zip"),
        (changed(threshold=None), "threshold"),
        (changed(threshold=np.array(np.nan)), "threshold is nan"),
        (changed(score=np.array("best")), "'best' is not known"),
        (changed(basis=None), "needs"),
        (changed(another=np.zeros(2, np.float32)), "another"),
        (changed(mean=np.zeros(D + 1, np.float32)), "basis"),
        (changed(mean=np.zeros((D, 1), np.float32)), "mean"),
        (changed(mean=np.zeros(D)), "float64"),
        (changed(mean=np.full(D, np.inf, np.float32)), "not finite"),
        (changed(**{"weight.1": np.zeros((5, C), np.float32)}), "weight.1"),
        (changed(**{"weight.0": None, "bias.0": None}), "needs"),
        (changed(mean=np.array([{}] * D)), "pickle"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(data, said):
    with pytest.raises(ModelDamagedError, match=rf"(?s)^my/unknown\.npz: .*{said}.*Copy"):
        read_unknown(data, "my/unknown.npz")


def test_a_single_array_is_no_rule():
    buffer = BytesIO()
    np.save(buffer, np.zeros(3))
    with pytest.raises(ModelDamagedError):
        read_unknown(buffer.getvalue())


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_changed_byte_is_an_error_of_ours_or_does_not_matter(data):
    content = bytearray(unknown("energy").to_bytes())
    where = data.draw(st.integers(0, len(content) - 1))
    content[where] ^= data.draw(st.integers(1, 255))
    try:
        rule = read_unknown(bytes(content))
    except ModelDamagedError:
        return
    assert rule.to_bytes() == unknown("energy").to_bytes()
