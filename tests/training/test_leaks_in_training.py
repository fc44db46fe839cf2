"""Copies of pictures, from the division to the scores: none is parted, none is scored unsaid."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from discern.config import SplitConfig, TrainConfig
from discern.data import Dataset, load_dataset, split_dataset
from discern.evaluation import evaluate
from discern.model import Model
from discern.model.division import divided_again
from discern.progress import SILENT
from discern.training import train
from discern.training.divide import divide
from discern.training.folds import row_folds
from discern.training.frozen import embed_roles, training_rows
from discern.training.outcome import frozen_roles, network_roles

SIDE = 72
COLOURS = {"blue": (50, 80, 200), "red": (200, 80, 50)}


def drawn(label: str, seed: int) -> Image.Image:
    """Soft shapes around the colour of a class."""
    rng = np.random.default_rng([seed, *COLOURS[label]])
    rough = rng.normal(COLOURS[label], 60, (6, 6, 3)).clip(0, 255).astype(np.uint8)
    return Image.fromarray(rough).resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def write(root: Path, label: str, seeds: Sequence[int]) -> None:
    (root / label).mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        drawn(label, seed).save(root / label / f"{seed:02d}.png")


def plant(root: Path, label: str, seeds: Sequence[int]) -> None:
    """Other forms of these pictures: one as it is, one smaller, one as a JPEG."""
    (root / label).mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        picture, name = drawn(label, seed), root / label / f"{seed:02d}"
        picture.save(name.with_suffix(".copy.png"))
        picture.resize((56, 56), Image.Resampling.LANCZOS).save(name.with_suffix(".small.png"))
        picture.save(name.with_suffix(".jpg"), quality=80)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes of 12 pictures, of which 6 in all are there four times over."""
    for label in COLOURS:
        write(tmp_path / "photos", label, range(12))
        plant(tmp_path / "photos", label, (1, 4, 7))
    return tmp_path / "photos"


@pytest.fixture
def given(tmp_path: Path) -> Dataset:
    """Test has two new pictures of each class, and six copies of two training pictures."""
    for label in COLOURS:
        write(tmp_path / "given" / "train", label, range(10))
        write(tmp_path / "given" / "val", label, (20, 21))
        write(tmp_path / "given" / "test", label, (30, 31))
    plant(tmp_path / "given" / "test", "red", (3, 5))
    return load_dataset(tmp_path / "given")


def picture(path: str) -> str:
    """What a file shows, by its name."""
    return path.split(".")[0]


def splits_of(dataset: Dataset) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for path, split in zip(dataset.paths.tolist(), dataset.splits.tolist(), strict=True):
        found.setdefault(picture(path), set()).add(split)
    return found


def assigned(dataset: Dataset) -> dict[str, str]:
    return dict(zip(dataset.paths.tolist(), dataset.splits.tolist(), strict=True))


def test_no_division_parts_copies(root: Path, config: TrainConfig, told: Any) -> None:
    dataset, heard = load_dataset(root), told()
    divided = divide(dataset, config, heard)
    assert any("24 pictures are copies of others, in 6 groups" in line for line in heard.lines)
    for seed in range(20):
        again = split_dataset(replace(dataset, copies=divided.copies), SplitConfig(seed=seed))
        assert all(len(splits) == 1 for splits in splits_of(again).values())
        assert set(again.split_names) == {"train", "validation", "test"}
    careless = [splits_of(split_dataset(dataset, SplitConfig(seed=seed))) for seed in range(20)]
    assert any(len(splits) > 1 for found in careless for splits in found.values())


def test_neither_do_folds_nor_what_networks_select_on(root: Path, config: TrainConfig) -> None:
    dataset = divide(load_dataset(root), replace(config, split=SplitConfig(0.1, 0.0)), SILENT)
    roles = network_roles(dataset, 0)
    assert roles.select is not None
    fit, select = (set(map(picture, part.paths.tolist())) for part in (roles.fit, roles.select))
    assert select
    assert not fit & select
    from discern.training.backbones import load_backbone

    backbone = load_backbone(str(config.backbone), weights="none", image_size=config.image_size)
    fit_part = frozen_roles(dataset).fit
    rows = training_rows(
        fit_part,
        embed_roles({"fit": fit_part}, backbone, config, SILENT),
        dataset.classes,
    )
    shown = [picture(path) for path in fit_part.paths[rows.samples].tolist()]
    groups: dict[str, set[int]] = {}
    for name, group in zip(shown, rows.groups.tolist(), strict=True):
        groups.setdefault(name, set()).add(group)
    assert all(len(each) == 1 for each in groups.values())
    assert len({group for each in groups.values() for group in each}) == len(groups)


@dataclass(frozen=True)
class Labelled:
    truth: np.ndarray
    groups: np.ndarray
    origin: np.ndarray


def test_a_few_copies_change_no_fold_but_their_own() -> None:
    truth, rows = np.arange(60) % 3, np.arange(60)
    groups = rows.copy()
    groups[[3, 30, 45]] = 3
    plain, kept = (row_folds(Labelled(truth, g, rows), 5, 0) for g in (rows, groups))
    for (_, before), (_, after) in zip(plain, kept, strict=True):
        assert set(before) - {30, 45} == set(after) - {30, 45}
        assert len({3, 30, 45} & set(after)) in (0, 3)


