"""Multinomial logistic regression along a grid of C, the inverse of the L2 penalty's strength."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from discern.errors import TrainingError

Matrix = npt.NDArray[np.float32]
Codes = npt.NDArray[np.intp]


def fit_path(
    features: Matrix, truth: Codes, weights: Matrix, classes: int, grid: Sequence[float]
) -> Iterator[tuple[Matrix, Matrix]]:
    """Weight [D, C] and bias [C] for each C of the ascending grid, each fit starting from the last.

    A class without rows gets a bias so low that it is never the answer.
    """
    from sklearn.linear_model import LogisticRegression

    present = np.unique(truth)
    if len(present) < 2:
        raise TrainingError("Only one class is left to train on. Add pictures of another class.")
    model = LogisticRegression(max_iter=300, tol=1e-3, warm_start=True)
    for c in grid:
        model.C = c
        model.fit(features, truth, weights)
        yield _columns(model.coef_, model.intercept_, present, classes)


def _columns(
    coef: npt.NDArray[np.floating],
    intercept: npt.NDArray[np.floating],
    present: Codes,
    classes: int,
) -> tuple[Matrix, Matrix]:
    if len(coef) == 1:  # for two classes there is one logit; a half each way is the same softmax
        coef, intercept = np.vstack([-coef, coef]) / 2, np.hstack([-intercept, intercept]) / 2
    weight = np.zeros((coef.shape[1], classes), np.float32)
    bias = np.full(classes, -30.0, np.float32)
    weight[:, present], bias[present] = coef.T, intercept
    return weight, bias
