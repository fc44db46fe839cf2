"""OpenVINO's IR: single precision, weights in half precision, eight-bit integers."""

import tempfile
from pathlib import Path

from discern.errors import ExportError
from discern.export.form import Conversion, Form
from discern.runtime.engine import Engine, create_engine, reason

GRAPH = "1/model.xml"


def _to_f32(conversion: Conversion) -> None:
    _convert(conversion.model.graph, conversion.graph)


def _to_f16(conversion: Conversion) -> None:
    """Not by OpenVINO's own compression, which rounds every constant: on the clothes it moved a
    probability by 0.029."""
    from discern.export.halve import halve

    with tempfile.TemporaryDirectory() as folder:
        halved = Path(folder) / "halved.onnx"
        halve(conversion.model.graph, halved)
        _convert(halved, conversion.graph)


def _to_int8(conversion: Conversion) -> None:
    """By way of ONNX: OpenVINO reads its pairs of QuantizeLinear and DequantizeLinear.

    On the clothes it was as fast as NNCF's own quantisation and lost less, and needs no more
    packages (docs/export.md has the figures).
    """
    from discern.export.quantise import quantise

    with tempfile.TemporaryDirectory() as folder:
        quantised = Path(folder) / "quantised.onnx"
        quantise(conversion.model.graph, quantised, conversion.calibrated_on())
        _convert(quantised, conversion.graph)


def _convert(source: Path, target: Path) -> None:
    import openvino

    try:
        openvino.save_model(openvino.Core().read_model(source), target, compress_to_fp16=False)
    except RuntimeError as exc:
        raise ExportError(f"OpenVINO cannot convert the graph: {reason(exc)}") from exc


def _open(graph: Path) -> Engine:
    return create_engine(graph, "openvino")


FORMS: tuple[Form, ...] = (
    Form("openvino", "f32", GRAPH, "OpenVINO, its Model Server: Intel and AMD", _to_f32, _open),
    Form("openvino-fp16", "f16", GRAPH, "the same, half the size", _to_f16, _open),
    Form("openvino-int8", "int8", GRAPH, "the same, smaller and quicker", _to_int8, _open),
)
