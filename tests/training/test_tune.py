"""Tuning: resumed, shared, honest about what it gained."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from discern.config import HeadConfig, TrainConfig
from discern.data import Dataset
from discern.errors import ConfigError, OutputError
from discern.progress import SILENT
from discern.training.held_out import HeldOut
from discern.training.search_space import Range
from discern.training.study import counted, open_study, study_folder
from discern.training.tune import Tuning, _Search, tune

SPACE = {"head.c": Range(1e-4, 1.0, log=True), "head.class_weights": ("none", "balanced")}


@pytest.fixture
def quick(config: TrainConfig) -> TrainConfig:
    return replace(config, head=HeadConfig(c=(0.01, 0.1), folds=3))


def tuned(dataset: Dataset, output: Path, config: TrainConfig, trials: int = 6) -> Tuning:
    return tune(dataset, output, config, trials=trials, space=SPACE)


def test_the_best_is_trained_and_set_beside_the_defaults(
    dataset: Dataset, tmp_path: Path, quick: TrainConfig
) -> None:
    tuning = tuned(dataset, tmp_path / "model", quick)
    losses = [trial.value for trial in tuning.trials]
    assert losses == sorted(losses)
    assert tuning.tried == 6
    assert any(trial.number == 0 and not trial.params for trial in tuning.trials), "the defaults"
    held = tuning.gains[0]
    assert held.log_loss.low <= held.log_loss.value <= held.log_loss.high
    assert held.log_loss.value <= 1e-9, "the defaults are among the trials"
    info = tuning.model.info
    if "head.c" in tuning.settings:
        assert info.training["c"] == tuning.settings["head.c"]
    assert set(info.metrics) == {"test"}, "validation was trained on, test was not"
    table = (study_folder(tmp_path / "model") / "trials.csv").read_text().splitlines()
    assert len(table) == 7


def test_a_finished_study_goes_straight_to_its_end(
    dataset: Dataset, tmp_path: Path, quick: TrainConfig
) -> None:
    first = tuned(dataset, tmp_path / "model", quick, 4)
    (tmp_path / "model").rename(tmp_path / "aside")
    again = tuned(dataset, tmp_path / "model", quick, 4)
    assert [t.number for t in again.trials] == [t.number for t in first.trials]
    assert again.settings == first.settings
    assert again.model.info.metrics == first.model.info.metrics


def test_a_study_of_something_else_is_not_gone_on_with(
    dataset: Dataset, tmp_path: Path, quick: TrainConfig
) -> None:
    tuned(dataset, tmp_path / "model", quick, 2)
    (tmp_path / "model").rename(tmp_path / "aside")
    with pytest.raises(OutputError, match="other data or settings"):
        tuned(dataset, tmp_path / "model", replace(quick, seed=1), 2)
    tune(dataset, tmp_path / "model", replace(quick, seed=1), trials=2, space=SPACE, overwrite=True)


def test_a_killed_trial_neither_counts_nor_blocks(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    code = (
        "import sys; from pathlib import Path; from discern.training.study import open_study, own\n"
        "study = open_study(Path(sys.argv[1]), {}, 0, overwrite=False)\n"
        "own(study.ask()); print('asked', flush=True); input()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "asked\n"
        study = open_study(folder, {}, 0, overwrite=False)
        from discern.training.study import bury_killed

        bury_killed(study)
        assert len(counted(study)) == 1, "its process lives"
        child.kill()
        child.wait()
        bury_killed(study)
    assert counted(study) == []


def test_settings_that_cannot_be_are_refused_at_once(
    dataset: Dataset, tmp_path: Path, quick: TrainConfig
) -> None:
    with pytest.raises(ConfigError, match=r"head\.c"):
        tune(dataset, tmp_path / "model", quick, space={"head.c": (-1.0, 0.1)})
    assert not study_folder(tmp_path / "model").exists()


def test_networks_are_tuned_too(dataset: Dataset, tmp_path: Path, config: TrainConfig) -> None:
    config = replace(config, mode="finetune", finetune=replace(config.finetune, epochs=1))
    space = {"finetune.learning_rate": Range(1e-4, 1e-2, log=True)}
    tuning = tune(dataset, tmp_path / "model", config, trials=2, space=space)
    assert tuning.tried == 2
    assert tuning.model.info.training["mode"] == "finetune"
    assert [gain.on for gain in tuning.gains] == ["held-out answers"]


def test_defaults_that_two_tried_at_once_are_both_kept(tmp_path: Path, quick: TrainConfig) -> None:
    """What is not better is forgotten, but what the best is set beside must stay."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 60)
    logits = (2 * np.eye(3)[truth] + rng.normal(size=(60, 3))).astype(np.float32)
    ones = np.ones(60, np.float32)
    held = HeldOut(np.arange(60), truth, logits, ones, logits)
    study = open_study(tmp_path, {}, 0, overwrite=False)
    search = _Search(study, tmp_path, lambda _config, _told: held, SPACE, quick, SILENT)
    for values in ({}, {}, {"head.c": 0.1}):
        search._done(study.ask(), values, held)
    assert sorted(path.name for path in tmp_path.glob("*.npz")) == ["0.npz", "1.npz"]


@pytest.mark.usefixtures("backbone")
def test_two_processes_work_on_one_study(dataset: Dataset, tmp_path: Path) -> None:
    output = tmp_path / "model"
    words = ["tune", str(dataset.root), "-o", str(output), "--trials", "5", "--json"]
    words += ["--backbone", "test_resnet", "--weights", "none", "--image-size", "32"]
    code = "import sys; from discern.cli import main; main()"
    both = [
        subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [json.loads(child.communicate()[0]) for child in both]
    assert [child.returncode for child in both] == [0, 0]
    assert said[0] == said[1], "one trained what both had found"
    assert 5 <= said[0]["tried"] <= 6
