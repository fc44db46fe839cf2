"""A loaded model: its answers, and whether they are still those it was saved with."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from discern.errors import EngineError
from discern.images.digest import digest
from discern.model import ModelInfo, load, save_folder, verify
from discern.model.reference import EXPECTED
from discern.runtime.openvino_runtime import installed

needs_openvino = pytest.mark.skipif(not installed(), reason="OpenVINO is not installed")


def change_expected(folder: Path, change: Callable[[list[dict]], object]) -> None:
    """Edit the expected answers, and the hash that would give the edit away."""
    path = folder / EXPECTED
    expected = json.loads(path.read_text())
    change(expected)
    path.write_text(json.dumps(expected))
    info = json.loads((folder / "model.json").read_text())
    info["files"][EXPECTED] = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "model.json").write_text(json.dumps(info))


@pytest.mark.parametrize("engine", ["onnxruntime", pytest.param("openvino", marks=needs_openvino)])
def test_a_fresh_model_is_verified(model_folder: Path, engine: str) -> None:
    verification = verify(load(model_folder), engine=engine)
    assert verification.passed
    assert (verification.engine, verification.precision) == (engine, "f32")
    assert len(verification.checks) == 8
    assert max(check.difference for check in verification.checks) < 1e-4


def test_other_probabilities_are_found(model_folder: Path) -> None:
    def shift(expected: list[dict]) -> None:
        scores = expected[2]["probabilities"]
        best = max(scores, key=scores.get)
        scores[best] += 0.01

    change_expected(model_folder, shift)
    verification = verify(load(model_folder))
    assert not verification.passed
    failed = [check for check in verification.checks if not check.passed]
    assert [check.picture for check in failed] == ["02.png"]
    assert failed[0].difference == pytest.approx(0.01, abs=1e-3)


def test_other_labels_are_found(model_folder: Path) -> None:
    change_expected(model_folder, lambda expected: expected[0]["probabilities"].update(whale=2.0))
    (check, *others) = verify(load(model_folder)).checks
    assert (check.expected, check.passed) == ("whale", False)
    assert all(other.passed for other in others)


def test_another_graph_is_found(
    tmp_path: Path, info: ModelInfo, files: dict, make_graph: Callable[..., Path]
) -> None:
    other = make_graph(seed=9, name="other.onnx")
    save_folder(tmp_path / "m", info, files | {"model.onnx": other})
    assert not verify(load(tmp_path / "m")).passed


def test_nothing_to_verify_on_is_not_verified(model_folder: Path) -> None:
    change_expected(model_folder, list.clear)
    model = load(model_folder)
    assert not verify(model).passed
    assert model.predictor(measure=True).preprocess == model.info.preprocess


def test_an_engine_that_is_not_there(model_folder: Path) -> None:
    with pytest.raises(EngineError, match="Unknown engine"):
        verify(load(model_folder), engine="tensorrt")


def test_predict_takes_one_picture_or_many(model_folder: Path, pictures: list[Path]) -> None:
    model = load(model_folder)
    many = model.predict(pictures[:3])
    assert [prediction.error for prediction in many] == [None] * 3
    one = many[0]
    assert model.predict(pictures[0]) == [one]
    assert model.predict(str(pictures[0])) == [one]
    assert model.predict(pictures[0].read_bytes()) == [one]
    with Image.open(pictures[0]) as image:
        assert model.predict(image) == [one]
    assert model.predict(path for path in pictures[:3]) == many
    assert model.predict([]) == []


def test_predictions_are_those_it_was_saved_with(model_folder: Path) -> None:
    model = load(model_folder)
    for reference, prediction in zip(
        model.references, model.predict(r.data for r in model.references), strict=True
    ):
        assert prediction.scores == pytest.approx(reference.probabilities)


def test_it_knows_what_it_was_trained_on(model_folder: Path, pictures: list[Path]) -> None:
    model = load(model_folder)
    digests = [digest(path.read_bytes()) for path in pictures]
    assert model.was_trained_on([*digests, None]).tolist() == [True] * 5 + [False] * 17
    assert model.was_trained_on(iter(digests)).shape == (21,)
    assert model.was_trained_on([]).tolist() == []


def test_reference_pixels_are_what_the_graph_sees(model_folder: Path) -> None:
    pixels = load(model_folder).reference_pixels()
    assert (pixels.shape, pixels.dtype) == ((8, 16, 16, 3), np.uint8)


def test_models_are_equal_by_what_they_are(model_folder: Path) -> None:
    model = load(model_folder)
    assert model == load(model_folder)
    assert model != replace(model, info=replace(model.info, seed=8))
