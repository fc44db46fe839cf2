"""What an export holds, and that it is there whole or not at all."""

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from discern.data import Dataset, load_dataset
from discern.errors import (
    ConfigError,
    ExportError,
    ModelDamagedError,
    ModelFormatError,
    OutputError,
)
from discern.export.export import export_model
from discern.export.folder import load_export
from discern.export.form import Conversion
from discern.export.forms import FORMS, form_named
from discern.export.usage import code
from discern.images import PreprocessSpec
from discern.model import Model
from discern.runtime import Predictor
from discern.runtime.engine import create_engine

HERE = [name for name in FORMS if name.startswith(("onnx", "openvino"))]


def ran(program: str, folder: Path) -> list[str]:
    """The words that a program prints, run by a Python of its own in `folder`."""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("name", HERE)
def test_an_export_has_what_its_users_need_and_its_readme_runs(
    name: str, model: Model, data: Dataset, tmp_path: Path
) -> None:
    pytest.importorskip("openvino" if name.startswith("openvino") else "onnx")
    made = export_model(model, tmp_path / "export", name, data=data)
    folder, form = tmp_path / "export", form_named(name)
    record = json.loads((folder / "export.json").read_text())
    on_disk = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert on_disk == {*record["files"], "export.json"}
    for file, digest in record["files"].items():
        assert hashlib.sha256((folder / file).read_bytes()).hexdigest() == digest
    assert record["source"]["model.onnx"] == model.info.files["model.onnx"]
    assert record["versions"].keys() >= {"discern", "onnxruntime"}
    assert json.loads((folder / "labels.json").read_text()) == list(model.info.labels)
    spec = json.loads((folder / "preprocessing.json").read_text())
    assert PreprocessSpec.from_dict(spec) == model.info.preprocess
    parity = json.loads((folder / "parity.json").read_text())
    assert parity["passed"]
    assert parity["accuracy"]["pictures"] == 210
    assert parity["bytes"]["source"] == model.graph.stat().st_size
    assert parity["speed"].keys() == {"source", "export"}
    assert made.export.form is form

    readme = (folder / "README.md").read_text()
    program = readme.split("```python\n")[1].split("```")[0]
    label, probability = ran(program, folder)
    (expected,) = model.predict([model.references[0].data])
    assert label == expected.label
    assert float(probability) == pytest.approx(expected.probability, abs=0.1)


@pytest.mark.parametrize(
    "spec",
    [
        PreprocessSpec(16, 16),
        PreprocessSpec(16, 16, interpolation="bilinear", crop=1.0),
        PreprocessSpec(12, 20),
        PreprocessSpec(16, 16, resize="squash"),
        PreprocessSpec(16, 16, resize="longest", crop=1.0, fill=(120, 110, 100)),
    ],
    ids=lambda spec: f"{spec.resize}-{spec.height}x{spec.width}-{spec.interpolation}",
)
@pytest.mark.parametrize("size", [(40, 30), (23, 61)], ids=["wide", "tall"])
def test_the_code_in_the_readme_resizes_as_discern_does(
    spec: PreprocessSpec, size: tuple[int, int], model: Model, tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (*size[::-1], 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    info, form = replace(model.info, preprocess=spec), form_named("onnx")
    (tmp_path / "labels.json").write_text(json.dumps(info.labels))
    (tmp_path / "1").mkdir()
    (tmp_path / form.graph).write_bytes(model.graph.read_bytes())
    predictor = Predictor(
        create_engine(model.graph, "onnxruntime"), spec, model.interpreter, model._predictor.limits
    )
    (expected,) = predictor.predict([tmp_path / "a.png"])
    label, probability = ran(code(form, info, "a.png"), tmp_path)
    assert label == expected.label
    assert float(probability) == pytest.approx(expected.probability, abs=2e-3)


@pytest.mark.parametrize("name", list(FORMS))
def test_the_code_of_every_form_is_python(name: str, model: Model) -> None:
    compile(code(form_named(name), model.info, "a.png"), name, "exec")


def test_int8_is_refused_before_any_work_without_enough_pictures(
    model: Model, data: Dataset, tmp_path: Path
) -> None:
    few = data.where(np.arange(150))
    for given in (None, few):
        with pytest.raises(ConfigError, match=r"at least 200 labelled (.|\n)*--data DATA"):
            export_model(model, tmp_path / "export", "onnx-int8", data=given)
    assert not (tmp_path / "export").exists()


def test_int8_is_calibrated_on_what_the_model_was_trained_on(
    model: Model, data: Dataset, tmp_path: Path
) -> None:
    names = np.array([path.name.startswith("seen") for path in data.files()])
    with pytest.raises(ConfigError, match="no picture that the model was trained on"):
        export_model(model, tmp_path / "export", "onnx-int8", data=data.where(~names))


def test_pictures_that_cannot_be_read_are_named_and_left_out(
    model: Model, data: Dataset, tmp_path: Path
) -> None:
    (data.root / "cat" / "broken.png").write_bytes(b"no picture")
    parity = export_model(model, tmp_path / "export", "onnx", data=load_dataset(data.root)).parity
    (name,) = parity.left_out
    assert name.endswith("broken.png")
    assert parity.agreements["held-out pictures"].pictures == 210


def test_a_conversion_that_fails_leaves_nothing(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(conversion: Conversion) -> None:
        conversion.graph.write_bytes(b"half of it")
        raise ExportError("no such operator")

    monkeypatch.setitem(FORMS, "failing", replace(form_named("onnx"), convert=fails))
    before = set(tmp_path.iterdir())
    with pytest.raises(ExportError, match="no such operator"):
        export_model(model, tmp_path / "export", "failing")
    assert set(tmp_path.iterdir()) == before


def test_an_export_replaces_only_an_export_and_only_if_asked(model: Model, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    export_model(model, folder, "onnx")
    with pytest.raises(OutputError, match="--overwrite"):
        export_model(model, folder, "onnx")
    export_model(model, folder, "onnx", overwrite=True)
    with pytest.raises(OutputError, match="not an export"):
        export_model(model, model.path, "onnx", overwrite=True)
    assert (model.path / "model.json").is_file()


def test_a_changed_file_and_a_newer_format_are_told(model: Model, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    export_model(model, folder, "onnx")
    (folder / "labels.json").write_text('["dog", "cat", "fish"]')
    with pytest.raises(ModelDamagedError, match=r"labels\.json: has changed"):
        load_export(folder)
    (folder / "export.json").write_text('{"format": 99}')
    with pytest.raises(ModelFormatError, match="has format 99"):
        load_export(folder)
    with pytest.raises(ModelFormatError, match="is not an export"):
        load_export(tmp_path)
