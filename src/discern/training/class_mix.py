"""Which mix of classes the answers are for, and what follows for held-out pictures.

A network that is fitted to probabilities answers for the mix of classes that its loss sees. The
same picture is more likely of a class where that class is more frequent: balanced sampling, class
weights and logit adjustment all change the mix, so that rare classes are found more often. Their
probabilities are right where classes are as frequent as in that mix, and too high for rare classes
where they stay rare. Calibration and promises are made on held-out pictures weighted to the same
mix: on the pictures as they are, calibration would undo what was asked for.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from discern.config import ClassWeights, Sampling
from discern.model.calibration import Calibration
from discern.training.head import FittedHead, Head
from discern.training.sampling import quotas

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class ClassMix:
    """The classes' shares, all [C] and above 0: in the data, in an epoch, in the loss.

    Logit adjustment by tau (Menon et al., Long-tail learning via logit adjustment, 2021) makes of
    answers for `trained` those for shares in proportion to trained ** (1 - tau): at 1, for classes
    that are all equally frequent.
    """

    natural: Floats
    drawn: Floats
    trained: Floats  # drawn, times the classes' weights
    tau: float = 0.0

    @property
    def weights(self) -> Floats:
        """[C] weights of the loss, 1 on average over the pictures of an epoch."""
        return self.trained / self.drawn

    @property
    def answered(self) -> Floats:
        """[C] shares of the classes that the answers are for."""
        emphasis: Floats = self.trained ** (1 - self.tau)
        shares: Floats = emphasis / emphasis.sum()
        return shares

    @property
    def shift(self) -> Floats:
        """[C] what makes logits for `answered` of logits for `trained`; the loss takes it off."""
        return np.log(self.answered) - np.log(self.trained)

    def judged(self, truth: Codes, weights: npt.NDArray[np.floating[Any]]) -> Floats:
        """Held-out pictures' weights [n], such that their classes have the shares answered for.

        Where nothing was asked for, they stay as they are, whatever their mix.
        """
        if np.allclose(self.answered, self.natural):
            return weights.astype(np.float64)
        own = np.bincount(truth, weights, len(self.natural))
        emphasised = weights * (self.answered / np.maximum(own, 1e-12))[truth]
        balanced: Floats = emphasised * (weights.sum() / emphasised.sum())
        return balanced


def class_mix(
    truth: Codes,
    classes: int,
    class_weights: ClassWeights,
    sampling: Sampling = "natural",
    tau: float = 0.0,
    weights: npt.NDArray[np.floating[Any]] | None = None,
) -> ClassMix:
    """The mix of training pictures with columns [n], each class at least once, and these settings.

    Each correction starts from what the one before it left: weights balance what sampling draws,
    and logit adjustment finds nothing to do where both have made the classes alike.
    """
    counts = np.bincount(truth, weights, classes)
    natural = counts / counts.sum()
    drawn = natural
    if sampling != "natural":
        drawn = quotas(np.bincount(truth, minlength=classes), sampling) / len(truth)
    even = np.full(classes, 1 / classes)
    return ClassMix(natural, drawn, even if class_weights == "balanced" else drawn, tau)


def moved(head: Head, source: Floats, target: Floats) -> Head:
    """The head that answers for shares `target` [C] where it answered for `source` [C]."""
    return _shifted(head, np.log(target) - np.log(source))


def adjusted(fitted: FittedHead, mix: ClassMix) -> FittedHead:
    """A head fitted on the mix, with its held-out answers, as they are asked for."""
    head, held = _shifted(fitted.head, mix.shift), fitted.held_out
    if held is None:
        return replace(fitted, head=head)
    shift, bare = mix.shift.astype(np.float32), held.without_metadata
    held = replace(
        held,
        logits=held.logits + shift,
        weights=mix.judged(held.truth, held.weights).astype(np.float32),
        without_metadata=None if bare is None else bare + shift,
    )
    return replace(fitted, head=head, held_out=held)


def _shifted(head: Head, shift: Floats) -> Head:
    return head.calibrated(Calibration("vector", np.ones_like(shift), shift))
