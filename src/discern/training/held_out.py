"""Held-out answers: what choices, calibration and promises are made on."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class HeldOut:
    """Pictures with the answers of a head that had not seen them; n pictures, C classes.

    For frozen heads these are the training pictures, each answered by the fold that it was left
    out of; for whole networks, the split that the best epoch was selected on.
    """

    samples: npt.NDArray[np.intp]  # [n] positions in the dataset that they come from
    truth: npt.NDArray[np.intp]  # [n] columns
    logits: npt.NDArray[np.float32]  # [n, C], not calibrated
    weights: npt.NDArray[np.float32]  # [n]
    embeddings: npt.NDArray[np.float32]  # [n, D]
    without_metadata: npt.NDArray[np.float32] | None = None  # [n, C], had nothing been known
    groups: npt.NDArray[np.intp] | None = None  # [n], where folds were made; kept in one fold
