"""The training loop: it learns, it is repeatable, and a kill costs nothing but time."""

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch

from discern.config import FinetuneConfig, TrainConfig
from discern.data import Dataset, load_dataset
from discern.errors import OutputError, TrainingError
from discern.images import PreprocessSpec
from discern.model import Model, verify
from discern.training import checkpoint, train
from discern.training.augment import TrainingPictures, training_batches, training_size
from discern.training.backbones import Backbone
from discern.training.checkpoint import Checkpoints, Position
from discern.training.finetune import freeze_stages
from discern.training.network import train_network
from discern.training.outcome import network_roles, training_folder

Photos = Callable[..., Path]
NETWORK = "test_resnet"


@pytest.fixture
def finetune(config: TrainConfig) -> TrainConfig:
    return replace(config, mode="finetune")


def weights(model: Model) -> bytes:
    return (model.path / "weights.safetensors").read_bytes()


def test_it_learns_and_a_kill_changes_nothing(
    dataset: Dataset, finetune: TrainConfig, tmp_path: Path, told: Any
) -> None:
    whole = train(dataset, tmp_path / "whole", finetune)
    assert whole.info.training["mode"] == "finetune"
    assert whole.info.metrics["test"]["accuracy"]["value"] > 0.6
    assert "validation" not in whole.info.metrics, "it chose the epoch"
    assert verify(whole).passed
    output = tmp_path / "killed"
    kills = [
        told(stage="Epoch 1", steps=16),
        told(line="epoch 1 of 2"),
        told(stage="Epoch 2", steps=16),
        told(stage="Scoring", steps=2),
    ]
    for kill in kills:
        with pytest.raises(KeyboardInterrupt):
            train(dataset, output, finetune, progress=kill)
        assert not output.exists()
        assert training_folder(output).is_dir()
    heard = told()
    killed = train(dataset, output, finetune, progress=heard)
    assert any("Going on with the 2 epochs" in line for line in heard.lines)
    assert not any("epoch 1 of 2" in line for line in heard.lines)
    assert weights(killed) == weights(whole)
    assert killed.info.metrics == whole.info.metrics
    assert killed.info.temperature == whole.info.temperature
    assert not training_folder(output).exists()


def test_scratch_learns_and_leaves_bad_pictures_out(
    photos: Photos, config: TrainConfig, tmp_path: Path
) -> None:
    root = photos(16)
    (root / "red" / "bad.png").write_bytes(b"no picture")
    loop = replace(config.finetune, epochs=4, learning_rate=5e-3, flip=False)
    scratch = replace(config, mode="scratch", finetune=loop)
    model = train(load_dataset(root), tmp_path / "model", scratch)
    assert list(model.info.training["left_out"]) == [str(root / "red" / "bad.png")]
    assert model.info.training["mode"] == "scratch"
    history = model.info.training["history"]
    assert history[-1]["loss"] < history[0]["loss"]
    assert b"trained from scratch" in (model.path / "LICENSES").read_bytes()


