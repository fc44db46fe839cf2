"""`train`: from a dataset to a model folder, whichever way the network is trained."""

import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from discern.alone import only_writer
from discern.config import TrainConfig
from discern.data import Dataset
from discern.errors import TrainingError
from discern.evaluation import Evaluation, Metrics, find
from discern.evaluation.description import described
from discern.evaluation.leaks import leak_notes
from discern.model import Model, ModelInfo, check_output, load, save_folder
from discern.progress import SILENT, Progress
from discern.training.backbones import (
    DEFAULT,
    DEFAULT_FROM_SCRATCH,
    SHORT_NAMES,
    Backbone,
    load_backbone,
)
from discern.training.contents import Contents, model_contents
from discern.training.divide import divide
from discern.training.frozen import train_frozen
from discern.training.head import Told
from discern.training.outcome import Outcome, frozen_roles, network_roles, training_folder
from discern.training.sensible import require_sensible

SHOWN_FAILURES = 5


def train(
    dataset: Dataset,
    output: str | Path,
    config: TrainConfig = TrainConfig(),
    *,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Model:
    """Train a classifier and write it to the model folder `output`.

    Samples without splits are divided by `config.split`. With a budget, the frozen head comes
    first and then as much fine-tuning as fits. Raises ConfigError, DatasetError, BackboneError,
    TrainingError or OutputError; a folder at `output` is only replaced with `overwrite`, and
    only once its successor is complete.
    """
    output, started = Path(output), time.monotonic()
    require_sensible(config)
    deadline = None if config.budget is None else started + config.budget
    with only_writer(output):
        check_output(output, overwrite)
        dataset = divide(dataset, config, progress)
        progress.say(f"{dataset.root}: {dataset.source}. {_described(dataset)}")
        outcome = fit(dataset, output, config, progress, deadline)
        _say_failures(outcome.failures, progress)
        seconds = time.monotonic() - started
        model = write_model(
            dataset, output, config, outcome, seconds, overwrite=overwrite, progress=progress
        )
        shutil.rmtree(training_folder(output), ignore_errors=True)
    return model


def fit(
    dataset: Dataset,
    output: Path,
    config: TrainConfig,
    progress: Progress,
    deadline: float | None = None,
    told: Told = lambda _epoch, _loss: None,
) -> Outcome:
    """Train on a divided dataset the way that the settings ask for.

    Nothing is written but what a killed run goes on from, beside `output`. `told` hears of each
    epoch of a network, and may raise.
    """
    name = config.backbone or (DEFAULT_FROM_SCRATCH if config.mode == "scratch" else DEFAULT)
    if config.mode == "frozen" and deadline is None:
        return _frozen(dataset, _backbone(name, config, progress), config, progress, None)
    from discern.training.backbone_export import new_backbone
    from discern.training.checkpoint import Checkpoints
    from discern.training.network import train_network

    if config.mode == "scratch":
        name = SHORT_NAMES.get(name, name)
        backbone = new_backbone(name, image_size=config.image_size, seed=config.seed)
    else:
        backbone = _backbone(name, config, progress)
        config = replace(config, mode="finetune")
    identity = {"data": dataset.fingerprint, "backbone": backbone.key, "config": asdict(config)}
    checkpoints = Checkpoints(training_folder(output), identity)
    roles = network_roles(dataset, config.seed)
    classes = dataset.classes
    trained = train_network(roles, classes, backbone, config, checkpoints, progress, deadline, told)
    if trained is None:
        if config.mode == "scratch":
            raise TrainingError("The budget is too small for one epoch. Give a larger --budget.")
        return _frozen(dataset, backbone, config, progress, None)
    return trained


def write_model(
    dataset: Dataset,
    output: Path,
    config: TrainConfig,
    outcome: Outcome,
    seconds: float,
    *,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Model:
    """Calibrate, score and describe what `fit` gave, and write it as a model folder."""
    made = model_contents(dataset, config, outcome, seconds, progress)
    for split, scored in made.scored.items():
        for note in leak_notes(scored, made.leaks[split]):
            progress.say(f"Note on {split}: {note}")

    def describe(folder: Path, info: ModelInfo) -> Mapping[str, bytes]:
        if not made.scored:
            return {}
        model, evaluation = Model(folder, info), _evaluation(made)
        findings = find(evaluation, model.interpreter, info.unknown, progress=progress)
        data = str(info.dataset["root"])
        return described(
            model, evaluation, findings, name=output.name, data=data, progress=progress
        )

    save_folder(output, made.info, made.files, overwrite=overwrite, describe=describe)
    return load(output)


def _evaluation(made: Contents) -> Evaluation:
    """The score of the split that counts: test, or validation where there is none."""
    split = "test" if "test" in made.scored else next(iter(made.scored))
    scored = made.scored[split]
    leaks = made.leaks[split]
    metrics = Metrics.from_dict(dict(made.info.metrics[split]))
    return Evaluation(metrics, split, leak_notes(scored, leaks), {}, scored, leaks=leaks)


def _frozen(
    dataset: Dataset,
    backbone: Backbone,
    config: TrainConfig,
    progress: Progress,
    deadline: float | None,
) -> Outcome:
    return train_frozen(
        frozen_roles(dataset), dataset.classes, backbone, config, progress, deadline
    )


def _backbone(name: str, config: TrainConfig, progress: Progress) -> Backbone:
    with progress.stage(f"Backbone {name}", None):
        return load_backbone(
            name, weights=config.weights, image_size=config.image_size, seed=config.seed
        )


def _described(dataset: Dataset) -> str:
    """Counts by split in a line."""
    parts = [f"{sum(n.values())} {split}" for split, n in dataset.counts().items()]
    return f"{len(dataset.classes)} classes, {', '.join(parts)}."


def _say_failures(failures: Mapping[str, str], progress: Progress) -> None:
    """Name the pictures that were left out."""
    for path, reason in list(failures.items())[:SHOWN_FAILURES]:
        progress.say(f"Left out: {path}: {reason}")
    if len(failures) > SHOWN_FAILURES:
        more = len(failures) - SHOWN_FAILURES
        progress.say(f"… and {more} more; model.json names them all.")
