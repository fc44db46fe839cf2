"""Facts beside the picture, from the table to the model folder, frozen and fine-tuned."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from discern import load, train
from discern.config import TrainConfig
from discern.data import Dataset, load_dataset
from discern.evaluation import evaluate
from discern.model.facts import fact_reader


@pytest.fixture
def table(photos, tmp_path: Path) -> Dataset:  # type: ignore[no-untyped-def]
    """Pictures that say nothing of their label, beside a place and a device that tell it."""
    root = photos({"red": 60})
    labels = [("north", "south", "east")[i % 3] for i in range(60)]
    rows = [
        (path.relative_to(tmp_path), label, label[0].upper() if i % 10 else "", 40 + i % 5)
        for i, (path, label) in enumerate(zip(sorted(root.rglob("*.png")), labels, strict=True))
    ]
    with (tmp_path / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "label", "device", "height"), *rows])
    return load_dataset(tmp_path / "table.csv", metadata=["device", "height"])


@pytest.mark.parametrize("mode", ["frozen", "finetune"])
def test_facts_are_learned_and_may_be_missing(
    table: Dataset, config: TrainConfig, tmp_path: Path, mode: str
) -> None:
    loop = replace(config.finetune, epochs=5, learning_rate=1e-2, augment="none")
    config = replace(config, mode=mode, metadata=("device", "height"), finetune=loop)  # type: ignore[arg-type]
    model = load(train(table, tmp_path / "model", config).path)
    assert model.info.inputs == ("images", "metadata")
    reader = fact_reader(model.info)
    assert reader is not None
    predictor = model.predictor()
    files = list(table.files())[:12]
    facts = [{"device": label[0].upper()} for label in table.labels.tolist()[:12]]
    known = predictor.predict(files, metadata=[reader.read(None, fact) for fact in facts])
    bare = list(predictor.predict(files))
    right = [p.label == t for p, t in zip(known, table.labels.tolist(), strict=False)]
    assert np.mean(right) > 0.8, "the device tells the label"
    assert max(p.probability or 0 for p in bare) < 0.95, "without it nothing is known"


def test_what_the_facts_add_is_told(table: Dataset, config: TrainConfig, tmp_path: Path) -> None:
    # Left to itself, each of the two graphs gets the precision that was quicker just now.
    config = replace(config, metadata=("device", "height"), precision="f32")
    model = train(table, tmp_path / "model", config)
    gain = model.info.training["metadata"]
    assert gain["with"]["accuracy"] > gain["alone"]["accuracy"]
    over = gain["with"]["accuracy_over_alone"]
    assert over["low"] <= over["value"] <= over["high"]
    assert over["low"] > 0
    assert gain["missing"]["accuracy"] < gain["with"]["accuracy"]
    evaluation = evaluate(model, table, precision="f32")
    assert evaluation.metrics.log_loss == pytest.approx(model.info.metrics["test"]["log_loss"])
    assert set(evaluation.scored.metadata) == {"device", "height"}
