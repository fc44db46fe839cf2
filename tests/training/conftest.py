"""Tiny random networks, exported once for all tests, and pictures that can be told apart."""

import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from discern.config import FinetuneConfig, TrainConfig
from discern.data import Dataset, load_dataset
from discern.training.backbones import Backbone, load_backbone

NETWORK, SIDE = "test_resnet", 32
TINTS = {"blue": (60, 90, 190), "green": (60, 190, 90), "red": (190, 90, 60)}

Photos = Callable[..., Path]


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache in which the tiny network has been exported."""
    folder = tmp_path_factory.mktemp("exported")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISCERN_CACHE", str(folder))
        load_backbone(NETWORK, weights="none", image_size=SIDE)
    return folder


@pytest.fixture
def backbone(cache: Path, exported: Path) -> Backbone:
    """The tiny network, in this test's own cache."""
    shutil.copytree(exported / "backbones", cache / "backbones")
    return load_backbone(NETWORK, weights="none", image_size=SIDE)


@pytest.fixture
def config(backbone: Backbone) -> TrainConfig:  # noqa: ARG001
    """Settings with which everything takes a second."""
    loop = FinetuneConfig(
        epochs=2, batch_size=8, layer_decay=1.0, randaugment=0, crop_scale=0.8, ema_decay=0.5
    )
    return TrainConfig(backbone=NETWORK, weights="none", image_size=SIDE, finetune=loop)


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    """`photos(12)` makes a folder of three classes with 12 pictures each."""

    def make(
        each: int | Mapping[str, int] = 12, name: str = "photos", first: int = 0, prefix: str = ""
    ) -> Path:
        counts = dict.fromkeys(TINTS, each) if isinstance(each, int) else each
        for label, n in counts.items():
            folder = tmp_path / name / prefix / label
            folder.mkdir(parents=True, exist_ok=True)
            for i in range(first, first + n):
                path = folder / f"{i:02d}.png"
                draw(label, i).save(path)
                os.utime(path, (1_700_000_000, 1_700_000_000))
        return tmp_path / name

    return make


def draw(label: str, seed: int) -> Image.Image:
    """Noise around the colour of a class."""
    rng = np.random.default_rng([seed, *TINTS[label]])
    pixels = rng.normal(TINTS[label], 40, (SIDE + 8, SIDE, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


@pytest.fixture
def dataset(photos: Photos) -> Dataset:
    """36 pictures of three classes, without splits."""
    return load_dataset(photos())


class Told:
    """Keeps what is said, and can interrupt the work: after a line, or some steps of a stage."""

    def __init__(self, line: str = "", stage: str = "", steps: int = 1) -> None:
        self.lines: list[str] = []
        self._line, self._stage, self._steps = line, stage, steps

    @contextmanager
    def _open(self, name: str):  # type: ignore[no-untyped-def]
        done = 0

        def advance(steps: int) -> None:
            nonlocal done
            done += steps
            if self._stage and name.startswith(self._stage) and done >= self._steps:
                raise KeyboardInterrupt

        yield advance

    def stage(self, name: str, total: int | None) -> AbstractContextManager[Callable[[int], None]]:  # noqa: ARG002
        return self._open(name)

    def say(self, message: str) -> None:
        self.lines.append(message)
        if self._line and self._line in message:
            raise KeyboardInterrupt


@pytest.fixture
def told() -> type[Told]:
    return Told
