"""OpenVINO: often faster on Intel and AMD CPUs, and has bf16 where the processor does."""

import ctypes
import importlib.util
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

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


def installed() -> bool:
    """Whether OpenVINO can be imported; asks without importing it."""
    return importlib.util.find_spec("openvino") is not None


def has_bf16() -> bool:
    """Whether this processor computes in bf16."""
    return "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@cache
def _core() -> Any:
    """OpenVINO's plugins, loaded once a process."""
    import openvino

    return openvino.Core()


class OpenVinoEngine:
    """A graph loaded into OpenVINO, for one picture a call.

    The batch is fixed at 1: shapes known in advance let OpenVINO plan its memory once, and
    small activations stay in a core's cache.
    """

    name = "openvino"
    device = "cpu"
    batch_size = 1

    def __init__(self, graph: Path, precision: str, goal: Goal) -> None:
        if not installed():
            raise EngineError("OpenVINO is not installed. pip install 'discern[openvino]'.")
        if precision == "bf16" and not has_bf16():
            raise EngineError("This processor has no bf16. Use --precision f32 or auto.")
        self.precision = precision
        self._compiled = _compile(graph, precision, goal)
        self._names = [output.get_any_name() for output in self._compiled.outputs]
        shapes = {each.get_any_name(): each.partial_shape for each in self._compiled.inputs}
        self._inputs = list(shapes)
        # The binding makes a table of types at its first use. Two threads that make it at once
        # wait for each other for ever, one for Python's lock, one for the table's.
        self._compiled.inputs[0].get_element_type().to_dtype()
        self.metadata_size = shapes[METADATA][1].get_length() if METADATA in shapes else 0
        self._own = threading.local()  # an infer request belongs to one thread

    def run(self, images: Images, metadata: Metadata | None = None) -> Outputs:
        batches = in_turn(images, metadata, self.metadata_size, self.batch_size)
        return joined([self._run(batch) for batch in batches])

    def _run(self, batch: Inputs) -> Outputs:
        request = self._request()
        try:
            request.infer([batch[name] for name in self._inputs], share_inputs=True)
        except RuntimeError as exc:
            raise EngineError(f"OpenVINO cannot run the graph: {reason(exc)}") from exc
        # The request's tensors are written over by the next call.
        return {
            name: request.get_output_tensor(i).data.copy() for i, name in enumerate(self._names)
        }

    def _request(self) -> Any:
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        return self._own.request


def _compile(graph: Path, precision: str, goal: Goal) -> Any:
    settings = {
        "INFERENCE_PRECISION_HINT": precision,
        "NUM_STREAMS": cores() if goal == "throughput" else 1,
        "INFERENCE_NUM_THREADS": cores(),
        "ENABLE_CPU_PINNING": False,  # decoding threads share these cores
    }
    try:
        model = _core().read_model(graph)
        shapes = {each.get_any_name(): each.partial_shape for each in model.inputs}
        model.reshape({name: [1, *shape[1:]] for name, shape in shapes.items()})
        with _signal_stack_kept():
            return _core().compile_model(model, "CPU", settings)
    except RuntimeError as exc:
        raise EngineError(f"OpenVINO cannot load {graph}: {reason(exc)}") from exc


class _SignalStack(ctypes.Structure):
    """C's `stack_t` on Linux."""

    _fields_ = (("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@contextmanager
def _signal_stack_kept() -> Iterator[None]:
    """Give the thread back its stack for signal handlers.

    Compiling, OpenVINO 2026.4 leaves the calling thread one of its own and later frees it. The
    next signal that Python handles, a data loader's worker that ends, Ctrl-C, then kills the
    process with a segmentation fault.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    libc, before = ctypes.CDLL(None), _SignalStack()
    libc.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        libc.sigaltstack(ctypes.byref(before), None)
