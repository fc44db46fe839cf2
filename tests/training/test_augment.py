"""Augmentation: presets and what is given beside them; what is seen is what they say."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from discern.config import FinetuneConfig, TrainConfig
from discern.errors import ConfigError
from discern.images import PreprocessSpec
from discern.training.augment import (
    GREY,
    Augmentation,
    EvaluatedPictures,
    TrainingPictures,
    augmentation,
    training_size,
)
from discern.training.sensible import require_sensible

Photos = Callable[..., Path]
SPEC = PreprocessSpec(32, 48, crop=0.9)


def seen(paths: list[Path], config: FinetuneConfig) -> TrainingPictures:
    return TrainingPictures(paths, np.zeros(len(paths), np.intp), SPEC, config, seed=3)


def test_the_default_is_light() -> None:
    assert augmentation(FinetuneConfig()) == Augmentation(0.35, True, 5, 0.0, 0.8)


def test_what_is_given_wins_over_the_preset() -> None:
    strong = augmentation(FinetuneConfig(augment="strong"))
    given = FinetuneConfig(augment="strong", flip=False, randaugment=0, train_size=1.0)
    assert augmentation(given) == replace(strong, flip=False, randaugment=0, train_size=1.0)


def test_none_is_what_is_evaluated(photos: Photos) -> None:
    paths = sorted(photos(2).glob("*/*.png"))
    for showing in range(3):
        for i in range(len(paths)):
            trained = seen(paths, FinetuneConfig(augment="none"))[showing, i]
            evaluated = EvaluatedPictures(paths, np.zeros(len(paths), np.intp), SPEC)[i]
            assert torch.equal(trained[0], evaluated[0])


@pytest.mark.parametrize("height", [224, 100, 8])
def test_none_keeps_the_size(height: int) -> None:
    spec = PreprocessSpec(height, 90)
    assert training_size(spec, FinetuneConfig(augment="none")) == (height, 90)


def test_strong_paints_a_part_grey(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), (255, 255, 255)).save(tmp_path / "white.png")

    def painted(config: FinetuneConfig) -> int:
        pictures = seen([tmp_path / "white.png"], replace(config, randaugment=0))
        grey = torch.tensor(GREY).view(3, 1, 1)
        return sum(bool((pictures[k, 0][0] == grey).all(0).any()) for k in range(200))

    assert 25 <= painted(FinetuneConfig(augment="strong")) <= 80, "a quarter, give or take"
    assert painted(FinetuneConfig(augment="light")) == 0
    assert painted(FinetuneConfig(augment="light", erasing=1.0)) == 200


def test_a_strong_crop_is_smaller(tmp_path: Path) -> None:
    """On a picture whose red rises from left to right, how much of the rise is seen."""
    ramp = np.zeros((128, 192, 3), np.uint8)
    ramp[:, :, 0] = np.linspace(0, 255, 192, dtype=np.uint8)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")

    def widths(augment: str) -> list[float]:
        config = replace(FinetuneConfig(augment=augment), randaugment=0, erasing=0.0)  # type: ignore[arg-type]
        pictures = seen([tmp_path / "ramp.png"], config)
        reds = [pictures[k, 0][0][0].float() for k in range(60)]
        return [float(red.max() - red.min()) for red in reds]

    assert min(widths("strong")) < 0.4 * 255 < min(widths("light"))


@pytest.mark.parametrize(
    "setting",
    [
        {"crop_scale": 0.0},
        {"crop_scale": 1.1},
        {"erasing": 1.5},
        {"erasing": -0.1},
        {"randaugment": 31},
        {"train_size": 0.0},
    ],
)
def test_what_makes_no_sense_is_refused(setting: dict) -> None:
    with pytest.raises(ConfigError, match=rf"finetune\.{next(iter(setting))} is .*; expected"):
        require_sensible(TrainConfig(finetune=FinetuneConfig(**setting)))
