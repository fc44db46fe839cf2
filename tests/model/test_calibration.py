"""Temperature scaling finds the temperature there was, and changes no answer."""

import numpy as np
import pytest

from discern.model.calibration import HIGHEST, LOWEST, fit_temperature, log_loss, softmax

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