def test_leaks_of_given_splits_are_told_before_the_score(
    given: Dataset, config: TrainConfig, tmp_path: Path, told: Any
) -> None:
    heard = told()
    model = train(given, tmp_path / "model", config, progress=heard)
    (said,) = [line for line in heard.lines if line.startswith("Note on test")]
    assert "6 of the 10 pictures scored are also among the training pictures" in said
    assert "2 byte for byte and 4 in another form" in said
    assert "test/red/03.copy.png is train/red/03.png" in said
    leaks = model.info.dataset["leaks"]
    assert (leaks["test"]["exact"], leaks["test"]["near"]) == (2, 4)
    assert leaks["test"]["metrics"]["n"] == 4
    assert leaks["validation"] == {"exact": 0, "near": 0, "metrics": None}
    for page in ("report.html", "README.md"):
        assert "2 byte for byte and 4 in another form" in (model.path / page).read_text()
    assert not (model.path / "together.npy").exists()  # the splits were given

    found, rest = evaluate(model, given), evaluate(model, given.where(~copied(given)))
    assert found.leaks is not None
    assert rest.leaks is not None
    assert (found.leaks.exact, found.leaks.near) == (2, 4)
    assert found.leaks.metrics == rest.metrics
    assert found.notes[0].split(". Without")[0] in said
    assert (rest.notes, rest.leaks.pictures, rest.leaks.metrics) == ((), 0, None)

    # What is byte for byte a training picture is one at hand: its other forms are found.
    test = evaluate(model, given.where(given.splits == "test"))
    assert test.leaks == found.leaks
    assert "Of the 20 pictures it was trained on, 2 are here" in test.notes[1]
    fresh = evaluate(model, given.where((given.splits == "test") & ~copied(given)))
    assert fresh.notes == (
        "Of the 20 pictures it was trained on, none is here: "
        "copies that are not byte for byte could not be looked for.",
    )


def copied(dataset: Dataset) -> np.ndarray:
    names = [name.removeprefix("test/red/") for name in dataset.paths.tolist()]
    return np.array([name.startswith(("03.", "05.")) for name in names])


def test_the_division_is_kept_in_the_folder(
    root: Path, config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = load_dataset(root)
    model = train(dataset, tmp_path / "model", config)
    table = np.load(model.path / "together.npy")
    assert table.dtype == np.uint64
    assert len(table) == 18  # 6 pictures, in three different encodings each
    assert len(np.unique(table[:, 1])) == 6
    divided = divide(dataset, config, SILENT)
    found = evaluate(model, dataset)
    assert set(found.scored.files) == set(divided.select("test").files())
    assert found.metrics.to_dict()["confusion"] == model.info.metrics["test"]["confusion"]
    assert found.notes == ()

    # Another machine may find other copies, and read the files in another order.
    monkeypatch.setattr("discern.survey.leaks.find_duplicates", lambda *_a, **_k: ())
    order = np.random.default_rng(0).permutation(len(dataset))
    assert assigned(divided_again(model, dataset.where(order))) == assigned(divided)
    before = {name: key for name, key in model.info.files.items() if name != "together.npy"}
    older = Model(model.path, replace(model.info, files=before))
    alone = split_dataset(dataset, config.split)
    assert assigned(divided_again(older, dataset)) == assigned(alone) != assigned(divided)


def test_switched_off_nothing_is_kept_together(
    root: Path, config: TrainConfig, tmp_path: Path
) -> None:
    dataset = load_dataset(root)
    config = replace(config, leak_check=False, split=SplitConfig(0.1, 0.3))
    model = train(dataset, tmp_path / "model", config)
    assert not (model.path / "together.npy").exists()
    assert assigned(divided_again(model, dataset)) == assigned(split_dataset(dataset, config.split))
    leaks = model.info.dataset["leaks"]["test"]
    assert leaks["near"] is None
    found, blind = evaluate(model, dataset), evaluate(model, dataset, leak_check=False)
    assert found.metrics.to_dict()["confusion"] == model.info.metrics["test"]["confusion"]
    assert found.leaks is not None
    assert blind.leaks is not None
    assert found.leaks.near  # which evaluate looks for, whatever training did
    assert blind.leaks.near is None
    assert blind.leaks.exact == found.leaks.exact == leaks["exact"]


def test_a_class_that_is_all_copies_is_divided_all_the_same(
    config: TrainConfig, tmp_path: Path, told: Any
) -> None:
    write(tmp_path / "photos", "blue", range(10))
    write(tmp_path / "photos", "red", [1])
    plant(tmp_path / "photos", "red", [1])
    plant(tmp_path / "photos", "blue", [2])
    heard, data = told(), load_dataset(tmp_path / "photos")
    divided = divide(data, config, heard)
    assert "But not in red: copies of one picture are all there is to divide." in heard.lines
    found = splits_of(divided)
    assert len(found["red/01"]) > 1
    assert len(found["blue/02"]) == 1
    roles = network_roles(divide(data, replace(config, split=SplitConfig(0.1, 0.0)), SILENT), 0)
    assert roles.select is not None
    assert roles.select.classes == ("blue", "red")
