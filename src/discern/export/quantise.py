"""A graph in eight-bit integers: weights and activations of its layers, but for the touchiest.

Static post-training quantisation by ONNX Runtime: weights symmetric for each output channel,
activations by the range they have on calibration pictures, written as pairs of QuantizeLinear
and DequantizeLinear, which other runtimes read as well. The head stays in float: it costs
nothing and its outputs are the answer. So do the layers that lose most (see `_kept_in_float`).
Nagel et al., "A white paper on neural network quantization", 2021, sections 3 and 4.
"""

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from discern.errors import ExportError
from discern.export.layers import EMBEDDING, LAYERS, backbone_layers
from discern.runtime.engine import IMAGES, METADATA, Engine, Images, create_engine, reason

TRIED_ON = 24  # calibration pictures on which each layer is tried alone
LOSS = 0.005  # of the embedding's energy, that all quantised layers may lose together

Row = Mapping[str, npt.NDArray[Any]]


def quantise(source: Path, target: Path, calibration: Images) -> None:
    """Write the int8 form of the graph `source` to `target`.

    `calibration` is uint8 [n, H, W, 3]. ExportError where the graph has no layer to quantise, or
    ONNX Runtime cannot.
    """
    import onnx

    with tempfile.TemporaryDirectory() as folder, _quietly():
        work = _Work(Path(folder), calibration)
        model = onnx.load(source)
        layers = _named_layers(model)
        if not layers:
            raise ExportError(f"{source}: has no convolution or matrix product to quantise.")
        onnx.save(model, work.named)
        left = _kept_in_float(work, layers)
        if len(left) == len(layers):  # of no layer named, ONNX Runtime would quantise every one
            raise ExportError("Each layer alone loses too much in int8. Take a form in fp16.")
        work.write(target, [layer for layer in layers if layer not in left])


class _Work:
    """A graph being quantised in one way after another; ranges are collected once."""

    def __init__(self, folder: Path, calibration: Images) -> None:
        self.named, self.ranges = folder / "named.onnx", folder / "ranges.json"
        self.trial = folder / "trial.onnx"
        self.calibration = calibration

    @cached_property
    def source(self) -> Engine:
        """The graph as it is, once it lies at `named`."""
        return create_engine(self.named, "onnxruntime")

    def write(self, target: Path, layers: Sequence[str]) -> None:
        """Write the graph with these layers quantised."""
        from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

        try:
            quantize_static(
                self.named,
                target,
                _Reader(self.calibration, self.source.metadata_size),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(LAYERS),
                nodes_to_quantize=list(layers),
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibration_cache_path=self.ranges,
            )
        except Exception as exc:  # it raises whatever onnx, NumPy and ONNX Runtime raise
            raise ExportError(f"ONNX Runtime cannot quantise the graph: {reason(exc)}") from exc


class _Reader:
    """Calibration pictures one by one, as ONNX Runtime asks for them; nothing known beside them."""

    def __init__(self, pictures: Images, metadata: int) -> None:
        self._rows = _rows(pictures, metadata)

    def get_next(self) -> Row | None:
        return next(self._rows, None)


def _rows(pictures: Images, metadata: int) -> Iterator[Row]:
    beside = {METADATA: np.zeros((1, metadata), np.float32)} if metadata else {}
    for picture in pictures:
        yield {IMAGES: picture[None], **beside}


def _named_layers(model: Any) -> list[str]:
    """The layers to be quantised, in order; every node gets a name if it has none."""
    for node in model.graph.node:
        node.name = node.name or f"{node.op_type}:{node.output[0]}"
    return [node.name for node in backbone_layers(model)]


def _kept_in_float(work: _Work, layers: Sequence[str]) -> set[str]:
    """The fewest layers without which the others lose at most LOSS together.

    Each is quantised alone. What single layers lose adds up, as long as it is little: their
    errors are as good as independent.
    """
    spread = np.linspace(0, len(work.calibration) - 1, TRIED_ON).astype(int)  # over all classes
    pictures = work.calibration[np.unique(spread)]
    expected = _embeddings(work.source, pictures)
    losses = {layer: _loss_of(work, layer, pictures, expected) for layer in layers}
    left, total = set[str](), sum(losses.values())
    for layer in sorted(layers, key=lambda name: -losses[name]):
        if total <= LOSS:
            break
        left.add(layer)
        total -= losses[layer]
    return left


def _loss_of(work: _Work, layer: str, pictures: Images, expected: npt.NDArray[np.float64]) -> float:
    """The share of the embeddings' energy that quantising this one layer puts elsewhere."""
    work.write(work.trial, [layer])
    found = _embeddings(create_engine(work.trial, "onnxruntime"), pictures)
    return float(np.square(found - expected).sum() / np.square(expected).sum())


def _embeddings(engine: Engine, pictures: Images) -> npt.NDArray[np.float64]:
    return engine.run(pictures)[EMBEDDING].astype(np.float64)  # [n, D]


@contextmanager
def _quietly() -> Iterator[None]:
    """Without ONNX Runtime's advice on a graph that has been through all it advises."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
