"""What a model's outputs mean: a label, a set of labels, or none of these."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from discern.errors import ConfigError, ModelDamagedError
from discern.model.info import RESTORE, ModelInfo
from discern.model.prediction_sets import PredictionSets
from discern.model.unknown import Unknown, read_unknown
from discern.runtime.engine import Outputs
from discern.runtime.predictor import Prediction

NO_EMBEDDING = np.zeros(0, np.float32)  # there may be none where a server gives probabilities only


@dataclass(frozen=True)
class Interpreter:
    """Labels in output order, and the rules that the model carries; those it lacks are None."""

    labels: tuple[str, ...]
    sets: PredictionSets | None = None
    unknown: Unknown | None = None
    coverage: float | None = None  # of the sets; None: as the model was calibrated for

    def covering(self, coverage: float | None) -> "Interpreter":
        """The same with sets of another coverage; ConfigError where it cannot be promised."""
        if coverage is None:
            return self
        if self.sets is None:
            raise ConfigError("This model has no prediction sets. Train on more pictures.")
        self.sets.threshold(coverage)
        return replace(self, coverage=coverage)

    def __call__(self, outputs: Outputs) -> Prediction:
        """The prediction for one picture's probabilities [C] and embedding [D]."""
        prediction = Prediction.of(self.labels, outputs["probabilities"])
        return replace(prediction, unknown=self._unknown(outputs), set=self._set(prediction))

    def _unknown(self, outputs: Outputs) -> bool | None:
        if self.unknown is None:
            return None
        embedding = outputs["embedding"] if self.unknown.needs_embedding else NO_EMBEDDING
        score = self.unknown.scores(embedding[None], outputs["probabilities"][None])
        return bool(score[0] > self.unknown.threshold)

    def _set(self, prediction: Prediction) -> tuple[str, ...] | None:
        if self.sets is None:
            return None
        size = self.sets.size(list(prediction.scores.values()), self.coverage)
        return tuple(islice(prediction.scores, size))


def interpreter_of(info: ModelInfo, unknown: Callable[[], bytes]) -> Interpreter:
    """The rules of a model folder; `unknown` reads its unknown.npz and is asked if there is one.

    ModelDamagedError where they make no sense.
    """
    try:
        sets = PredictionSets.from_dict(info.prediction_sets) if info.prediction_sets else None
        return Interpreter(info.labels, sets, read_unknown(unknown()) if info.unknown else None)
    except (OSError, ValueError) as exc:
        raise ModelDamagedError(
            f"The rules of the model cannot be used ({exc}). {RESTORE}"
        ) from exc
