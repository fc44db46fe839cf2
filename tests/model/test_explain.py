"""Heat maps of a model's answers, from a folder or before there is one, and the command."""

import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from discern.cli import main
from discern.errors import ConfigError, PictureReadError
from discern.images import PreprocessSpec
from discern.model import load, save_folder
from discern.model.explain import Explainer
from discern.model.info import ModelInfo
from discern.runtime.heat import Parts

LABELS = ("cat", "dog", "fish")
SPEC = PreprocessSpec(16, 16)


@pytest.fixture
def parts(graph: Path) -> Parts:
    pytest.importorskip("onnx")
    from discern.training.explainable import explanation_parts

    found = explanation_parts(graph.read_bytes())
    assert found is not None
    return found


@pytest.fixture
def explained(
    tmp_path: Path, info: ModelInfo, files: dict[str, bytes | Path], parts: Parts
) -> Path:
    """A model folder with what heat maps need."""
    folder = tmp_path / "explained"
    save_folder(folder, replace(info, features=parts.features), files | {"tail.onnx": parts.tail})
    return folder


@pytest.mark.parametrize("method", ["auto", "cam", "occlusion"])
def test_a_folder_and_its_parts_give_the_same_map(
    explained: Path, graph: Path, parts: Parts, pictures: list[Path], method: str
) -> None:
    model = load(explained)
    before = Explainer(graph.read_bytes(), LABELS, SPEC, parts)
    for path in pictures[:3]:
        found = Explainer.of(model).explain(path, method=method)
        (answer,) = model.predict(path)
        assert (found.label, found.probability) == (answer.label, answer.probability)
        assert found.method == ("cam" if method == "auto" else method)
        assert found.heat.shape == (24, 20)
        np.testing.assert_array_equal(found.heat, before.explain(path, method=method).heat)


def test_each_label_has_a_map_of_its_own(explained: Path, pictures: list[Path]) -> None:
    explainer = Explainer.of(load(explained))
    maps = [explainer.explain(pictures[0], label) for label in LABELS]
    assert [found.label for found in maps] == list(LABELS)
    assert sum(found.probability for found in maps) == pytest.approx(1)
    assert not np.array_equal(maps[0].heat, maps[1].heat)
    assert all(found.heat.min() >= 0 and found.heat.max() <= 1 for found in maps)


def test_without_parts_there_is_occlusion(model_folder: Path, pictures: list[Path]) -> None:
    explainer = Explainer.of(load(model_folder))
    found = explainer.explain(pictures[0])
    assert found.method == "occlusion" and found.heat.max() > 0.5
    with pytest.raises(ConfigError, match="Use occlusion"):
        explainer.explain(pictures[0], method="cam")


def test_what_the_model_does_not_have_is_refused(explained: Path, pictures: list[Path]) -> None:
    explainer = Explainer.of(load(explained))
    with pytest.raises(ConfigError, match="Did you mean 'fish'"):
        explainer.explain(pictures[0], "fisch")
    with pytest.raises(ConfigError, match="auto, cam, occlusion"):
        explainer.explain(pictures[0], method="lime")
    with pytest.raises(PictureReadError):
        explainer.explain("missing.png")


def test_a_picture_is_the_same_in_any_form(explained: Path, pictures: list[Path]) -> None:
    explainer = Explainer.of(load(explained))
    maps = [
        explainer.explain(form).heat
        for form in (pictures[0], pictures[0].read_bytes(), Image.open(pictures[0]))
    ]
    np.testing.assert_array_equal(maps[0], maps[1])
    np.testing.assert_array_equal(maps[0], maps[2])


def test_threads_share_an_explainer(explained: Path, pictures: list[Path]) -> None:
    alone = [Explainer.of(load(explained)).explain(path).heat for path in pictures]
    shared = Explainer.of(load(explained))
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda path: shared.explain(path).heat, pictures))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_jpeg_on_its_side_is_explained_upright(explained: Path) -> None:
    buffer = BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 30), "red").save(buffer, "JPEG", exif=exif)
    assert Explainer.of(load(explained)).explain(buffer.getvalue()).heat.shape == (60, 30)


Explain = Callable[..., int]


@pytest.fixture
def explain(monkeypatch: pytest.MonkeyPatch, explained: Path) -> Explain:
    """`explain("a.png", "-o", "heat.png")` as a shell would run it; its exit code."""

    def run(*words: object) -> int:
        monkeypatch.setattr(sys, "argv", ["discern", "explain", str(explained), *map(str, words)])
        try:
            main()
        except SystemExit as exc:
            return int(exc.code or 0)
        return 0

    return run


def test_the_command_writes_the_picture_with_its_heat(
    explain: Explain, pictures: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, plain = tmp_path / "heat.png", Image.open(pictures[0]).convert("RGB")
    warm = set()
    for label in LABELS:
        assert explain(pictures[0], "-o", output, "--label", label, "--json", "--overwrite") == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["label"], told["method"], told["output"]) == (label, "cam", str(output))
        drawn = Image.open(output)
        assert (drawn.format, drawn.mode, drawn.size) == ("PNG", "RGB", plain.size)
        assert told["heat"] == (drawn.tobytes() != plain.tobytes())
        warm.add(told["heat"])
        assert explain(pictures[0], "-o", output, "--label", label, "--overwrite") == 0
        assert ("nothing" in capsys.readouterr().out) == (not told["heat"])
    assert True in warm


def test_the_command_replaces_no_file_unasked(
    explain: Explain, pictures: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "heat.png"
    output.write_bytes(b"kept")
    assert explain(pictures[0], "-o", output) == 2
    assert "--overwrite" in capsys.readouterr().err and output.read_bytes() == b"kept"
    assert explain(pictures[0], "-o", output, "--overwrite", "--method", "occlusion") == 0
    assert "occlusion" in capsys.readouterr().out and output.read_bytes() != b"kept"


@pytest.mark.parametrize(
    ("picture", "output", "said"),
    [
        ("missing.png", "heat.png", "missing.png: cannot be read"),
        ("pictures/00.png", "heat.jpg", "PNG"),
        ("pictures/00.png", "nowhere/heat.png", "nowhere"),
    ],
)
@pytest.mark.usefixtures("pictures")
def test_the_command_says_what_is_wrong_and_leaves_nothing(
    explain: Explain,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    picture: str,
    output: str,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())
    assert explain(picture, "-o", output) == 2
    assert said in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == before
