"""Pictures to predictions: labels with probabilities, streaming and in order."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from discern.errors import PictureError
from discern.images import PictureLimits, PreprocessSpec
from discern.runtime.engine import Engine, Outputs
from discern.runtime.pipeline import Facts, Picture, run_pictures


@dataclass(frozen=True)
class Prediction:
    """What the model says about one picture; `scores` has every label, most probable first.

    A picture that could not be read has an `error` and no label. `unknown` says whether it is
    likely none of the classes, `set` holds the labels that cover the truth as often as promised,
    most probable first; both are None where the model does not carry them.
    """

    label: str | None
    probability: float | None
    scores: dict[str, float]
    error: str | None = None
    unknown: bool | None = None
    set: tuple[str, ...] | None = None

    @classmethod
    def of(cls, labels: Sequence[str], probabilities: npt.NDArray[np.float32]) -> "Prediction":
        """The prediction that probabilities [C], in the order of `labels`, stand for."""
        order = np.argsort(-probabilities, kind="stable").tolist()
        values = probabilities.tolist()
        scores = {labels[i]: values[i] for i in order}
        label = labels[order[0]]
        return cls(label, scores[label], scores)

    def top(self, k: int) -> dict[str, float]:
        """The `k` most probable labels with their scores."""
        return dict(list(self.scores.items())[:k])


Interpret = Callable[[Outputs], Prediction]  # one picture's outputs [C], [D] → what they mean


class Predictor:
    """A graph in an engine, with what is needed to use it."""

    def __init__(
        self,
        engine: Engine,
        preprocess: PreprocessSpec,
        interpret: Interpret,
        limits: PictureLimits = PictureLimits(),
    ) -> None:
        self.engine = engine
        self.preprocess = preprocess
        self.interpret = interpret
        self.limits = limits

    def predict(
        self,
        pictures: Iterable[Picture],
        workers: int | None = None,
        metadata: Iterable[Facts] | None = None,
    ) -> Iterator[Prediction]:
        """One prediction for each picture, in order; reads ahead no more than it must.

        `metadata` goes along with the pictures: what `MetadataSpec.encode` gives for each, or None.
        """
        for answer in self.outputs(pictures, workers, metadata):
            if isinstance(answer, PictureError):
                yield Prediction(None, None, {}, error=str(answer))
            else:
                yield self.interpret(answer)

    def outputs(
        self,
        pictures: Iterable[Picture],
        workers: int | None = None,
        metadata: Iterable[Facts] | None = None,
    ) -> Iterator[Outputs | PictureError]:
        """The graph's raw outputs for each picture: probabilities [C], embedding [D]."""
        return run_pictures(pictures, self.engine, self.preprocess, self.limits, workers, metadata)
