"""Commands run in this process, on a tiny model trained once."""

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from discern.cli import main

TINTS = {"blue": (60, 90, 190), "green": (60, 190, 90), "red": (190, 90, 60)}
TRAIN = ("--backbone", "test_resnet", "--weights", "none", "--image-size", "32")


@dataclass(frozen=True)
class Ran:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


Discern = Callable[..., Ran]


@pytest.fixture
def discern(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Discern:
    """`discern("predict", model, "a.jpg")` as a shell would run it."""

    def run(*words: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["discern", *map(str, words)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as exc:
            code = int(exc.code or 0)
        return Ran(code, *capsys.readouterr())

    return run


def write_photos(
    root: Path, each: int, first: int = 0, labels: tuple[str, ...] = tuple(TINTS)
) -> Path:
    """A folder per class with pictures of its colour."""
    for label in labels:
        folder = root / label
        folder.mkdir(parents=True, exist_ok=True)
        for i in range(first, first + each):
            rng = np.random.default_rng([i, *TINTS[label]])
            pixels = rng.normal(TINTS[label], 40, (36, 32, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{i:02d}.png")
    return root


@dataclass(frozen=True)
class Trained:
    """What the first, slow training left: its pictures, its model, its cache."""

    photos: Path
    model: Path
    cache: Path


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    base = tmp_path_factory.mktemp("trained")
    found = Trained(write_photos(base / "photos", 10), base / "model", base / "cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISCERN_CACHE", str(found.cache))
        patch.setattr(
            sys,
            "argv",
            ["discern", "train", str(found.photos), "-o", str(found.model), "-q", *TRAIN],
        )
        with pytest.raises(SystemExit, match=r"^0$"):
            main()
    return found


@pytest.fixture
def model(trained: Trained, cache: Path, tmp_path: Path) -> Path:
    """A copy of the model; the backbone is in the cache."""
    shutil.copytree(trained.cache / "backbones", cache / "backbones")
    return shutil.copytree(trained.model, tmp_path / "model")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """24 pictures that the model has partly seen, in the working folder's `photos`."""
    return write_photos(tmp_path / "photos", 8)


@pytest.fixture
def make_photos(tmp_path: Path) -> Callable[..., Path]:
    def make(name: str, *arguments: object, **named: object) -> Path:
        return write_photos(tmp_path / name, *arguments, **named)  # type: ignore[arg-type]

    return make


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative names lead into the test's own folder."""
    monkeypatch.chdir(tmp_path)
    assert os.environ["DISCERN_CACHE"]
