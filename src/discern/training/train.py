"""`train`: from a dataset to a model folder, whichever way the network is trained."""

import platform
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib import metadata
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save

from discern import __version__
from discern.config import TrainConfig, cache_dir
from discern.data import Dataset, require_trainable, split_dataset
from discern.errors import TrainingError
from discern.evaluation import Metrics, render_report, score
from discern.images.digest import file_digests
from discern.model import Model, ModelInfo, check_output, load, save_folder
from discern.model.folder import SEEN
from discern.model.model import short_digest
from discern.model.reference import (
    AT_MOST,
    Reference,
    reference_files,
    small_forms,
    spread,
    suffix,
)
from discern.progress import SILENT, Progress
from discern.runtime.engine import create_engine
from discern.runtime.pipeline import to_pixels
from discern.training.backbones import (
    DEFAULT,
    DEFAULT_FROM_SCRATCH,
    SHORT_NAMES,
    Backbone,
    load_backbone,
)
from discern.training.frozen import train_frozen
from discern.training.graph import attach_head
from discern.training.outcome import (
    Outcome,
    Scored,
    frozen_roles,
    network_roles,
    training_folder,
)
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
    check_output(output, overwrite)
    dataset = split_dataset(dataset, config.split)
    require_trainable(dataset)
    progress.say(f"{dataset.root}: {dataset.source}. {_described(dataset)}")
    outcome = _outcome(dataset, output, config, progress, deadline)
    _say_failures(outcome.failures, progress)
    info, files = _contents(dataset, config, outcome, time.monotonic() - started)
    save_folder(output, info, files, overwrite=overwrite)
    shutil.rmtree(training_folder(output), ignore_errors=True)
    return load(output)


def _outcome(
    dataset: Dataset, output: Path, config: TrainConfig, progress: Progress, deadline: float | None
) -> Outcome:
    """Train the way that the settings ask for."""
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
    trained = train_network(roles, classes, backbone, config, checkpoints, progress, deadline)
    if trained is None:
        if config.mode == "scratch":
            raise TrainingError("The budget is too small for one epoch. Give a larger --budget.")
        return _frozen(dataset, backbone, config, progress, None)
    return trained


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


def _contents(
    dataset: Dataset, config: TrainConfig, outcome: Outcome, seconds: float
) -> tuple[ModelInfo, dict[str, bytes | Path]]:
    """Everything that goes into the model folder."""
    graph = attach_head(outcome.backbone_graph, outcome.head, outcome.temperature)
    metrics = {
        split: score(dataset.classes, scored.truth, scored.probabilities)
        for split, scored in outcome.scored.items()
        if scored.truth
    }
    info = ModelInfo(
        labels=dataset.classes,
        preprocess=outcome.backbone.preprocess,
        backbone=outcome.backbone.facts(),
        temperature=outcome.temperature,
        training={
            "mode": "frozen" if "c" in outcome.facts else config.mode,
            "config": asdict(config),
            "left_out": dict(outcome.failures),
            **outcome.facts,
            "seconds": round(seconds, 2),
        },
        dataset=_dataset_facts(dataset, config),
        seed=config.seed,
        versions=_versions(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        metrics={split: m.to_dict() for split, m in metrics.items()},
    )
    files: dict[str, bytes | Path] = {
        "model.onnx": graph,
        "weights.safetensors": _weights(outcome),
        SEEN: _seen(dataset, outcome.trained_on),
        "LICENSES": _licenses(outcome.backbone, config),
        **reference_files(_references(dataset, outcome.backbone, graph, config.seed)),
    }
    if metrics:
        files["report.html"] = _report(metrics, info, outcome.scored).encode()
    return info, files


def _dataset_facts(dataset: Dataset, config: TrainConfig) -> dict[str, Any]:
    return {
        "root": dataset.root.name,
        "source": dataset.source,
        "fingerprint": dataset.fingerprint,
        "counts": dataset.counts(),
        "split": asdict(config.split),
    }


def _seen(dataset: Dataset, splits: Collection[str]) -> bytes:
    """Short hashes of the pictures that took part in training."""
    part = dataset.where(np.isin(dataset.splits, list(splits)) & (dataset.labels != ""))
    digests = file_digests(part.files(), cache_dir())
    short = np.unique(np.array([short_digest(d) for d in digests if d], np.uint64))
    buffer = BytesIO()
    np.save(buffer, short)
    return buffer.getvalue()


def _weights(outcome: Outcome) -> bytes:
    """Backbone and head as safetensors, to go on training from."""
    tensors = load_file(outcome.backbone_weights)
    tensors |= {"head.weight": outcome.head.weight, "head.bias": outcome.head.bias}
    data: bytes = save(tensors)
    return data


def _licenses(backbone: Backbone, config: TrainConfig) -> bytes:
    if config.mode == "scratch":
        return b"Weights: trained from scratch on the data named in model.json.\n"
    return (backbone.folder / "LICENSES").read_bytes()


def _versions() -> dict[str, str]:
    packages = (
        "numpy",
        "pillow",
        "onnxruntime",
        "openvino",
        "onnx",
        "scikit-learn",
        "torch",
        "timm",
    )
    found = {"discern": __version__, "python": platform.python_version()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _references(dataset: Dataset, backbone: Backbone, graph: bytes, seed: int) -> list[Reference]:
    """Training pictures of many classes, with the answers of the reference engine."""
    pictures = small_forms(_by_turns(dataset, seed), limit=2 * AT_MOST)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(graph)
        engine = create_engine(path, "onnxruntime")
        pixels = np.stack([to_pixels(data, backbone.preprocess) for data in pictures])
        probabilities = engine.run(pixels)["probabilities"]
    top = np.sort(probabilities, axis=1)
    chosen = spread(top[:, -1] - top[:, -2])
    return [
        Reference(
            f"{n:02d}{suffix(pictures[i])}",
            pictures[i],
            {name: float(p) for name, p in zip(dataset.classes, probabilities[i], strict=True)},
        )
        for n, i in enumerate(chosen)
    ]


def _by_turns(dataset: Dataset, seed: int) -> Iterator[Path]:
    """Training pictures, one class after the other, in an order that the seed gives."""
    fit = dataset.select("train")
    random = np.random.default_rng(seed)
    queues = [random.permutation(np.flatnonzero(fit.labels == name)) for name in dataset.classes]
    for turn in range(max(map(len, queues))):
        for queue in queues:
            if turn < len(queue):
                yield fit.file(int(queue[turn]))


def _report(metrics: Mapping[str, Metrics], info: ModelInfo, scored: Mapping[str, Scored]) -> str:
    """The report of the split that counts: test, or validation where there is none."""
    split = "test" if "test" in metrics else next(iter(metrics))
    facts = {
        "Backbone": str(info.backbone["name"]),
        "Training": str(info.training["mode"]),
        "Data": f"{info.dataset['root']}: {info.dataset['source']}",
        "Fingerprint": str(info.dataset["fingerprint"])[:16],
        "Scored split": split,
        "Temperature": f"{info.temperature:.3f}",
        "Seed": str(info.seed),
        "Trained": info.created,
        "discern": __version__,
    }
    notes = []
    if seen := scored[split].seen_in_training:
        notes.append(
            f"{seen} of the {metrics[split].n} pictures scored are, byte for byte, also among the "
            "training pictures. The score is too good by their share."
        )
    return render_report(
        metrics[split], title=f"{info.dataset['root']} · {split}", facts=facts, notes=notes
    )
