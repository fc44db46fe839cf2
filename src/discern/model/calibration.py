"""Temperature scaling: one number that makes probabilities mean what they say.

Guo et al., On Calibration of Modern Neural Networks, 2017. The temperature divides the
logits, so it never changes which class comes first.
"""

import numpy as np
import numpy.typing as npt

LOWEST, HIGHEST = 0.05, 20.0  # the range searched; outside it something else is wrong


def softmax(logits: npt.NDArray[np.floating], temperature: float = 1.0) -> npt.NDArray[np.float64]:
    """Probabilities of logits [N, C] at a temperature."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    powers = np.exp(scaled)
    return powers / powers.sum(axis=1, keepdims=True)  # type: ignore[no-any-return]


def log_loss(
    logits: npt.NDArray[np.floating],
    truth: npt.NDArray[np.intp],
    temperature: float = 1.0,
    weights: npt.NDArray[np.floating] | None = None,
) -> float:
    """Mean negative log likelihood of the true columns `truth` [N], in nats."""
    p = softmax(logits, temperature)[np.arange(len(truth)), truth]
    return float(np.average(-np.log(np.maximum(p, 1e-15)), weights=weights))


def fit_temperature(
    logits: npt.NDArray[np.floating],
    truth: npt.NDArray[np.intp],
    weights: npt.NDArray[np.floating] | None = None,
) -> float:
    """The temperature of least log loss on held-out logits [N, C] and their true columns [N].

    Truth is taken with a doubt of 1 / (n + 2), as Platt (1999) does: where a few held-out
    pictures are all answered right, the plain loss would ask for certainty. The loss has one
    minimum over the logarithm of the temperature, so golden-section search finds it.
    """
    doubt = 1 / (len(truth) + 2)

    def loss(temperature: float) -> float:
        certain = log_loss(logits, truth, temperature, weights)
        return (1 - doubt) * certain + doubt * _mean_loss(logits, temperature, weights)

    golden = (5**0.5 - 1) / 2
    low, high = np.log(LOWEST), np.log(HIGHEST)
    while high - low > 1e-4:
        a, b = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, b) if loss(np.exp(a)) < loss(np.exp(b)) else (a, high)
    return float(np.exp((low + high) / 2))


def _mean_loss(
    logits: npt.NDArray[np.floating],
    temperature: float,
    weights: npt.NDArray[np.floating] | None,
) -> float:
    """Log loss where every class is as likely to be the true one."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    log_p = scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))
    return float(np.average(-log_p.mean(axis=1), weights=weights))
