"""An export is proved again where its source is not."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
from exporting import change, labels_permuted

from discern.data import Dataset, load_dataset
from discern.errors import ConfigError
from discern.export.export import export_model, verify_export
from discern.export.folder import load_export
from discern.model import Model
from discern.model.folder import sha256_of


@pytest.fixture(params=["onnx", "onnx-int8"])
def exported(request: pytest.FixtureRequest, model: Model, data: Dataset, tmp_path: Path) -> Path:
    """An export that was moved, and whose source is gone."""
    pytest.importorskip("onnx")
    export_model(model, tmp_path / "export", request.param, data=data)
    shutil.rmtree(model.path)
    return shutil.move(tmp_path / "export", tmp_path / "elsewhere")


def tamper(folder: Path, how: object) -> None:
    """Change the graph, and its hash with it."""
    graph = folder / "1" / "model.onnx"
    change(graph, graph, how)  # type: ignore[arg-type]
    record = json.loads((folder / "export.json").read_text())
    record["files"]["1/model.onnx"] = sha256_of(graph)
    (folder / "export.json").write_text(json.dumps(record))


def test_an_export_is_verified_without_its_source(exported: Path, data: Dataset) -> None:
    alone = verify_export(load_export(exported))
    assert alone.passed
    assert alone.agreements.keys() == {"reference pictures"}
    again = verify_export(load_export(exported), data)
    assert again.passed
    assert again.agreements["held-out pictures"].pictures == 210
    first = json.loads((exported / "parity.json").read_text())
    assert asdict(again)["accuracy"] == first["accuracy"]


def test_an_export_that_answers_otherwise_is_not_verified(exported: Path, data: Dataset) -> None:
    tamper(exported, labels_permuted)
    assert not verify_export(load_export(exported)).passed
    found = verify_export(load_export(exported), data)
    assert not found.passed
    assert any("accuracy falls" in said or "labels change" in said for said in found.failures)


def test_only_pictures_that_proved_it_prove_it_again(
    exported: Path, tmp_path: Path, pictures: list[Path]
) -> None:
    for label in ("cat", "dog"):
        (tmp_path / "others" / label).mkdir(parents=True)
        shutil.copy(pictures[9], tmp_path / "others" / label)
    with pytest.raises(ConfigError, match="none of the 210 pictures"):
        verify_export(load_export(exported), load_dataset(tmp_path / "others"))
