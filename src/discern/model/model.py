"""A loaded model: its info, and predictors made from it."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from discern.images import PictureLimits
from discern.model.folder import GRAPH, SEEN, UNKNOWN, load_info
from discern.model.info import ModelInfo
from discern.model.interpreter import Interpreter, interpreter_of
from discern.model.reference import Reference, read_references
from discern.runtime.choose import open_engine
from discern.runtime.engine import Goal, Images
from discern.runtime.pipeline import Picture, to_pixels
from discern.runtime.predictor import Prediction, Predictor


@dataclass(frozen=True)
class Model:
    """A model folder that was checked on load."""

    path: Path
    info: ModelInfo

    @property
    def graph(self) -> Path:
        return self.path / GRAPH

    @cached_property
    def interpreter(self) -> Interpreter:
        """What the graph's outputs mean, by all the rules that the folder holds."""
        return interpreter_of(self.info, lambda: (self.path / UNKNOWN).read_bytes())

    @cached_property
    def references(self) -> list[Reference]:
        return read_references(self.path)

    def was_trained_on(self, digests: Iterable[bytes | None]) -> npt.NDArray[np.bool_]:
        """Which pictures [n], named by the hash of their bytes, took part in training."""
        return np.isin(short_digests(digests), np.load(self.path / SEEN, mmap_mode="r"))

    @property
    def pictures_trained_on(self) -> int:
        """How many pictures took part in training, copies of the same bytes counted once."""
        return len(np.load(self.path / SEEN, mmap_mode="r"))

    def reference_pixels(self) -> Images:
        """The reference pictures as the graph sees them, uint8 [n, H, W, 3]."""
        return np.stack([to_pixels(r.data, self.info.preprocess) for r in self.references])

    def predictor(
        self,
        *,
        engine: str = "auto",
        precision: str = "auto",
        device: str = "auto",
        goal: Goal = "throughput",
        measure: bool = False,
        coverage: float | None = None,
        limits: PictureLimits = PictureLimits(),
    ) -> Predictor:
        """A predictor for one goal; `measure` lets `auto` spend seconds on finding the fastest.

        `coverage` is that of the sets of labels; ConfigError where it cannot be promised.
        """
        interpret = self.interpreter.covering(coverage)
        wanted = (measure or precision == "bf16") and self.references
        opened = open_engine(
            self.graph,
            sample=self.reference_pixels() if wanted else None,
            engine=engine,
            precision=precision,
            device=device,
            goal=goal,
        )
        return Predictor(opened, self.info.preprocess, interpret, limits)

    def predict(self, pictures: Picture | Iterable[Picture]) -> list[Prediction]:
        """Predictions for one picture or many: paths, encoded bytes or Pillow images."""
        many = pictures if _is_many(pictures) else (pictures,)
        return list(self._predictor.predict(many))  # type: ignore[arg-type]

    @cached_property
    def _predictor(self) -> Predictor:
        return self.predictor()


def _is_many(pictures: object) -> bool:
    return isinstance(pictures, Iterable) and not isinstance(pictures, str | bytes)


def short_digest(digest: bytes | None) -> int:
    """The first 8 bytes of a picture's hash as a number, 0 for none; enough to know it again."""
    return int.from_bytes(digest[:8]) if digest else 0


def short_digests(digests: Iterable[bytes | None]) -> npt.NDArray[np.uint64]:
    """The short hashes [n] of pictures."""
    return np.array([short_digest(digest) for digest in digests], np.uint64)


def load(folder: str | Path) -> Model:
    """Load a model folder; ModelError says which file is missing, changed or too new."""
    path = Path(folder)
    return Model(path, load_info(path))
