"""A model in an engine of this process."""

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from discern.errors import ModelDamagedError, RequestError
from discern.images import PictureLimits
from discern.model import Model, ModelInfo, load
from discern.model.facts import FactReader, fact_reader
from discern.model.folder import UNKNOWN
from discern.model.interpreter import Interpreter
from discern.model.reference import FOLDER
from discern.model.verify import check_answers
from discern.runtime import Prediction, Predictor
from discern.runtime.engine import Engine, Goal, Images, Metadata, Outputs
from discern.runtime.pipeline import to_pixels, unstacked
from discern.serving.batcher import Batcher
from discern.serving.facts import NOTHING, Given, as_request, check_rows, row_of
from discern.serving.heat import HeatMaps
from discern.serving.metrics import Metrics
from discern.serving.settings import ServeSettings
from discern.serving.workers import Workers

REPORT = "report.html"
Versions = Literal["latest", "all"] | tuple[int, ...]
T = TypeVar("T")


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
    interpreter: Interpreter
    facts: FactReader | None
    heat: HeatMaps | None
    files: Mapping[str, bytes]
    engine: Engine
    workers: Workers
    limits: PictureLimits
    metrics: Metrics
    batcher: Batcher | None = None

    async def picture(self, data: bytes, deadline: float, metadata: Given = NOTHING) -> Outputs:
        return await self._picture(data, deadline, metadata, lambda outputs: outputs)

    async def predict(
        self,
        data: bytes,
        deadline: float,
        metadata: Given = NOTHING,
        coverage: float | None = None,
    ) -> Prediction:
        interpret = as_request(lambda: self.interpreter.covering(coverage))
        return await self._picture(data, deadline, metadata, interpret)

    async def pixels(
        self, images: Images, deadline: float, metadata: Metadata | None = None
    ) -> Outputs:
        check_pixels(images, self.info)
        if metadata is not None:
            check_rows(self.facts, metadata, len(images))
        if self.batcher is None:
            outputs = await self.workers.run(
                lambda: self.engine.run(images, metadata), deadline, len(images)
            )
        else:
            outputs = await self.batcher.run(images, deadline, metadata)
        self.metrics.predicted(self.name, self.version, len(images))
        return outputs

    @property
    def explains(self) -> bool:
        return self.heat is not None

    async def heatmap(
        self, data: bytes, label: str, deadline: float, metadata: Given = NOTHING
    ) -> bytes | None:
        if (heat := self.heat) is None:
            return None
        return await self.workers.run(
            lambda: as_request(lambda: heat.png(data, label, row_of(self.facts, data, metadata))),
            deadline,
        )

    async def file(self, name: str) -> bytes | None:
        return self.files.get(name)

    async def _picture(
        self, data: bytes, deadline: float, metadata: Given, then: Callable[[Outputs], T]
    ) -> T:
        """What a thread makes `then` of one encoded picture's outputs."""

        def inputs() -> tuple[Images, Metadata | None]:
            pixels = to_pixels(data, self.info.preprocess, self.limits)
            row = row_of(self.facts, data, metadata)
            return pixels[None], None if row is None else row[None]

        def finish(outputs: Outputs) -> T:
            return then(next(unstacked(outputs, 1)))

        if (batcher := self.batcher) is None:
            found = await self.workers.run(lambda: finish(self.engine.run(*inputs())), deadline)
        else:
            pixels, row = await self.workers.run(inputs, deadline)
            outputs = await batcher.run(pixels, deadline, row)
            found = await self.workers.run(lambda: finish(outputs), deadline, pictures=0)
        self.metrics.predicted(self.name, self.version, 1)
        return found


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
    """Makes servables that share this process's threads.

    `alone` is for a process that has one picture at a time, and that somebody waits for while it
    starts (Lambda): all cores share a picture's work, and one reference picture is checked, not
    all.
    """

    def __init__(
        self,
        workers: Workers,
        settings: ServeSettings,
        metrics: Metrics,
        alone: bool = False,
    ) -> None:
        self._workers, self._settings, self._metrics = workers, settings, metrics
        self._goal: Goal = "latency" if alone else "throughput"
        self._checked = 1 if alone else None

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
        predictor = model.predictor(
            engine=how.engine, precision=how.precision, device=how.device, goal=self._goal
        )
        _verify(model, predictor, self._checked)
        servable = LocalServable(
            name,
            version,
            model.info,
            model.interpreter,
            fact_reader(model.info),
            HeatMaps.of(model, limits),
            files,
            predictor.engine,
            self._workers,
            limits,
            self._metrics,
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
    """What people and gateways may see, read once: the folder may be replaced any time."""
    files = {f"{FOLDER}/{r.name}": r.data for r in model.references}
    for name in {REPORT, UNKNOWN} & model.info.files.keys():
        try:
            files[name] = (model.path / name).read_bytes()
        except OSError as exc:
            raise ModelDamagedError(
                f"{model.path / name}: cannot be read ({exc.strerror})."
            ) from exc
    return files


def _verify(model: Model, predictor: Predictor, pictures: int | None) -> None:
    verification = check_answers(model, predictor, pictures)
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
