"""What goes into a model folder: graph, info, references, and what proves it."""

import platform
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save

from discern import __version__
from discern.config import TrainConfig
from discern.data import Dataset
from discern.evaluation import score
from discern.evaluation.leaks import LeakScore, leak_score
from discern.evaluation.scored import Scored
from discern.model import ModelInfo
from discern.model.division import together_file
from discern.model.folder import GRAPH, SEEN, TAIL, UNKNOWN
from discern.model.reference import (
    AT_MOST,
    Reference,
    reference_files,
    small_forms,
    spread,
    suffix,
)
from discern.progress import Progress
from discern.runtime.engine import create_engine
from discern.runtime.pipeline import to_pixels
from discern.training.backbones import Backbone
from discern.training.explainable import explanation_parts
from discern.training.graph import attach_head
from discern.training.outcome import Outcome
from discern.training.proof import Proof, prove
from discern.training.trained_on import trained_on


@dataclass(frozen=True)
class Contents:
    """A model folder before it is written, and the answers that it is scored on."""

    info: ModelInfo
    files: dict[str, bytes | Path]
    scored: dict[str, Scored]  # by split
    leaks: dict[str, LeakScore]  # by split


def model_contents(
    dataset: Dataset, config: TrainConfig, outcome: Outcome, seconds: float, progress: Progress
) -> Contents:
    """The model that training came to, as it is written."""
    proof = prove(outcome, dataset.classes, config, progress)
    head = outcome.head.calibrated(proof.calibration)
    graph = attach_head(outcome.backbone_graph, head)
    parts = explanation_parts(graph)
    learned = trained_on(dataset, outcome.trained_on)
    scored = {
        name: answered.scored(proof.calibration, learned.leaks(name))
        for name, answered in outcome.answered.items()
        if answered.truth
    }
    leaks = {
        name: leak_score(dataset.classes, part, config.leak_check) for name, part in scored.items()
    }
    info = replace(
        _info(dataset, config, outcome, proof, scored, leaks, seconds),
        features=None if parts is None else parts.features,
    )
    files: dict[str, bytes | Path] = {
        GRAPH: graph,
        "weights.safetensors": _weights(outcome),
        SEEN: learned.short_hashes(),
        **together_file(dataset),
        "LICENSES": _licenses(outcome),
        **reference_files(_references(dataset, outcome.backbone, graph, config.seed)),
    }
    if parts is not None:
        files[TAIL] = parts.tail
    if proof.unknown is not None:
        files[UNKNOWN] = proof.unknown.to_bytes()
    return Contents(info, files, scored, leaks)


def _info(
    dataset: Dataset,
    config: TrainConfig,
    outcome: Outcome,
    proof: Proof,
    scored: dict[str, Scored],
    leaks: dict[str, LeakScore],
    seconds: float,
) -> ModelInfo:
    metrics = {
        split: score(dataset.classes, part.truth, part.probabilities)
        for split, part in scored.items()
    }
    return ModelInfo(
        labels=dataset.classes,
        preprocess=outcome.backbone.preprocess,
        backbone=outcome.backbone.facts(),
        temperature=proof.calibration.temperature,
        training={
            "mode": outcome.mode,
            "config": asdict(config),
            "left_out": dict(outcome.failures),
            **outcome.facts,
            "seconds": round(seconds, 2),
        },
        dataset=_dataset_facts(dataset, config, leaks),
        seed=config.seed,
        versions=_versions(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        metrics={split: m.to_dict() for split, m in metrics.items()},
        calibration=proof.calibration_facts,
        prediction_sets=None if proof.sets is None else proof.sets.to_dict(),
        unknown=proof.unknown_facts,
        metadata=None if outcome.metadata is None else outcome.metadata.to_dict(),
        inputs=("images", "metadata") if outcome.metadata else ("images",),
    )


def _dataset_facts(
    dataset: Dataset, config: TrainConfig, leaks: dict[str, LeakScore]
) -> dict[str, Any]:
    return {
        "root": dataset.root.name,
        "source": dataset.source,
        "fingerprint": dataset.fingerprint,
        "counts": dataset.counts(),
        "split": asdict(config.split),
        "leaks": {split: found.to_dict() for split, found in leaks.items()},
    }


def _weights(outcome: Outcome) -> bytes:
    """Backbone and head as safetensors, to go on training from."""
    tensors = load_file(outcome.backbone_weights)
    for i, layer in enumerate(outcome.head.layers):
        tensors |= {f"head.{i}.weight": layer.weight, f"head.{i}.bias": layer.bias}
    data: bytes = save(tensors)
    return data


def _licenses(outcome: Outcome) -> bytes:
    if outcome.mode == "scratch":
        return b"Weights: trained from scratch on the data named in model.json.\n"
    return (outcome.backbone.folder / "LICENSES").read_bytes()


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
