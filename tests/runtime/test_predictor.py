"""Predictions: names instead of columns, best first, in the order of the pictures."""

from itertools import count, islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from discern.errors import PictureError
from discern.images import PictureLimits, PreprocessSpec
from discern.model.interpreter import Interpreter
from discern.runtime import Prediction, Predictor
from discern.runtime.engine import create_engine
from discern.runtime.pipeline import to_pixels

LABELS = ("cat", "dog", "fish")
SPEC = PreprocessSpec(16, 16)


@pytest.fixture
def predictor(graph: Path) -> Predictor:
    return Predictor(create_engine(graph, "onnxruntime"), SPEC, Interpreter(LABELS))


def test_labels_stand_for_the_graphs_columns(predictor: Predictor, pictures: list[Path]) -> None:
    for path, prediction in zip(pictures, predictor.predict(pictures), strict=True):
        columns = predictor.engine.run(to_pixels(path, SPEC)[None])["probabilities"][0]
        assert prediction.scores == dict(zip(LABELS, columns.tolist(), strict=True))
        assert prediction.label == LABELS[int(columns.argmax())]
        assert prediction.probability == columns.max()
        assert prediction.error is None


def test_scores_come_best_first(predictor: Predictor, pictures: list[Path]) -> None:
    for prediction in predictor.predict(pictures):
        values = list(prediction.scores.values())
        assert values == sorted(values, reverse=True)
        assert next(iter(prediction.scores)) == prediction.label
        assert list(prediction.top(2).items()) == list(prediction.scores.items())[:2]
        assert prediction.top(9) == prediction.scores


def test_paths_names_bytes_and_pillow_images_are_the_same(
    predictor: Predictor, pictures: list[Path]
) -> None:
    path = pictures[0]
    with Image.open(path) as image:
        forms = [path, str(path), path.read_bytes(), image]
        first, *others = predictor.predict(forms)
    assert others == [first] * 3


def test_an_error_stands_in_its_place(predictor: Predictor, pictures: list[Path]) -> None:
    good, bad, also_good = predictor.predict([pictures[0], b"bad", pictures[1]])
    assert bad == Prediction(None, None, {}, error="not a picture: unknown format")
    assert good.label
    assert also_good.label
    assert bad.top(3) == {}


def test_outputs_are_the_graphs(predictor: Predictor, pictures: list[Path]) -> None:
    (outputs, error) = predictor.outputs([pictures[0], b"bad"])
    assert not isinstance(outputs, PictureError)
    assert outputs["embedding"].shape == (8,)
    assert isinstance(error, PictureError)


def test_its_limits_hold(graph: Path, pictures: list[Path]) -> None:
    strict = Predictor(
        create_engine(graph, "onnxruntime"), SPEC, Interpreter(LABELS), PictureLimits(max_bytes=10)
    )
    (prediction,) = strict.predict(pictures[:1])
    assert "at most 10 are allowed" in (prediction.error or "")


def test_equal_scores_keep_the_order_of_labels() -> None:
    prediction = Prediction.of(LABELS, np.array([0.25, 0.5, 0.25], np.float32))
    assert list(prediction.scores) == ["dog", "cat", "fish"]


def test_endless_pictures(predictor: Predictor, pictures: list[Path]) -> None:
    endless = predictor.predict(pictures[i % 3] for i in count())
    labels = [prediction.label for prediction in islice(endless, 30)]
    assert labels == labels[:3] * 10
    endless.close()
