"""A model in an engine of this process."""

import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from discern.errors import ModelDamagedError, RequestError
from discern.images import PictureLimits
from discern.model import Model, ModelInfo, load
from discern.model.reference import FOLDER
from discern.model.verify import check_answers
from discern.runtime import Predictor
from discern.runtime.engine import Engine, Images, Outputs
from discern.runtime.pipeline import to_pixels
from discern.serving.batcher import Batcher
from discern.serving.metrics import Metrics
from discern.serving.settings import ServeSettings
from discern.serving.workers import Workers

REPORT = "report.html"
Versions = Literal["latest", "all"] | tuple[int, ...]


@dataclass(frozen=True)
class ModelSettings:
    """How one model is run; in a repository, `<name>/serving.toml` holds them."""

    versions: Versions = "latest"
    engine: str = "auto"
    precision: str = "auto"
    device: str = "auto"


@dataclass(eq=False)
class LocalServable:
    """One version of a model, loaded, verified and warm.

    On CPUs a picture is decoded and inferred on one thread, in one go, which needs no batch.
    Where an engine wants batches (CUDA), a batcher collects them.
    """

    name: str
    version: str
    info: ModelInfo
    files: Mapping[str, bytes]
    engine: Engine
    workers: Workers
    limits: PictureLimits
    metrics: Metrics
    batcher: Batcher | None = None

    async def picture(self, data: bytes, deadline: float) -> Outputs:
        if self.batcher is None:
            outputs = await self.workers.run(lambda: self.engine.run(self._pixels(data)), deadline)
        else:
            pixels = await self.workers.run(lambda: self._pixels(data), deadline)
            outputs = await self.batcher.run(pixels, deadline)
        self.metrics.predicted(self.name, self.version, 1)
        return {name: values[0] for name, values in outputs.items()}

    async def pixels(self, images: Images, deadline: float) -> Outputs:
        check_pixels(images, self.info)
        if self.batcher is None:
            outputs = await self.workers.run(lambda: self.engine.run(images), deadline, len(images))
        else:
            outputs = await self.batcher.run(images, deadline)
        self.metrics.predicted(self.name, self.version, len(images))
        return outputs

    async def file(self, name: str) -> bytes | None:
        return self.files.get(name)

    def _pixels(self, data: bytes) -> Images:
        """The picture as a batch of one, uint8 [1, H, W, 3]."""
        return to_pixels(data, self.info.preprocess, self.limits)[None]


def check_pixels(images: Images, info: ModelInfo) -> None:
    """Refuse pixels that this model does not take, before an engine does it less clearly."""
    expected = (info.preprocess.height, info.preprocess.width, 3)
    if images.dtype != "uint8" or images.ndim != 4 or images.shape[1:] != expected:
        raise RequestError(
            f"images is {images.dtype} {list(images.shape)}; expected uint8 [N, "
            f"{expected[0]}, {expected[1]}, 3] with values from 0 to 255."
        )
    if not len(images):
        raise RequestError("images is empty; send at least one picture.")


class Opener:
    """Makes servables that share this process's threads."""

    def __init__(self, workers: Workers, settings: ServeSettings, metrics: Metrics) -> None:
        self._workers, self._settings, self._metrics = workers, settings, metrics

    def open(
        self, name: str, version: str, folder: Path, how: ModelSettings = ModelSettings()
    ) -> LocalServable:
        """Load a model folder, check its answers on its reference pictures; takes a second or so.

        The reference pictures also warm the engine up. When nobody knows the servable any more,
        its engine is given up, and its batcher's thread ends. Raises ModelError, EngineError.
        """
        model = load(folder)
        files, limits = visible_files(model), self._settings.limits.of_pictures()
        # The limits are for requests; the model's own pictures are taken as they are.
        predictor = model.predictor(engine=how.engine, precision=how.precision, device=how.device)
        _verify(model, predictor)
        servable = LocalServable(
            name, version, model.info, files, predictor.engine, self._workers, limits, self._metrics
        )
        self._add_batcher(servable)
        return servable

    def _add_batcher(self, servable: LocalServable) -> None:
        """Collect batches where the engine wants them; the thread must not outlive the servable."""
        if servable.engine.batch_size == 1:
            return
        metrics, seconds = self._metrics, self._settings.queue.batch_seconds
        servable.batcher = Batcher(servable.engine, seconds, metrics.waited, metrics.batched)
        weakref.finalize(servable, servable.batcher.close)


def visible_files(model: Model) -> Mapping[str, bytes]:
    """The report and the reference pictures, read once: the folder may be replaced any time."""
    files = {f"{FOLDER}/{r.name}": r.data for r in model.references}
    if REPORT in model.info.files:
        try:
            files[REPORT] = (model.path / REPORT).read_bytes()
        except OSError as exc:
            raise ModelDamagedError(
                f"{model.path / REPORT}: cannot be read ({exc.strerror})."
            ) from exc
    return files


def _verify(model: Model, predictor: Predictor) -> None:
    verification = check_answers(model, predictor)
    if not verification.checks:
        raise ModelDamagedError(
            f"{model.path}: has no reference pictures to be verified on. Train or copy it again."
        )
    bad = [check for check in verification.checks if not check.passed]
    if bad:
        raise ModelDamagedError(
            f"{model.path}: {len(bad)} of {len(verification.checks)} reference pictures get "
            f"another answer than the model was saved with ({bad[0].picture}: "
            f"|Δp| {bad[0].difference:.3f}). Train or copy it again."
        )
