"""A model on real files: what is scored, what is kept of it, what is none of the classes."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from discern.data import Dataset, load_dataset
from discern.data.metadata import MetadataSpec, fit_metadata
from discern.errors import ConfigError, DatasetError
from discern.evaluation import evaluate, find
from discern.model import Model, ModelInfo, load, save_folder
from discern.model.prediction_sets import PredictionSets
from discern.model.unknown import Unknown

FACTS = {"score": "maximum_probability", "keep": 0.95, "left_out_classes": {}, "strangers": {}}
Files = Mapping[str, bytes | Path]


@pytest.fixture
def dataset(pictures: list[Path]) -> Dataset:
    """The 21 pictures, seven a class; the model has seen the first five."""
    table = pictures[0].parent / "labels.csv"
    rows = [f"{p.name},{('cat', 'dog', 'fish')[i % 3]},{i}" for i, p in enumerate(pictures)]
    table.write_text("\n".join(["image,label,hour", *rows]))
    return load_dataset(table, metadata=("hour",))


@pytest.fixture
def proven(tmp_path: Path, info: ModelInfo, files: Files) -> Model:
    """A model that carries sets, and refuses what it is less sure of than 40 %."""
    rule = Unknown("maximum_probability", -0.4, {"power": np.array(0, np.float32)})
    sets = PredictionSets(0.9, (0.5, 0.9), (0.0, 0.8), 40)
    full = replace(info, unknown=FACTS, prediction_sets=sets.to_dict())
    save_folder(tmp_path / "proven", full, {**files, "unknown.npz": rule.to_bytes()})
    return load(tmp_path / "proven")


def test_all_that_is_said_is_made_from_what_was_scored(
    model_folder: Path, dataset: Dataset, pictures: list[Path]
) -> None:
    model = load(model_folder)
    found = evaluate(model, dataset)
    assert (found.split, found.scored.leaks, found.strangers) == ("all", (), ())
    assert "5 of 21 pictures took part" in found.notes[0]
    assert found.scored.files == tuple(pictures[5:])
    assert found.scored.truth == dataset.labels[5:].tolist()
    assert found.scored.metadata["hour"].tolist() == [str(i) for i in range(5, 21)]
    assert found.scored.embeddings.shape == (16, 8)
    answers = model.predict(pictures[5:])
    for row, answer in zip(found.scored.probabilities, answers, strict=True):
        assert dict(zip(model.info.labels, row.tolist(), strict=True)) == answer.scores
    hits = sum(a.label == t for a, t in zip(answers, found.scored.truth, strict=True))
    assert found.metrics.accuracy.value == hits / 16


def test_a_picture_that_cannot_be_read_leaves_no_gap(
    model_folder: Path, dataset: Dataset, pictures: list[Path]
) -> None:
    pictures[10].write_bytes(b"no picture")
    found = evaluate(load(model_folder), dataset)
    assert list(found.failures) == [str(pictures[10])]
    kept = [i for i in range(5, 21) if i != 10]
    assert found.scored.files == tuple(pictures[i] for i in kept)
    assert found.scored.truth == dataset.labels[np.array(kept)].tolist()
    assert found.metrics.n == len(found.scored.probabilities) == 15


def test_pictures_of_training_in_a_given_split_are_counted(
    model_folder: Path, dataset: Dataset
) -> None:
    found = evaluate(load(model_folder), dataset.with_splits(np.full(21, "test")))
    assert (found.split, len(found.scored.leaks), found.metrics.n) == ("test", 5, 21)
    assert "5 of the 21 pictures scored are also among the training pictures" in found.notes[0]
    assert found.leaks is not None
    assert (found.leaks.exact, found.leaks.near) == (5, 0)
    assert found.leaks.metrics == evaluate(load(model_folder), dataset).metrics


def test_pictures_that_are_none_of_the_classes(
    proven: Model, dataset: Dataset, tmp_path: Path
) -> None:
    plain = []
    for level in range(4):
        plain.append(tmp_path / f"{level}.png")
        Image.new("RGB", (20, 20), (60 * level,) * 3).save(plain[-1])
    (tmp_path / "bad.png").write_bytes(b"")
    found = evaluate(proven, dataset, unknown={"plain": [*plain, tmp_path / "bad.png"]})
    assert list(found.failures) == [str(tmp_path / "bad.png")]
    assert found.metrics == evaluate(proven, dataset).metrics
    findings = find(found, proven.interpreter, proven.info.unknown)
    assert findings.unknown is not None
    against = {a.name: a for a in findings.unknown.against}
    refused = [p.unknown for p in proven.predict(plain)]
    assert against["plain"].n == 4
    assert against["plain"].accepted.value == 1 - np.mean(refused)
    kept = [not p.unknown for p in proven.predict(list(found.scored.files))]
    assert findings.unknown.kept.value == np.mean(kept)


def test_cases_say_what_predict_says(proven: Model, dataset: Dataset) -> None:
    found = evaluate(proven, dataset)
    findings = find(found, proven.interpreter, proven.info.unknown)
    assert len(findings.doubtful) == 12
    for case in findings.mistakes + findings.doubtful:
        (answer,) = proven.predict([case.file])
        assert (case.label, case.unknown, case.set) == (answer.label, answer.unknown, answer.set)
        assert case.probability == pytest.approx(answer.probability)
    assert findings.sets is not None
    sets = [p.set or () for p in proven.predict(list(found.scored.files))]
    assert findings.sets.mean_size == np.mean([len(s) for s in sets])


def test_what_cannot_be_scored(
    model_folder: Path, proven: Model, dataset: Dataset, pictures: list[Path]
) -> None:
    with pytest.raises(ConfigError, match="no rule for pictures that are none"):
        evaluate(load(model_folder), dataset, unknown={"plain": pictures})
    with pytest.raises(DatasetError, match="plain: no picture can be decoded"):
        evaluate(proven, dataset, unknown={"plain": []})


@pytest.fixture
def informed(info: ModelInfo, files: Files, graph: Path, dataset: Dataset, tmp_path: Path) -> Model:
    """A model whose logits also change with the hour."""
    onnx = pytest.importorskip("onnx")
    spec = fit_metadata(dict(dataset.metadata))
    network, make = onnx.load(graph), onnx.helper
    effect = np.linspace(-9, 9, 3 * spec.size, dtype=np.float32).reshape(spec.size, 3)
    network.graph.initializer.append(onnx.numpy_helper.from_array(effect, "effect"))
    size = make.make_tensor_value_info("metadata", onnx.TensorProto.FLOAT, ["N", spec.size])
    network.graph.input.append(size)
    softmax = network.graph.node.pop()
    network.graph.node.append(make.make_node("MatMul", ["metadata", "effect"], ["beside"]))
    network.graph.node.append(make.make_node("Add", ["logits", "beside"], ["both"]))
    softmax.input[0] = "both"
    network.graph.node.append(softmax)
    full = replace(info, metadata=spec.to_dict(), inputs=("images", "metadata"))
    content = {**files, "model.onnx": network.SerializeToString()}
    save_folder(tmp_path / "informed", full, content)
    return load(tmp_path / "informed")


def test_facts_beside_the_picture_are_used(informed: Model, dataset: Dataset) -> None:
    found = evaluate(informed, dataset)
    rows = MetadataSpec.from_dict(informed.info.metadata or {}).encode_columns(dataset.metadata)
    answers = informed.predictor().predict(found.scored.files, metadata=rows[5:])
    for row, answer in zip(found.scored.probabilities, answers, strict=True):
        assert dict(zip(informed.info.labels, row.tolist(), strict=True)) == answer.scores
    assert len(found.notes) == 1
    alone = evaluate(informed, replace(dataset, metadata={}))
    assert "(hour); here it had none of them" in alone.notes[1]
    assert not np.allclose(alone.scored.probabilities, found.scored.probabilities)
