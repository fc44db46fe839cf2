"""Where in a picture a model's answer came from."""

import difflib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from discern.errors import ConfigError
from discern.images import PictureLimits, PreprocessSpec, to_input
from discern.images.overlay import Heat, onto_picture
from discern.model.folder import TAIL
from discern.model.model import Model
from discern.progress import SILENT, Progress
from discern.runtime.engine import Engine
from discern.runtime.heat import Cam, Parts, occlusion, with_output
from discern.runtime.onnx_runtime import OnnxRuntimeEngine
from discern.runtime.pipeline import Facts, Picture, opened, unstacked

CAM, OCCLUSION = "cam", "occlusion"
METHODS = ("auto", CAM, OCCLUSION)


@dataclass(frozen=True, eq=False)
class HeatMap:
    """What spoke for a label, by place of the whole upright picture."""

    label: str
    probability: float
    heat: Heat  # [height, width] in the picture's proportions; 1 where most spoke for it
    method: str  # how it was found: cam or occlusion


class Explainer:
    """Makes heat maps of a model's answers; safe to call from several threads.

    Its session is its own, and opened with the first map: as much memory as the graph takes once
    more. Without `parts`, only occlusion can be had.
    """

    def __init__(
        self,
        graph: bytes | Path,
        labels: Sequence[str],
        preprocess: PreprocessSpec,
        parts: Parts | None = None,
        limits: PictureLimits = PictureLimits(),
    ) -> None:
        self._graph = graph
        self._labels = tuple(labels)
        self._preprocess = preprocess
        self._parts = parts
        self._limits = limits
        self._opening = threading.Lock()
        self._opened: tuple[Engine, Cam | None] | None = None

    @classmethod
    def of(cls, model: Model, limits: PictureLimits = PictureLimits()) -> "Explainer":
        """The explainer of a model folder."""
        info = model.info
        parts = None
        if info.features and TAIL in info.files:
            parts = Parts(info.features, (model.path / TAIL).read_bytes())
        return cls(model.graph, info.labels, info.preprocess, parts, limits)

    def explain(
        self,
        picture: Picture,
        label: str | None = None,
        method: str = "auto",
        metadata: Facts = None,
        progress: Progress = SILENT,
    ) -> HeatMap:
        """What speaks for `label` in a picture, or for the answer where none is given.

        "cam" takes one run of the graph; "occlusion", some dozens, works for any; "auto" takes
        the first where it can be had. `metadata` [M] is what is known beside the picture.
        ConfigError for a label or a method that the model does not have, PictureError for a
        picture that cannot be used.
        """
        self._check(label, method)
        engine, cam = self._open()
        image = opened(picture, self._preprocess, self._limits)
        pixels = to_input(image, self._preprocess)
        facts = None if metadata is None else metadata[None]
        (outputs,) = unstacked(engine.run(pixels[None], facts), 1)
        probabilities = outputs["probabilities"]
        column = int(probabilities.argmax()) if label is None else self._labels.index(label)
        if cam is not None and method != "occlusion":
            found, heat = CAM, cam.heat(outputs, column, metadata)
        else:
            found, heat = OCCLUSION, occlusion(engine, pixels, column, metadata, progress)
        size = image.height, image.width
        return HeatMap(
            self._labels[column],
            float(probabilities[column]),
            onto_picture(heat, size, self._preprocess),
            found,
        )

    def _check(self, label: str | None, method: str) -> None:
        if label is not None and label not in self._labels:
            near = difflib.get_close_matches(label, self._labels, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(self._labels)}."
            raise ConfigError(f"The model has no label {label!r}. {hint}")
        if method not in METHODS:
            raise ConfigError(f"Unknown method {method!r}. Methods: {', '.join(METHODS)}.")
        if method == CAM and self._parts is None:
            raise ConfigError(
                "This model cannot be explained by cam: it does not average a grid of features, "
                "or was trained by an older discern. Use occlusion."
            )

    def _open(self) -> tuple[Engine, Cam | None]:
        with self._opening:
            if self._opened is None:
                self._opened = self._engine(), Cam(self._parts) if self._parts else None
        return self._opened

    def _engine(self) -> Engine:
        """The graph in ONNX Runtime, giving the features too where there are any."""
        graph = self._graph
        if self._parts is not None:
            data = graph.read_bytes() if isinstance(graph, Path) else graph
            graph = with_output(data, self._parts.features)
        return OnnxRuntimeEngine(graph, "f32", "throughput", "cpu")
