"""Comparing backbones: one table, an honest choice, and nothing done twice."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from discern.config import SplitConfig, TrainConfig
from discern.data import Dataset, split_dataset
from discern.errors import ConfigError, OutputError, TrainingError
from discern.evaluation import evaluate
from discern.model import load
from discern.training.backbones import load_backbone
from discern.training.compare import compare, parameter_count
from discern.training.comparison_folder import open_comparison
from discern.training.head import Head, Layer

NETWORK, OTHER, MISSING = "test_resnet", "test_vit", "no_such_network"


@pytest.fixture(scope="session", autouse=True)
def both_exported(exported: Path) -> None:
    """A second network in the cache that each test's own begins with."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISCERN_CACHE", str(exported))
        load_backbone(OTHER, weights="none", image_size=32)


@pytest.fixture(autouse=True)
def short_measurements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("discern.runtime.choose.SECONDS", 0.01)
    monkeypatch.setattr("discern.training.compare.SECONDS", 0.02)


def rows(folder: Path) -> dict[str, dict[str, str]]:
    text = (folder / "comparison.csv").read_text()
    return {row["backbone"]: row for row in csv.DictReader(text.splitlines())}


def test_two_backbones_and_one_that_fails(
    dataset: Dataset, config: TrainConfig, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    found = compare(dataset, [MISSING, NETWORK, OTHER, NETWORK], out, config)
    assert {c.backbone for c in found.candidates} == {NETWORK, OTHER}
    assert found.failures.keys() == {MISSING}
    assert found.pictures == 30  # those of the training split, each held out once
    assert found.candidates[0].p == 1
    written = rows(out)
    assert list(written) == [*(c.backbone for c in found.candidates), MISSING]
    assert MISSING in written[MISSING]["failure"]
    assert [name for name, row in written.items() if row["taken"] == "True"] == [
        found.taken.backbone
    ]
    assert found.reason in (out / "comparison.html").read_text()
    model = load(out / "model")
    assert found.taken.backbone in model.info.backbone["name"]
    assert not list((out / "candidates").glob(".*"))


def test_what_was_taken_is_scored_on_pictures_that_the_choice_never_saw(
    dataset: Dataset, config: TrainConfig, tmp_path: Path
) -> None:
    found = compare(dataset, [NETWORK], tmp_path / "out", config)
    assert (found.split, found.score and found.score.n) == ("test", 3)
    again = evaluate(load(tmp_path / "out" / "model"), dataset)
    assert found.score is not None
    assert again.metrics.confusion == found.score.confusion
    splits = split_dataset(dataset, config.split)
    folder = tmp_path / "out" / "candidates"
    with np.load(next(folder.glob("*.npz"))) as kept:
        assert sorted(kept["samples"]) == list(range(int((splits.splits == "train").sum())))


def test_without_a_split_to_score_nothing_is_claimed(
    dataset: Dataset, config: TrainConfig, tmp_path: Path
) -> None:
    config = replace(config, split=SplitConfig(validation=0.0, test=0.0))
    found = compare(dataset, [NETWORK], tmp_path / "out", config)
    assert (found.split, found.score, found.pictures) == (None, None, 36)
    assert "not proven" in (tmp_path / "out" / "comparison.html").read_text()


def test_a_stopped_run_goes_on_where_it_was(
    dataset: Dataset, config: TrainConfig, tmp_path: Path, told: Callable[..., object]
) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        compare(dataset, [NETWORK, OTHER], out, config, progress=told(f"{NETWORK}: accuracy"))
    (kept,) = (out / "candidates").glob("*.json")
    before = kept.stat().st_mtime_ns, json.loads(kept.read_text())
    found = compare(dataset, [NETWORK, OTHER], out, config)
    assert (kept.stat().st_mtime_ns, json.loads(kept.read_text())) == before
    assert len(found.candidates) == 2
    page = (out / "model" / "model.json").stat().st_mtime_ns
    again = compare(dataset, [NETWORK, OTHER], out, config)
    assert again == found
    assert (out / "model" / "model.json").stat().st_mtime_ns == page  # not even trained again


def test_a_backbone_is_added_and_the_others_are_kept(
    dataset: Dataset, config: TrainConfig, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = compare(dataset, [NETWORK], out, config)
    both = compare(dataset, [NETWORK, OTHER], out, config)
    costs = {c.backbone: c.costs for c in both.candidates}
    assert costs[NETWORK] == first.taken.costs
    assert load(out / "model").info.backbone["name"] == both.taken.backbone


def test_other_settings_are_another_comparison(
    dataset: Dataset, config: TrainConfig, tmp_path: Path
) -> None:
    out, other = tmp_path / "out", replace(config, seed=1)
    compare(dataset, [NETWORK], out, config)
    with pytest.raises(OutputError, match="other data or settings"):
        compare(dataset, [NETWORK], out, other)
    found = compare(dataset, [NETWORK], out, other, overwrite=True)
    assert load(found.model).info.seed == 1
    less = dataset.where(np.arange(len(dataset)) != 3)
    with pytest.raises(OutputError, match="other data or settings"):
        compare(less, [NETWORK], out, other)


def test_rows_are_whole_or_made_again(tmp_path: Path) -> None:
    folder = open_comparison(tmp_path / "out", {"a": 1}, overwrite=False)
    assert folder.read(NETWORK) is None
    (tmp_path / "out" / "candidates").mkdir()
    assert folder.read(NETWORK) is None


def test_overwrite_begins_a_complete_one_anew_but_not_one_that_was_stopped(
    tmp_path: Path,
) -> None:
    def opened(overwrite: bool) -> int:
        return open_comparison(tmp_path / "out", {"a": 1}, overwrite=overwrite).run

    assert [opened(False), opened(False), opened(True)] == [1, 1, 1]
    open_comparison(tmp_path / "out", {"a": 1}, overwrite=False).mark("taken")
    assert [opened(False), opened(True), opened(True)] == [1, 2, 2]


def test_a_folder_that_is_no_comparison_is_left_alone(
    dataset: Dataset, config: TrainConfig, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("x")
    for overwrite in (False, True):
        with pytest.raises(OutputError, match="is no comparison"):
            compare(dataset, [NETWORK], tmp_path / "mine", config, overwrite=overwrite)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["diary.txt"]


def test_where_all_fail_there_is_no_outcome(
    dataset: Dataset, config: TrainConfig, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match=f"None of 2 .* {MISSING}: "):
        compare(dataset, [MISSING, f"{MISSING}2"], tmp_path / "out", config)
    assert not (tmp_path / "out" / "model").exists()


@pytest.mark.parametrize(
    "exc",
    [
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)
def test_too_little_memory_costs_a_row(exc: Exception) -> None:
    from discern.training.compare import _why

    assert "not enough memory" in _why(exc)


def test_a_bug_is_no_failure_of_the_backbone() -> None:
    from discern.training.compare import _why

    with pytest.raises(RuntimeError, match="a bug"):
        _why(RuntimeError("a bug"))


def test_settings_that_make_no_sense(dataset: Dataset, config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No backbone"):
        compare(dataset, [], tmp_path / "out", config)
    with pytest.raises(ConfigError, match="budget"):
        compare(dataset, [NETWORK], tmp_path / "out", replace(config, budget=60.0))
    assert not (tmp_path / "out").exists()


def test_fine_tuned_ones_are_compared_on_what_their_epoch_was_chosen_on(
    dataset: Dataset, config: TrainConfig, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    config = replace(config, mode="finetune", finetune=replace(config.finetune, epochs=1))
    found = compare(dataset, [NETWORK], out, config)
    assert (found.pictures, found.split) == (3, "test")  # the validation split
    assert load(found.model).info.training["mode"] == "finetune"
    assert not list((out / "candidates").glob(".*"))


def test_parameters_are_what_was_learned(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    tensors = {
        "conv.weight": np.zeros((4, 3, 3, 3), np.float32),
        "norm.weight": np.zeros(4, np.float16),
        "norm.running_mean": np.zeros(4, np.float32),
        "norm.num_batches_tracked": np.zeros((), np.int64),
    }
    save_file(tensors, tmp_path / "w.safetensors")
    head = Head((Layer(np.zeros((4, 2), np.float32), np.zeros(2, np.float32)),), power=False)
    assert parameter_count(tmp_path / "w.safetensors", head) == 108 + 4 + 10
