"""train, evaluate and verify from a shell's side: forms of output, exit codes."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from discern.cli.options import duration
from discern.errors import ConfigError

Discern = Callable[..., Any]
TRAIN = ("--backbone", "test_resnet", "--weights", "none", "--image-size", "32")


@pytest.mark.usefixtures("model", "photos")
def test_the_path(discern: Discern) -> None:
    ran = discern("train", "photos", "-o", "new", *TRAIN)
    assert ran.code == 0
    assert "accuracy" in ran.out
    assert "discern predict new" in ran.out
    assert "photos: a folder per class. 3 classes" in ran.err
    ran = discern("evaluate", "new", "photos", "-o", "report.html")
    assert ran.code == 0
    assert "Accuracy" in ran.out
    assert "Report: report.html" in ran.out
    assert "<html" in Path("report.html").read_text()
    assert discern("verify", "new").out.startswith("Verified: every hash")


@pytest.mark.usefixtures("model", "photos")
def test_json_is_one_document_and_all_there_is_on_stdout(discern: Discern) -> None:
    made = json.loads(discern("train", "photos", "-o", "new", *TRAIN, "--json").out)
    assert (made["model"], made["labels"]) == ("new", ["blue", "green", "red"])
    scored = json.loads(discern("evaluate", "new", "photos", "--json").out)
    assert scored["split"] == "test"
    expected = made["metrics"]["test"]  # the split is that of the training
    assert scored["metrics"]["confusion"] == expected["confusion"]
    assert scored["metrics"]["log_loss"] == pytest.approx(expected["log_loss"], abs=1e-5)
    assert json.loads(discern("verify", "new", "--json").out)["passed"] is True


@pytest.mark.usefixtures("model", "photos")
def test_quiet(discern: Discern) -> None:
    for words in (
        ("train", "photos", "-o", "new", *TRAIN),
        ("evaluate", "new", "photos"),
        ("verify", "new"),
        ("predict", "new", "photos/red"),
    ):
        ran = discern(*words, "--quiet")
        assert (ran.code, ran.out, ran.err) == (0, "", ""), words


def test_other_pictures_are_scored_whole_but_for_those_trained_on(
    discern: Discern, model: Path, make_photos: Callable[..., Path]
) -> None:
    make_photos("fresh", 4, first=50)
    scored = json.loads(discern("evaluate", model, "fresh", "--json").out)
    assert (scored["split"], scored["metrics"]["n"]) == ("all", 12)
    (note,) = scored["notes"]
    assert "none is here: copies that are not byte for byte could not be looked for" in note
    make_photos("fresh", 10)  # the model's own, of which it has learnt most
    scored = json.loads(discern("evaluate", model, "fresh", "--json").out)
    assert 12 < scored["metrics"]["n"] < 42
    assert "took part in training and are left out" in scored["notes"][0]


def test_a_label_that_the_model_does_not_know(
    discern: Discern, model: Path, make_photos: Callable[..., Path]
) -> None:
    (make_photos("fresh", 4, first=50) / "red").rename("fresh/crimson")
    metrics = json.loads(discern("evaluate", model, "fresh", "--json").out)["metrics"]
    assert metrics["unknown_classes"] == ["crimson"]
    assert metrics["accuracy"]["value"] <= 8 / 12


@pytest.mark.usefixtures("model", "photos")
def test_compare(discern: Discern) -> None:
    words = ("compare", "photos", "--backbones", "test_resnet, no_such_net", "-o", "cmp")
    words += TRAIN[2:]
    ran = discern(*words)
    assert ran.code == 0
    assert "Take test_resnet." in ran.out
    assert "no_such_net  not compared: " in ran.out
    found = json.loads(discern(*words, "--json").out)
    assert (found["taken"], found["model"], found["split"]) == ("test_resnet", "cmp/model", "test")
    assert found["failures"].keys() == {"no_such_net"}
    assert discern("verify", "cmp/model").code == 0
    assert discern(*words, "--seed", "5").code == 2
    assert discern("compare", "photos", "--backbones", "no_such_net", "-o", "none").code == 1


@pytest.mark.usefixtures("model", "photos")
def test_tune(discern: Discern) -> None:
    Path("space.toml").write_text('"head.c" = [0.003, 0.03]\n')
    words = ("tune", "photos", "-o", "tuned", "--trials", "3", "--space", "space.toml", *TRAIN)
    ran = discern(*words)
    assert ran.code == 0
    assert "the defaults" in ran.out
    assert "3 tried" in ran.out
    assert "log loss " in ran.out
    found = json.loads(discern(*words, "--json", "--overwrite").out)
    assert found["tried"] == 3
    assert found["gains"][0]["pictures"] > 0
    assert discern("verify", "tuned").code == 0
    Path("space.toml").write_text('"head.cc" = [0.003]\n')
    ran = discern("tune", "photos", "-o", "other", "--space", "space.toml", *TRAIN)
    assert ran.code == 2
    assert "Did you mean 'c'" in ran.err


@pytest.mark.usefixtures("photos")
def test_explain(discern: Discern, model: Path) -> None:
    ran = discern("explain", model, "photos/red/00.png", "-o", "heat.png", "--label", "red")
    assert ran.code == 0
    with Image.open("heat.png") as heat:
        assert heat.size == (32, 36)
    assert discern("explain", model, "photos/red/00.png", "-o", "heat.png").code == 2
    ran = discern("explain", model, "photos/red/00.png", "-o", "b.png", "--label", "rde")
    assert ran.code == 2
    assert "Did you mean 'red'" in ran.err


@pytest.mark.usefixtures("model", "photos")
def test_settings_from_a_file(discern: Discern) -> None:
    Path("mine.toml").write_text("[split]\nvalidation = 0.0\ntest = 0.25\n[head]\nc = [0.1]\n")
    made = discern("train", "photos", "-o", "new", *TRAIN, "--config", "mine.toml", "--json")
    assert set(json.loads(made.out)["metrics"]) == {"test"}
    assert json.loads(made.out)["metrics"]["test"]["n"] == 6
    Path("typo.toml").write_text("[finetune]\nepoch = 3\n")
    ran = discern("train", "photos", "-o", "other", "--config", "typo.toml")
    assert ran.code == 2
    assert "'epoch'" in ran.err
    assert "'epochs'" in ran.err


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("10m", 600), ("1h30m", 5400), ("1.5h", 5400), ("0.5", 0.5)],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "10 m", "-5m", "m", "10d", "1h30"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ConfigError, match="Write it as"):
        duration(text)


def test_help_and_version(discern: Discern) -> None:
    assert discern("--version").out.startswith("discern ")
    help_text = discern("--help").out
    assert all(name in help_text for name in ("train", "evaluate", "predict", "verify", "demo"))


@pytest.mark.usefixtures("photos")
def test_a_package_that_is_not_installed(discern: Discern, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("discern.training")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnx", None)
    ran = discern("train", "photos", "-o", "new")
    assert ran.code == 2
    assert "pip install 'discern[train]'" in ran.err
    assert "Traceback" not in ran.err
