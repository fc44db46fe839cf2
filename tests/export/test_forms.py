"""The forms, by name, and what each makes of a graph."""

from pathlib import Path

import numpy as np
import pytest

from discern.errors import ConfigError, ExportError
from discern.export.form import Conversion
from discern.export.forms import FORMS, form_named
from discern.export.halve import halve
from discern.export.quantise import quantise
from discern.model import Model
from discern.runtime.engine import create_engine

HERE = [name for name in FORMS if name.startswith(("onnx", "openvino"))]


def needs_runtime(name: str) -> None:
    pytest.importorskip("openvino" if name.startswith("openvino") else "onnx")


def test_names_are_keys_and_abouts_are_lines() -> None:
    assert all(name == form.name for name, form in FORMS.items())
    assert all(form.about and "\n" not in form.about for form in FORMS.values())
    assert {form.precision for form in FORMS.values()} == {"f32", "f16", "int8"}


def test_an_unknown_form_is_told_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"'openvin-int8'.*Did you mean openvino-int8\?"):
        form_named("openvin-int8")


@pytest.mark.parametrize("name", HERE)
def test_a_converted_graph_takes_any_batch_and_answers_by_name(
    name: str, model: Model, tmp_path: Path
) -> None:
    needs_runtime(name)
    form, pixels = form_named(name), model.reference_pixels()
    graph = tmp_path / Path(form.graph).name
    form.convert(Conversion(model, graph, pixels))
    given, source = form.open(graph), create_engine(model.graph, "onnxruntime")
    for n in (1, 3):
        outputs, expected = given.run(pixels[:n]), source.run(pixels[:n])
        assert outputs.keys() == {"probabilities", "embedding"}
        apart = np.abs(outputs["probabilities"] - expected["probabilities"]).max()
        assert apart <= {"f32": 1e-4, "f16": 1e-2, "int8": 0.1}[form.precision]


@pytest.mark.parametrize("name", [name for name in HERE if name.endswith("int8")])
def test_int8_needs_calibration_pictures(name: str, model: Model, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="--data"):
        form_named(name).convert(Conversion(model, tmp_path / "model.onnx", None))


def test_int8_has_integer_weights_and_a_head_in_floats(model: Model, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    quantise(model.graph, tmp_path / "q.onnx", model.reference_pixels())
    graph = onnx.load(tmp_path / "q.onnx").graph
    kinds = {array.name: array.data_type for array in graph.initializer}
    assert kinds["kernel_quantized"] == onnx.TensorProto.INT8
    assert kinds["weight"] == onnx.TensorProto.FLOAT


def test_a_graph_whose_layers_all_lose_too_much_is_refused(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnx")
    monkeypatch.setattr("discern.export.quantise.LOSS", 0.0)
    with pytest.raises(ExportError, match="fp16"):
        quantise(model.graph, tmp_path / "q.onnx", model.reference_pixels())
    assert not (tmp_path / "q.onnx").exists()


def test_half_weights_are_half_and_the_head_is_not(model: Model, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    halve(model.graph, tmp_path / "h.onnx")
    kinds = {a.name: a.data_type for a in onnx.load(tmp_path / "h.onnx").graph.initializer}
    assert kinds["kernel.half"] == onnx.TensorProto.FLOAT16
    assert kinds["weight"] == onnx.TensorProto.FLOAT
