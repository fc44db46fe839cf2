"""ONNX Runtime: always there, on CPUs and CUDA cards."""

from pathlib import Path

import onnxruntime as ort

from discern.errors import EngineError
from discern.runtime.engine import (
    METADATA,
    Goal,
    Images,
    Inputs,
    Metadata,
    Outputs,
    in_turn,
    joined,
    reason,
)
from discern.runtime.machine import cores

GPU_BATCH = 64


class OnnxRuntimeEngine:
    """A graph loaded into ONNX Runtime."""

    name = "onnxruntime"
    precision = "f32"

    def __init__(self, graph: Path | bytes, precision: str, goal: Goal, device: str) -> None:
        if precision != "f32":
            raise EngineError(
                f"ONNX Runtime runs f32 only, not {precision}. Use --engine openvino."
            )
        if device == "cuda":
            _require_cuda()
        self.device = device
        self.batch_size = GPU_BATCH if self.device == "cuda" else 1
        self._session = open_session(graph, goal, self.device)
        self._outputs = [output.name for output in self._session.get_outputs()]
        shapes = {value.name: value.shape for value in self._session.get_inputs()}
        self.metadata_size = int(shapes[METADATA][1]) if METADATA in shapes else 0

    def run(self, images: Images, metadata: Metadata | None = None) -> Outputs:
        batches = in_turn(images, metadata, self.metadata_size, self.batch_size)
        return joined([self._run(batch) for batch in batches])

    def _run(self, batch: Inputs) -> Outputs:
        try:
            values = self._session.run(self._outputs, batch)
        except Exception as exc:  # ORT raises its own types, bound per build, with no common base
            raise EngineError(f"ONNX Runtime cannot run the graph: {reason(exc)}") from exc
        return dict(zip(self._outputs, values, strict=True))


def _require_cuda() -> None:
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        raise EngineError(
            "This ONNX Runtime has no CUDA provider. Install onnxruntime-gpu, or use --device cpu."
        )


def open_session(
    graph: Path | bytes, goal: Goal = "throughput", device: str = "cpu"
) -> ort.InferenceSession:
    """ONNX Runtime's session of a graph, a file or serialised; EngineError if it cannot load it."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1 if goal == "throughput" else cores()
    options.inter_op_num_threads = 1
    # A spinning thread would take the core on which the next picture is being decoded.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    providers = ["CPUExecutionProvider"]
    if device == "cuda":
        providers.insert(0, "CUDAExecutionProvider")
    try:
        return ort.InferenceSession(graph, options, providers=providers)
    except Exception as exc:  # as in `_run`
        name = graph if isinstance(graph, Path) else "the graph"
        raise EngineError(f"ONNX Runtime cannot load {name}: {reason(exc)}") from exc
