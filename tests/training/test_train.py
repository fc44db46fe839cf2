"""`train` as a whole, frozen: the model folder, its numbers, and what it refuses."""

import errno
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discern.alone import only_writer
from discern.config import SplitConfig, TrainConfig
from discern.data import Dataset, load_dataset
from discern.errors import ConfigError, DatasetError, DiscernError, OutputError, TrainingError
from discern.images.digest import file_digests
from discern.model import Model, load, verify
from discern.training import train

Photos = Callable[..., Path]
FILES = {
    "model.json",
    "model.onnx",
    "weights.safetensors",
    "report.html",
    "LICENSES",
    "seen.npy",
} | {"README.md", "unknown.npz"}


def facts(model: Model) -> Mapping[str, Any]:
    """What must be the same whenever the same training is run."""
    return {"metrics": model.info.metrics, "temperature": model.info.temperature}


def test_the_model_folder(dataset: Dataset, config: TrainConfig, tmp_path: Path) -> None:
    model = train(dataset, tmp_path / "model", config)
    there = {p.name for p in model.path.iterdir()}
    assert there == FILES | {"reference"}
    assert 8 <= len(model.references) <= 16
    assert verify(model).passed
    info = model.info
    assert info.labels == ("blue", "green", "red")
    assert info.training["mode"] == "frozen"
    assert set(info.metrics) == {"validation", "test"}
    for metrics in info.metrics.values():
        accuracy = metrics["accuracy"]
        assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]
        assert accuracy["value"] > 0.6
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_the_same_seed_gives_the_same_model(
    dataset: Dataset, config: TrainConfig, tmp_path: Path, cache: Path
) -> None:
    one = train(dataset, tmp_path / "one", config)
    shutil.rmtree(cache / "embeddings")
    two = train(dataset, tmp_path / "two", config)
    other = train(dataset, tmp_path / "other", replace(config, split=SplitConfig(seed=5)))
    assert facts(one) == facts(two) != facts(other)
    assert (one.path / "weights.safetensors").read_bytes() == (
        two.path / "weights.safetensors"
    ).read_bytes()


def test_given_splits_are_kept(photos: Photos, config: TrainConfig, tmp_path: Path) -> None:
    photos(8, prefix="train")
    photos(2, first=20, prefix="val")
    data = load_dataset(photos(3, first=30, prefix="test"))
    model = train(data, tmp_path / "model", config)
    assert {split: m["n"] for split, m in model.info.metrics.items()} == {
        "validation": 6,
        "test": 9,
    }
    assert model.was_trained_on(file_digests(data.select("train").files(), tmp_path)).all()
    assert not model.was_trained_on(file_digests(data.select("test").files(), tmp_path)).any()


def test_a_class_that_is_not_in_validation(
    photos: Photos, config: TrainConfig, tmp_path: Path
) -> None:
    photos(8, prefix="train")
    photos({"blue": 3, "green": 3}, first=20, prefix="val")
    data = load_dataset(photos({"green": 3, "red": 3}, first=30, prefix="test"))
    model = train(data, tmp_path / "model", config)
    assert model.info.labels == ("blue", "green", "red")
    assert model.info.metrics["test"]["accuracy"]["value"] > 0.6


def test_without_anything_to_score(dataset: Dataset, config: TrainConfig, tmp_path: Path) -> None:
    model = train(dataset, tmp_path / "model", replace(config, split=SplitConfig(0.0, 0.0)))
    assert model.info.metrics == {}
    assert verify(model).passed


def test_leaks_are_counted_in_the_report(
    photos: Photos, config: TrainConfig, tmp_path: Path
) -> None:
    photos(8, prefix="train")
    photos(3, first=6, prefix="test")  # 6 and 7 are in train too
    model = train(load_dataset(photos(2, first=20, prefix="val")), tmp_path / "model", config)
    report = (model.path / "report.html").read_text()
    assert (
        "6 of the 9 pictures scored are also among the training pictures, byte for byte" in report
    )
    assert model.info.dataset["leaks"]["test"]["exact"] == 6


def test_bad_pictures_are_named_and_left_out(
    photos: Photos, config: TrainConfig, tmp_path: Path, told: Any
) -> None:
    root = photos()
    for n in range(7):
        (root / "red" / f"bad{n}.png").write_bytes(b"no picture %d" % n)
    heard = told()
    model = train(load_dataset(root), tmp_path / "model", config, progress=heard)
    assert len(model.info.training["left_out"]) == 7
    assert sum(line.startswith("Left out: ") for line in heard.lines) == 5
    assert any("2 more" in line for line in heard.lines)


