"""TensorFlow's forms, in the environment that converts them; skipped where there is none yet."""

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from discern.errors import ExportError
from discern.export.environments import environments_folder, is_ready
from discern.export.form import Conversion
from discern.export.tensorflow import FORMS
from discern.model import Model, load
from discern.runtime.engine import create_engine

sys.path.append(str(Path(__file__).parents[1] / "serving"))

BY_NAME = {form.name: form for form in FORMS}
KEPT = environments_folder()  # before each test gets a cache of its own
READY = is_ready("tensorflow")
environment = pytest.mark.skipif(
    not READY, reason="no environment for converters: python -m discern.export.environments"
)


@pytest.fixture(autouse=True)
def converters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCERN_CONVERTERS", str(KEPT))


def converted(name: str, model: Model, folder: Path) -> Path:
    form = BY_NAME[name]
    graph = folder / name / form.graph
    graph.parent.mkdir()
    before = hashlib.sha256(model.graph.read_bytes()).digest()
    pictures = model.reference_pixels() if form.precision == "int8" else None
    form.convert(Conversion(model, graph, pictures))
    assert hashlib.sha256(model.graph.read_bytes()).digest() == before
    return graph


@environment
@pytest.mark.parametrize(("name", "tolerance"), [("litert", 1e-4), ("litert-fp16", 2e-2)])
def test_the_same_answers(name: str, tolerance: float, model_folder: Path, tmp_path: Path) -> None:
    model = load(model_folder)
    images = model.reference_pixels()
    graph = converted(name, model, tmp_path)
    expected = create_engine(model.graph, "onnxruntime").run(images)
    answers = BY_NAME[name].open(graph).run(images)
    np.testing.assert_allclose(
        answers["probabilities"], expected["probabilities"], atol=tolerance, rtol=0
    )
    assert np.ptp(expected["probabilities"], axis=0).max() > tolerance  # pictures do differ
    one, other = answers["embedding"], expected["embedding"]
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    assert ((one * other).sum(axis=1) / lengths).min() > 1 - tolerance


@environment
@pytest.mark.parametrize(("name", "tolerance"), [("saved-model", 1e-4), ("litert-int8", 0.1)])
def test_facts_beside_the_picture(
    name: str,
    tolerance: float,
    make_model: Callable[..., Path],
    pictures: list[Path],
    tmp_path: Path,
) -> None:
    from full_model import FACTS, write_full

    model = load(write_full(tmp_path / "model", make_model, pictures, facts=True))
    graph = converted(name, model, tmp_path)
    assert (graph / "saved_model.pb").is_file() == (name == "saved-model")
    images = model.reference_pixels()
    facts = np.random.default_rng(1).normal(size=(len(images), FACTS.size)).astype(np.float32)
    source, engine = create_engine(model.graph, "onnxruntime"), BY_NAME[name].open(graph)
    assert engine.metadata_size == FACTS.size
    for beside in (facts, None):
        expected, answers = source.run(images, beside), engine.run(images, beside)
        np.testing.assert_allclose(
            answers["probabilities"], expected["probabilities"], atol=tolerance, rtol=0
        )


def test_int8_wants_pictures(model_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="--data"):
        BY_NAME["litert-int8"].convert(Conversion(load(model_folder), tmp_path / "x", None))


@environment
def test_what_cannot_be_converted_is_said(model_folder: Path, tmp_path: Path) -> None:
    model = load(model_folder)
    model.graph.write_bytes(b"no graph")
    with pytest.raises(ExportError, match="saved-model: the graph cannot be converted"):
        BY_NAME["saved-model"].convert(Conversion(model, tmp_path / "1", None))


@environment
def test_an_operation_that_is_not_known(model_folder: Path, tmp_path: Path) -> None:
    import onnx

    model = load(model_folder)
    graph = onnx.load(model.graph)
    next(node for node in graph.graph.node if node.op_type == "Relu").op_type = "Softsign"
    onnx.save(graph, model.graph)
    wanted = r"cannot be converted to TensorFlow\. .*the graph has Softsign"
    with pytest.raises(ExportError, match=wanted):
        converted("litert", model, tmp_path)