def test_other_settings_start_anew(
    dataset: Dataset, finetune: TrainConfig, tmp_path: Path, told: Any
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(dataset, tmp_path / "model", finetune, progress=told(line="epoch 1 of 2"))
    loop = replace(finetune.finetune, learning_rate=2e-3)
    heard = told(line="epoch 1 of 2")
    with pytest.raises(KeyboardInterrupt):
        train(dataset, tmp_path / "model", replace(finetune, finetune=loop), progress=heard)
    assert not any("Going on" in line for line in heard.lines)


def test_roles() -> None:
    rows = [(f"{c}/{i}.png", c, "") for c in "ab" for i in range(20)]
    from discern.data.dataset import Row

    def roles(*splits: str):  # type: ignore[no-untyped-def]
        given = [Row(p, c, splits[i % len(splits)]) for i, (p, c, _) in enumerate(rows)]
        return network_roles(Dataset.from_rows(Path("data"), given), 0)

    both = roles("train", "train", "validation", "test")
    assert both.select is not None
    assert set(both.select.splits.tolist()) == {"validation"}
    assert list(both.score) == ["test"]
    for split in ("validation", "test"):
        one = roles("train", "train", "train", split)
        assert one.select is not None
        assert set(one.select.splits.tolist()) == {"train"}
        assert (len(one.fit), len(one.select), len(one.score[split])) == (26, 4, 10)


def test_divergence_is_named(dataset: Dataset, finetune: TrainConfig, tmp_path: Path) -> None:
    loop = replace(finetune.finetune, learning_rate=1e30, epochs=3)
    with pytest.raises(TrainingError, match=r"diverged in epoch .*learning_rate"):
        train(dataset, tmp_path / "model", replace(finetune, finetune=loop))


def test_a_test_split_of_bad_pictures(photos: Photos, config: TrainConfig, tmp_path: Path) -> None:
    photos(6, prefix="train")
    photos(2, first=20, prefix="val")
    root = photos(1, first=30, prefix="test")
    for path in (root / "test").glob("*/*"):
        path.write_bytes(b"no picture")
    loop = replace(config.finetune, epochs=1)
    scratch = replace(config, mode="scratch", finetune=loop)
    model = train(load_dataset(root), tmp_path / "model", scratch)
    assert model.info.metrics == {}


def test_a_deadline_in_the_loop(
    dataset: Dataset, finetune: TrainConfig, backbone: Backbone, tmp_path: Path, told: Any
) -> None:
    """The time left is what the plan says: past it, the loop stops within a step."""
    many = replace(finetune, finetune=replace(finetune.finetune, epochs=500, patience=500))
    from discern.data import split_dataset

    roles = network_roles(split_dataset(dataset, many.split), 0)
    checkpoints = Checkpoints(tmp_path / "training", {})
    checkpoints.write_plan({"epochs": 500, "seconds": 2.0})
    outcome = train_network(roles, dataset.classes, backbone, many, checkpoints, told())
    assert outcome is not None
    assert outcome.facts["epochs"] == 500
    assert len(outcome.facts["history"]) < 100


def pictures(photos: Photos, **changed: Any) -> TrainingPictures:
    root = photos(2)
    spec = PreprocessSpec(32, 32, crop=1.0)
    config = FinetuneConfig(**changed)
    paths = sorted(root.glob("*/*.png"))
    return TrainingPictures(paths, np.arange(6), spec, config, seed=7)


def test_what_training_sees_depends_on_seed_epoch_and_picture_alone(photos: Photos) -> None:
    seen = pictures(photos)
    first = [seen[1, i][0] for i in range(6)]
    torch.rand(10)
    assert all(torch.equal(seen[1, i][0], first[i]) for i in (5, 0, 3))
    assert not torch.equal(seen[2, 0][0], first[0])
    loader = training_batches(seen, 1, 4)
    (images, truth, _), (rest, _, _) = list(loader)
    assert len(images) + len(rest) == 6
    for image, i in zip(images, truth.tolist(), strict=True):
        assert torch.equal(image, first[i])


def test_a_last_batch_of_one_is_dropped(photos: Photos) -> None:
    assert [len(t) for _, t, _ in training_batches(pictures(photos), 0, 5)] == [5]


def test_without_flips_left_stays_left(photos: Photos) -> None:
    from PIL import Image

    seen = pictures(photos, flip=False, randaugment=0, crop_scale=1.0, train_size=1.0)
    ramp = np.broadcast_to(np.arange(0, 256, 8, dtype=np.uint8)[None, :, None], (32, 32, 3))
    Image.fromarray(ramp.copy()).save(seen.files[0])
    for epoch in range(12):
        pixels = seen[epoch, 0][0].float()
        assert pixels[:, :, 0].mean() < pixels[:, :, -1].mean()


def test_training_crops_are_smaller() -> None:
    spec = PreprocessSpec(224, 224)
    assert training_size(spec, FinetuneConfig(train_size=0.8)) == (176, 176)
    assert training_size(spec, FinetuneConfig(train_size=1.0)) == (224, 224)


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    state = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(3)}
    position = Position(3, 2, 0.5, 1.5, [{"loss": 1.0, "accuracy": 0.25}])
    kept = Checkpoints(tmp_path / "training", {"seed": 1})
    assert kept.load() is None
    kept.save(position, state, best=state)
    found = Checkpoints(tmp_path / "training", {"seed": 1}).load()
    assert found is not None
    assert found[0] == position
    assert all(torch.equal(found[1][k], v) for k, v in state.items())
    assert Checkpoints(tmp_path / "training", {"seed": 2}).load() is None


def test_a_full_disk_keeps_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Checkpoints(tmp_path / "training", {})
    kept.save(Position(epoch=1), {"a": torch.zeros(2)}, best={"a": torch.zeros(2)})

    def full(_tensors: Any, path: Path, _metadata: Any) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(OutputError, match=r"No space left.*Free some space"):
        kept.save(Position(epoch=2), {"a": torch.ones(2)}, best=None)
    found = kept.load()
    assert found is not None
    assert found[0].epoch == 1
    assert not list((tmp_path / "training").glob("*.tmp"))


@pytest.mark.parametrize(("last", "trained"), [(0, {"fc"}), (1, {"fc", "layer4"})])
def test_only_the_last_stages_are_trained(last: int, trained: set[str]) -> None:
    network = timm.create_model(NETWORK, num_classes=3)
    freeze_stages(network, last)
    learning = {name for name, p in network.named_parameters() if p.requires_grad}
    assert {name.split(".")[0] for name in learning} == trained
