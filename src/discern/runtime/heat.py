"""Where in a picture an answer came from: by the graph's last features, or by covering parts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, product
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from discern.progress import SILENT, Progress
from discern.runtime.engine import METADATA, Engine, Images, Outputs
from discern.runtime.machine import cores
from discern.runtime.onnx_runtime import open_session
from discern.runtime.pipeline import CHUNK, Facts, chunks, ordered_map

LAYOUT = "layout"  # a property of tail.onnx: the order of the features' axes, NCHW or NHWC
POOLED, LOGITS = "tail.pooled", "logits"  # its input, beside the metadata, and its output
PLACES, COVERED = 8, 3  # a side: of an occlusion's map, and of the square that covers it
ROUNDING = 4e-6  # of a logit, relative: single precision, over some layers
LEAST_LOSS = 1e-4  # of log odds that is told from none
LEAST = 1e-12  # probability that is told from none

Floats = npt.NDArray[np.floating[Any]]
Vectors = npt.NDArray[np.float32]


def with_output(graph: bytes, tensor: str) -> bytes:
    """A serialised ONNX model that gives one of its inner tensors as another output.

    Protobuf merges messages that are written one after the other, so the model need not be
    parsed, and the onnx package not be there: what is appended is a ModelProto whose graph
    (field 7) has one more output (field 12), a ValueInfoProto with a name (field 1). Its type
    ONNX Runtime infers.
    """
    return graph + _field(7, _field(12, _field(1, tensor.encode())))


def _field(number: int, content: bytes) -> bytes:
    """A protobuf field whose value is bytes: its key (wire type 2), their length, themselves."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Protobuf's integer: seven bits a byte, lowest first; the top bit says that more follow."""
    groups = []
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


@dataclass(frozen=True)
class Parts:
    """What Grad-CAM needs of a graph: the tensor that it pools, and what comes after."""

    features: str  # the tensor's name; [N, K, h, w] or [N, h, w, K]
    tail: bytes  # ONNX: pooled [N, K], and metadata [N, M] if the graph takes it → logits [N, C]


class Cam:
    """Grad-CAM on the outputs of one graph. Safe to call from several threads."""

    def __init__(self, parts: Parts) -> None:
        self.features = parts.features
        self._tail = open_session(parts.tail)
        self._sizes = {value.name: value.shape[1] for value in self._tail.get_inputs()}
        self._layout = self._tail.get_modelmeta().custom_metadata_map[LAYOUT]

    def heat(self, outputs: Outputs, column: int, metadata: Facts = None) -> Vectors:
        """[h, w] for a class's column, of a picture's outputs, the features among them."""
        features = outputs[self.features]
        grid = features.transpose(1, 2, 0) if self._layout == "NCHW" else features
        return grad_cam(grid, lambda pooled: self.logits(pooled, metadata)[:, column])

    def logits(self, pooled: Vectors, metadata: Facts = None) -> Vectors:
        """Logits [n, C] of pooled features [n, K] of pictures with the same metadata [M]."""
        feeds = {POOLED: pooled}
        if size := self._sizes.get(METADATA):
            row = np.zeros(size, np.float32) if metadata is None else metadata
            feeds[METADATA] = np.tile(row, (len(pooled), 1))
        logits: Vectors = self._tail.run([LOGITS], feeds)[0]
        return logits


def grad_cam(features: Vectors, logit: Callable[[Vectors], Vectors]) -> Vectors:
    """How much each place of the features [h, w, K] spoke for a class: [h, w], from 0 to 1.

    `logit` gives the class's logit [n] for features [n, K] averaged over all places. Grad-CAM
    (Selvaraju et al., 2017) weighs each channel with the logit's gradient and sums them up place
    by place: the derivative of the logit along the place's own vector. So it is taken here, by
    central differences, whatever `logit` does.
    """
    height, width, channels = features.shape
    vectors = features.reshape(-1, channels)
    # A tenth of a place's share in the average: where features are positive, so they remain.
    steps = np.float32(0.1 / len(vectors)) * vectors
    pooled = vectors.mean(axis=0)
    ahead, behind = np.split(logit(np.concatenate([pooled + steps, pooled - steps])), 2)
    rounding = ROUNDING * float(np.abs(ahead).max())
    return scaled((ahead - behind).reshape(height, width), rounding)


def scaled(heat: Floats, least: float) -> Vectors:
    """What speaks for the class, as a share of the most that any place does.

    Zero everywhere if that is not more than `least`: it would be chance that is shown.
    """
    positive = np.maximum(heat, 0).astype(np.float32)
    most = float(positive.max())
    return positive / np.float32(most) if most > least else np.zeros_like(positive)


class _Stretch(NamedTuple):
    """One side of a square."""

    places: slice  # of the map
    pixels: slice  # of the picture


def occlusion(
    engine: Engine,
    pixels: Images,
    column: int,
    metadata: Facts = None,
    progress: Progress = SILENT,
) -> Vectors:
    """How much each place of a picture [H, W, 3] spoke for a class: [PLACES, PLACES], 0 to 1.

    A square of the picture's mean colour is laid over one part after the other (Zeiler and
    Fergus, 2014); a place gets the mean of what the class's log odds lose while it is covered.
    Some dozens of runs, the same each time, of any graph that gives probabilities.
    """
    squares = list(product(_stretches(pixels.shape[0]), _stretches(pixels.shape[1])))
    covered = chain([pixels], (_covered(pixels, y, x) for y, x in squares))
    batches = chunks(covered, max(CHUNK, engine.batch_size))

    def odds(pictures: Sequence[Images]) -> Floats:
        facts = None if metadata is None else np.tile(metadata, (len(pictures), 1))
        return _log_odds(engine.run(np.stack(pictures), facts)["probabilities"], column)

    found: list[float] = []
    with progress.stage("Covering parts", len(squares) + 1) as advance:
        for part in ordered_map(odds, batches, cores()):
            found.extend(part.tolist())
            advance(len(part))
    lost, times = np.zeros((PLACES, PLACES)), np.zeros((PLACES, PLACES))
    for (y, x), left in zip(squares, found[1:], strict=True):
        lost[y.places, x.places] += found[0] - left
        times[y.places, x.places] += 1
    return scaled(lost / times, LEAST_LOSS)


def _stretches(side: int) -> list[_Stretch]:
    """Where along one side of the picture a square is laid."""
    edges = np.rint(np.linspace(0, side, PLACES + 1)).astype(int).tolist()
    return [
        _Stretch(slice(first, first + COVERED), slice(edges[first], edges[first + COVERED]))
        for first in range(PLACES - COVERED + 1)
    ]


def _covered(pixels: Images, y: _Stretch, x: _Stretch) -> Images:
    covered = pixels.copy()
    covered[y.pixels, x.pixels] = pixels.mean(axis=(0, 1))
    return covered


def _log_odds(probabilities: Vectors, column: int) -> Floats:
    """The class's log odds [N]; unlike its probability, they still move where it is near 1."""
    p = np.maximum(probabilities.astype(np.float64), LEAST)
    return np.log(p[:, column]) - np.log(np.delete(p, column, axis=1).sum(axis=1))  # type: ignore[no-any-return]
