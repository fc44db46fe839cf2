"""ONNX: the graph as it is, and in eight-bit integers."""

import shutil
from pathlib import Path

from discern.export.form import Conversion, Form
from discern.runtime.engine import Engine, create_engine

GRAPH = "1/model.onnx"


def _copy(conversion: Conversion) -> None:
    shutil.copyfile(conversion.model.graph, conversion.graph)


def _to_int8(conversion: Conversion) -> None:
    from discern.export.quantise import quantise

    quantise(conversion.model.graph, conversion.graph, conversion.calibrated_on())


def _open(graph: Path) -> Engine:
    return create_engine(graph, "onnxruntime")


FORMS: tuple[Form, ...] = (
    Form("onnx", "f32", GRAPH, "ONNX Runtime, Triton: the graph as it is", _copy, _open),
    Form("onnx-int8", "int8", GRAPH, "the same, smaller and quicker", _to_int8, _open),
)
