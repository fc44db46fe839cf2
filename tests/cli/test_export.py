"""`discern export` and `discern verify` of what it wrote, as a shell would run them."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from discern.export.form import Conversion
from discern.export.forms import FORMS, form_named

Discern = Callable[..., Any]


@pytest.fixture(autouse=True)
def short_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("discern.export.timing.SECONDS", 0.001)


@pytest.fixture
def export(discern: Discern, model_folder: Path, tmp_path: Path) -> Path:
    ran = discern("export", model_folder, "--format", "onnx", "-o", tmp_path / "export", "-q")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    return tmp_path / "export"


def test_help_lists_every_form(discern: Discern) -> None:
    said = " ".join(discern("export", "--help").out.split())
    for form in FORMS.values():
        assert f"{form.name}: {form.about}" in said


def test_an_export_is_told_in_words_and_in_json(
    discern: Discern, model_folder: Path, tmp_path: Path
) -> None:
    ran = discern("export", model_folder, "--format", "onnx", "-o", tmp_path / "a")
    assert ran.code == 0
    assert "the same label for 8 of 8" in ran.out
    ran = discern("export", model_folder, "--format", "onnx", "-o", tmp_path / "b", "--json")
    document = json.loads(ran.out)
    assert document["passed"]
    assert document["export"] == str(tmp_path / "b")
    assert document["agreements"]["reference pictures"]["same_label"] == 8


def test_wrong_input_is_told_in_lines(discern: Discern, model_folder: Path, tmp_path: Path) -> None:
    for words, said in (
        (("--format", "onx"), "Did you mean onnx"),
        (("--format", "onnx-int8"), "--data DATA"),
        (("--format", "onnx", "--accuracy-loss", "2"), "expected a share"),
    ):
        ran = discern("export", model_folder, *words, "-o", tmp_path / "no")
        assert ran.code == 2
        assert said in ran.err
        assert "Traceback" not in ran.err
    assert not (tmp_path / "no").exists()


def test_a_refused_export_ends_with_1(
    discern: Discern, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = form_named("onnx")

    def other_weights(conversion: Conversion) -> None:
        graph = conversion.model.graph.read_bytes()
        weight = next(a for a in _initializers(graph) if a.name == "kernel").raw_data
        conversion.graph.write_bytes(graph.replace(weight, bytes(len(weight))))

    monkeypatch.setitem(FORMS, "wrong", replace(form, name="wrong", convert=other_weights))
    ran = discern("export", model_folder, "--format", "wrong", "-o", tmp_path / "no")
    assert ran.code == 1
    assert "ParityError: wrong: " in ran.err
    assert "Nothing was written" in ran.err
    assert not (tmp_path / "no").exists()


def _initializers(graph: bytes) -> Any:
    onnx = pytest.importorskip("onnx")
    return onnx.load_from_string(graph).graph.initializer


def test_verify_knows_an_export(discern: Discern, export: Path) -> None:
    ran = discern("verify", export)
    assert ran.code == 0
    assert "Verified: every hash, and the answers of onnx" in ran.out
    document = json.loads(discern("verify", export, "--json").out)
    assert document["passed"]
    assert document["form"] == "onnx"


def test_verify_ends_with_1_where_answers_are_others(discern: Discern, export: Path) -> None:
    from discern.model.folder import sha256_of

    expected = export / "reference" / "expected.json"
    rows = json.loads(expected.read_text())
    first, *others = rows[0]["probabilities"]
    swapped = rows[0]["probabilities"]
    swapped[first], swapped[others[-1]] = swapped[others[-1]], swapped[first]
    expected.write_text(json.dumps(rows))
    record = json.loads((export / "export.json").read_text())
    record["files"]["reference/expected.json"] = sha256_of(expected)
    (export / "export.json").write_text(json.dumps(record))
    ran = discern("verify", export)
    assert ran.code == 1
    assert rows[0]["picture"] in ran.out


def test_verify_says_which_options_are_for_which(
    discern: Discern, export: Path, model_folder: Path
) -> None:
    ran = discern("verify", export, "--engine", "openvino")
    assert (ran.code, "its own runtime" in ran.err) == (2, True)
    ran = discern("verify", model_folder, "--data", model_folder)
    assert (ran.code, "discern evaluate" in ran.err) == (2, True)
    ran = discern("verify", model_folder)
    assert ran.code == 0


def test_verify_of_nothing_says_that_it_is_nothing(discern: Discern, tmp_path: Path) -> None:
    ran = discern("verify", tmp_path / "nowhere", "--data", tmp_path)
    assert ran.code == 2
    assert "is not a model folder" in ran.err


def test_data_may_be_an_archive_for_exports_too(
    discern: Discern, model_folder: Path, pictures: list[Path], tmp_path: Path
) -> None:
    for at, picture in enumerate(pictures):
        into = tmp_path / "data" / "zoo" / ("cat", "dog", "fish")[at % 3]
        into.mkdir(parents=True, exist_ok=True)
        picture.rename(into / picture.name)
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "data")
    more = ("--data", packed, "--level", "2", "--json")
    ran = discern("export", model_folder, "--format", "onnx", "-o", tmp_path / "out", *more)
    found = json.loads(ran.out)["agreements"]["held-out pictures"]
    assert found["pictures"] == len(pictures) - 5, "five took part in training"
    assert discern("verify", tmp_path / "out", *more).code == 0