def test_a_class_of_bad_pictures(photos: Photos, config: TrainConfig, tmp_path: Path) -> None:
    root = photos(4)
    for path in (root / "red").iterdir():
        path.write_bytes(b"no picture")
    for mode in ("frozen", "scratch"):
        with pytest.raises(TrainingError, match=r"'red' has no training picture.*--exclude red"):
            train(load_dataset(root), tmp_path / "model", replace(config, mode=mode))
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("mode", ["frozen", "scratch"])
def test_no_picture_at_all(photos: Photos, config: TrainConfig, tmp_path: Path, mode: Any) -> None:
    root = photos(4)
    for path in root.glob("*/*"):
        path.write_bytes(b"no picture")
    with pytest.raises(DatasetError, match=r"None of the .*pictures can be decoded"):
        train(load_dataset(root), tmp_path / "model", replace(config, mode=mode))


def test_a_budget_that_ends_while_embedding(
    dataset: Dataset, config: TrainConfig, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match=r"budget ran out.*larger --budget"):
        train(dataset, tmp_path / "model", replace(config, budget=0.001))
    assert train(dataset, tmp_path / "model", config).info.labels


def test_a_small_budget_keeps_the_frozen_head(
    dataset: Dataset, config: TrainConfig, tmp_path: Path, told: Any
) -> None:
    frozen = train(dataset, tmp_path / "frozen", config)
    heard = told()
    model = train(dataset, tmp_path / "model", replace(config, budget=8.0), progress=heard)
    assert any("the frozen head is kept" in line for line in heard.lines)
    assert facts(model) == facts(frozen)
    assert model.info.training["mode"] == "frozen"


def test_an_output_that_exists(dataset: Dataset, config: TrainConfig, tmp_path: Path) -> None:
    first = train(dataset, tmp_path / "model", config)
    with pytest.raises(OutputError, match="--overwrite"):
        train(dataset, tmp_path / "model", config)
    second = train(dataset, tmp_path / "model", replace(config, seed=3), overwrite=True)
    assert first.info.seed != second.info.seed == load(tmp_path / "model").info.seed
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "diary.txt").touch()
    with pytest.raises(OutputError, match="not a model folder"):
        train(dataset, tmp_path / "notes", config, overwrite=True)


def test_two_at_once_do_not_share_an_output(
    dataset: Dataset, config: TrainConfig, tmp_path: Path
) -> None:
    with only_writer(tmp_path / "model"):
        with pytest.raises(OutputError, match="another process is making it"):
            train(dataset, tmp_path / "model", config)
        assert train(dataset, tmp_path / "other", config).info.labels
    assert train(dataset, tmp_path / "model", config).info.labels


def test_a_full_disk_leaves_nothing_behind(
    dataset: Dataset, config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if path.name == "weights.safetensors":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, data)

    before = set(tmp_path.iterdir())
    with monkeypatch.context() as patch, pytest.raises(OutputError, match="the disk is full"):
        patch.setattr(Path, "write_bytes", full)
        train(dataset, tmp_path / "model", config)
    assert set(tmp_path.iterdir()) == before
    assert train(dataset, tmp_path / "model", config).info.labels


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"seed": -1}, "seed is -1"),
        ({"device": "gpu"}, "device is 'gpu'"),
        ({"budget": 0.0}, "budget is 0.0"),
        ({"image_size": 0}, "image_size is 0"),
        ({"engine": "tensorrt"}, "tensorrt"),
        ({"split": SplitConfig(validation=0.6, test=0.6)}, "leave nothing to train on"),
    ],
)
def test_settings_that_make_no_sense(
    dataset: Dataset, config: TrainConfig, tmp_path: Path, changed: dict[str, Any], name: str
) -> None:
    with pytest.raises(DiscernError, match=name):
        train(dataset, tmp_path / "model", replace(config, **changed))
    assert not (tmp_path / "model").exists()


def test_settings_of_the_loop_that_make_no_sense(dataset: Dataset, config: TrainConfig) -> None:
    for name, value in (("epochs", 0), ("batch_size", 1), ("crop_scale", 0.0), ("ema_decay", 1.0)):
        loop = replace(config.finetune, **{name: value})
        with pytest.raises(ConfigError, match=rf"finetune\.{name} is {value}"):
            train(dataset, "never-written", replace(config, finetune=loop))


def test_pictures_linked_ten_times_over(
    photos: Photos, config: TrainConfig, tmp_path: Path, cache: Path
) -> None:
    root = photos(6)
    for path in list(root.glob("*/*.png")):
        for n in range(9):
            path.with_name(f"{path.stem}-{n}.png").hardlink_to(path)
    model = train(load_dataset(root), tmp_path / "model", config)
    keys = [np.load(path) for path in (cache / "embeddings").rglob("*.keys.npy")]
    assert sum(map(len, keys)) == 18
    assert model.info.metrics["test"]["n"] == 30  # one picture of each class, with all its links
    assert model.info.dataset["leaks"]["test"]["exact"] == 0
