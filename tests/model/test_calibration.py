"""What calibration there was is found; nothing is taken by chance, and nothing explodes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discern.model.calibration import (
    HIGHEST,
    LOWEST,
    Calibration,
    choose_calibration,
    fit_temperature,
    log_loss,
    softmax,
)

N, C = 10_000, 5


def drawn(temperature: float, n: int = N) -> tuple[np.ndarray, np.ndarray]:
    """Logits [n, C] and true columns [n], where softmax(logits / temperature) is the truth."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (n, C))
    p = softmax(logits, temperature)
    return logits, (p.cumsum(1) > rng.random((n, 1))).argmax(1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_there_was_is_found(temperature: float) -> None:
    assert fit_temperature(*drawn(temperature)) == pytest.approx(temperature, rel=0.05)


def test_logits_scaled_by_a_number_have_that_much_more_temperature() -> None:
    logits, truth = drawn(1.0)
    once, thrice = fit_temperature(logits, truth), fit_temperature(3 * logits, truth)
    assert thrice == pytest.approx(3 * once, rel=1e-3)


def test_it_is_the_least_loss_there_is() -> None:
    logits, truth = drawn(1.7)
    best = fit_temperature(logits, truth)
    for other in (0.9 * best, 1.1 * best):
        assert log_loss(logits, truth, best) < log_loss(logits, truth, other)


def test_weights_count_as_repetition() -> None:
    logits, truth = drawn(1.3, 400)
    weights = np.random.default_rng(1).integers(1, 4, len(truth))
    repeated = np.repeat(np.arange(len(truth)), weights)
    assert fit_temperature(logits, truth, weights.astype(float)) == pytest.approx(
        fit_temperature(logits[repeated], truth[repeated]), rel=0.02
    )
    assert log_loss(logits, truth, 2.0, weights.astype(float)) == pytest.approx(
        log_loss(logits[repeated], truth[repeated], 2.0)
    )


def test_no_answer_changes() -> None:
    logits, _ = drawn(1.0, 200)
    for temperature in (LOWEST, 0.3, 1, 4, HIGHEST):
        assert np.array_equal(softmax(logits, temperature).argmax(1), logits.argmax(1))


def test_a_few_pictures_all_answered_right_do_not_make_it_certain() -> None:
    logits = np.eye(3).repeat(4, axis=0) * 4
    truth = np.arange(3).repeat(4)
    temperature = fit_temperature(logits, truth)
    assert temperature > LOWEST * 2
    assert softmax(logits, temperature).max() < 0.99


def test_hopeless_logits_end_within_the_range() -> None:
    logits = np.eye(3).repeat(50, axis=0) * 100
    wrong = (np.arange(3).repeat(50) + 1) % 3
    assert LOWEST <= fit_temperature(logits, wrong) <= HIGHEST * 1.001


def test_softmax_is_a_distribution_however_large_the_logits() -> None:
    p = softmax(np.array([[1e4, 0, -1e4], [3, 3, 3]], np.float32))
    np.testing.assert_allclose(p.sum(1), 1)
    assert np.isfinite(p).all()
    np.testing.assert_allclose(p[1], 1 / 3)


def test_log_loss_is_scikit_learns() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    logits, truth = drawn(1.4, 500)
    weights = np.random.default_rng(2).random(500)
    expected = metrics.log_loss(truth, softmax(logits, 0.8), sample_weight=weights, labels=range(C))
    assert log_loss(logits, truth, 0.8, weights) == pytest.approx(expected, rel=1e-9)


SCALE = np.array([0.6, 0.8, 1.0, 1.2, 1.5])
SHIFT = np.array([1.0, -1.0, 0.5, -0.5, 0.0])


def distorted(n: int = N, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits [n, C] and true columns [n], where softmax(logits * SCALE + SHIFT) is the truth."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (n, C))
    p = softmax(logits * SCALE + SHIFT)
    return logits.astype(np.float32), (p.cumsum(1) > rng.random((n, 1))).argmax(1)


def test_the_scales_and_shifts_there_were_are_found_and_taken() -> None:
    found = choose_calibration(*distorted()).calibration
    assert found.method == "vector"
    np.testing.assert_allclose(found.scale, SCALE, rtol=0.07)
    np.testing.assert_allclose(found.shift - found.shift.mean(), SHIFT - SHIFT.mean(), atol=0.2)
    assert found.temperature == 1.0


def test_vector_scaling_finds_the_least_loss_that_scipy_finds() -> None:
    minimize = pytest.importorskip("scipy.optimize").minimize
    logits, truth = distorted(3000)
    found = choose_calibration(logits, truth, method="vector").calibration
    least = minimize(
        lambda x: log_loss(logits * x[:C] + x[C:], truth), np.repeat([1.0, 0.0], C), tol=1e-6
    )
    # The prior of ten numbers costs 3,000 pictures next to nothing.
    assert least.fun <= log_loss(found.apply(logits), truth) < least.fun + 2e-4


def test_vector_scaling_serves_pictures_it_has_not_seen() -> None:
    chosen, (logits, truth) = choose_calibration(*distorted(1000)), distorted(seed=1)
    after = log_loss(chosen.calibration.apply(logits), truth)
    assert after < log_loss(logits, truth, fit_temperature(logits, truth)) - 0.02


def test_where_a_temperature_is_all_there_is_no_more_is_taken() -> None:
    found = choose_calibration(*drawn(2.0))
    assert found.calibration.method == "temperature"
    assert found.calibration.temperature == pytest.approx(2.0, rel=0.05)
    assert set(found.log_losses) == {"none", "temperature", "vector"}


def test_logits_that_mean_what_they_say_are_hardly_touched() -> None:
    found = choose_calibration(*drawn(1.0)).calibration
    assert found.method in ("none", "temperature")
    assert found.temperature == pytest.approx(1.0, rel=0.05)


def test_vector_scaling_is_seldom_taken_by_chance() -> None:
    taken = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        logits = rng.normal(0, 2, (300, 4))
        truth = (softmax(logits).cumsum(1) > rng.random((300, 1))).argmax(1)
        taken.append(choose_calibration(logits, truth).calibration.method == "vector")
    assert sum(taken) <= 8


@pytest.mark.parametrize("of_last", [0, 9])
def test_a_class_with_too_few_pictures_rules_vector_scaling_out(of_last: int) -> None:
    logits, truth = distorted(2000)
    kept = np.flatnonzero((truth != C - 1) | ((truth == C - 1).cumsum() <= of_last))
    found = choose_calibration(logits[kept], truth[kept])
    assert set(found.log_losses) == {"none", "temperature"}
    assert found.calibration.method != "vector"


@pytest.mark.parametrize("right", [True, False])
def test_a_class_of_two_pictures_does_not_explode(right: bool) -> None:
    logits, truth = drawn(1.0, 500)
    rare = np.full((2, C + 1), -4.0)
    rare[:, -1] = 12.0 if right else -12.0
    logits = np.vstack([np.pad(logits, ((0, 0), (0, 1)), constant_values=-8.0), rare])
    found = choose_calibration(logits, np.append(truth, [C, C]), method="vector").calibration
    assert 0 < found.scale[-1] < 2.5
    assert abs(found.shift[-1]) < 3


def test_cross_fitted_logits_do_not_know_their_own_truth() -> None:
    own, crossed = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        logits, truth = rng.normal(0, 1, (60, 6)), rng.integers(0, 6, 60)
        found = choose_calibration(logits, truth, method="vector")
        own.append(log_loss(found.calibration.apply(logits), truth))
        crossed.append(log_loss(found.cross_fitted, truth))
        assert found.log_losses["vector"] == pytest.approx(crossed[-1])
    assert np.mean(own) < np.log(6) - 0.02  # on the noise that it was fitted to
    assert np.mean(crossed) > np.log(6) + 0.02  # on other noise, what was learned only costs


def test_weights_count_as_repetition_for_vector_scaling_too() -> None:
    logits, truth = distorted(3000)
    weights = np.random.default_rng(1).integers(1, 4, len(truth))
    repeated = np.repeat(np.arange(len(truth)), weights)
    once = choose_calibration(logits, truth, weights.astype(float), method="vector")
    often = choose_calibration(logits[repeated], truth[repeated], method="vector")
    np.testing.assert_allclose(once.calibration.scale, often.calibration.scale, atol=0.02)
    np.testing.assert_allclose(once.calibration.shift, often.calibration.shift, atol=0.03)


def test_neither_the_order_of_pictures_nor_that_of_classes_matters() -> None:
    logits, truth = distorted(2000)
    rng = np.random.default_rng(2)
    pictures, classes = rng.permutation(len(truth)), rng.permutation(C)
    first = choose_calibration(logits, truth).calibration
    other = choose_calibration(logits[pictures][:, classes], classes.argsort()[truth[pictures]])
    np.testing.assert_allclose(other.calibration.scale, first.scale[classes], atol=0.01)
    np.testing.assert_allclose(other.calibration.shift, first.shift[classes], atol=0.02)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 99),
    n=st.integers(0, 30),
    classes=st.integers(2, 6),
    size=st.sampled_from([0.0, 1e-3, 1.0, 100.0]),
    method=st.sampled_from(["auto", "none", "temperature", "vector"]),
)
def test_however_few_and_odd_the_pictures_all_numbers_are_sound(
    seed: int, n: int, classes: int, size: float, method: str
) -> None:
    rng = np.random.default_rng(seed)
    logits = (size * rng.normal(0, 1, (n, classes))).astype(np.float32)
    truth = rng.integers(0, classes, n)
    found = choose_calibration(logits, truth, method=method, seed=seed)  # type: ignore[arg-type]
    calibration = found.calibration
    assert calibration.method in found.log_losses
    assert method == "auto" or n == 0 or calibration.method == method
    assert calibration.scale.shape == calibration.shift.shape == (classes,)
    assert found.cross_fitted.shape == logits.shape
    assert all(map(np.isfinite, found.log_losses.values()))
    assert np.isfinite([calibration.scale, calibration.shift]).all()
    again = choose_calibration(logits, truth, method=method, seed=seed)  # type: ignore[arg-type]
    assert np.array_equal(again.cross_fitted, found.cross_fitted)


def test_a_calibration_is_what_its_name_says() -> None:
    logits = np.array([[1.0, -2.0, 3.0]])
    assert np.array_equal(Calibration.none(3).apply(logits), logits)
    assert Calibration.none(3).temperature == 1.0
    by_two = Calibration.by_temperature(2.0, 3)
    assert np.array_equal(by_two.apply(logits), logits / 2)
    assert by_two.temperature == 2.0
