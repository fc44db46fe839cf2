"""The small interface behind which ONNX Runtime and OpenVINO run a graph.

A graph takes `images`, uint8 [N, H, W, 3], and gives named float32 outputs, [N, …] each. One that
was trained with facts beside the pictures takes `metadata`, float32 [N, M], as well; zeros stand
for nothing known.
An engine is made for one of two goals. For *throughput*, every call runs on the calling
thread alone, and as many threads call at once as there are cores: each core then takes a
picture from file to answer, decoding overlaps inference without a queue, and on CPUs this
beat one call spread over all cores (`bench/engines.py`). For *latency*, one call at a time
uses all cores.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from discern.config import ENGINES
from discern.errors import EngineError

Images = npt.NDArray[np.uint8]  # [N, H, W, 3]
Metadata = npt.NDArray[np.float32]  # [N, M]
Inputs = Mapping[str, npt.NDArray[Any]]  # name -> [N, …]
Outputs = Mapping[str, npt.NDArray[np.float32]]  # name -> [N, …]
Goal = Literal["throughput", "latency"]
IMAGES, METADATA = "images", "metadata"  # a graph's inputs


class Engine(Protocol):
    """A loaded graph; safe to call from several threads."""

    name: str
    precision: str
    device: str
    batch_size: int  # how many pictures one call of the graph takes; 1 on CPUs, where it is fastest
    metadata_size: int  # M of the graph's second input; 0 where it has none

    def run(self, images: Images, metadata: Metadata | None = None) -> Outputs:
        """Outputs for one picture or more; `batch_size` at a time go through the graph.

        Without `metadata`, nothing is known beside the pictures. EngineError if the graph does
        not take such pixels or such metadata, or the engine fails.
        """
        ...


def create_engine(
    graph: Path,
    name: str,
    precision: str = "f32",
    *,
    goal: Goal = "throughput",
    device: str = "cpu",
) -> Engine:
    """Load `graph` into the named engine; EngineError where it is not installed or cannot."""
    if name == "onnxruntime":
        from discern.runtime.onnx_runtime import OnnxRuntimeEngine

        return OnnxRuntimeEngine(graph, precision, goal, device)
    if name == "openvino":
        from discern.runtime.openvino_runtime import OpenVinoEngine

        return OpenVinoEngine(graph, precision, goal)
    raise EngineError(f"Unknown engine {name!r}. Engines: {', '.join(ENGINES)}, or auto.")


def in_turn(
    images: Images, metadata: Metadata | None, metadata_size: int, batch_size: int
) -> Iterator[Inputs]:
    """A graph's inputs, batch by batch; EngineError where the metadata do not fit it."""
    inputs: Inputs = {IMAGES: images}
    if metadata_size or metadata is not None:
        inputs = {IMAGES: images, METADATA: _fitting(metadata, len(images), metadata_size)}
    for start in range(0, len(images), batch_size):
        yield {name: values[start : start + batch_size] for name, values in inputs.items()}


def _fitting(metadata: Metadata | None, pictures: int, size: int) -> Metadata:
    if metadata is None:
        return np.zeros((pictures, size), np.float32)
    if size == 0:
        raise EngineError("This graph takes no metadata: it was trained on the pictures alone.")
    if metadata.shape != (pictures, size):
        raise EngineError(
            f"The metadata have the shape {list(metadata.shape)}; "
            f"for these pictures the graph takes {[pictures, size]}."
        )
    return metadata.astype(np.float32, copy=False)


def joined(parts: list[Outputs]) -> Outputs:
    """The outputs of consecutive batches as one."""
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def reason(exc: Exception) -> str:
    """What an engine's exception says, in one line, without its stack of source files."""
    lines = [line.strip() for line in str(exc).splitlines()]
    places = ("Exception from ", "Check '", "FrontEnd API ")
    return " ".join(line for line in lines if line and not line.startswith(places))
