"""`compare`: several backbones over the same splits, and the one to take."""

import math
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from discern import __version__
from discern.config import TrainConfig
from discern.data import Dataset
from discern.errors import (
    BackboneError,
    ConfigError,
    DatasetError,
    EngineError,
    TrainingError,
)
from discern.evaluation import Metrics
from discern.evaluation.comparison import (
    Answers,
    Candidate,
    Comparison,
    Costs,
    choose,
    common_samples,
    compare_answers,
    reason,
)
from discern.evaluation.comparison_page import comparison_csv, render_comparison
from discern.evaluation.leaks import LeakScore, recorded
from discern.evaluation.metrics import wilson_interval
from discern.images import read_bytes
from discern.model import Model, load
from discern.model.calibration import choose_calibration, softmax
from discern.model.folder import INFO
from discern.progress import SILENT, Progress
from discern.runtime.speed import Speed, measure_speed
from discern.training.comparison_folder import ComparisonFolder, Row, open_comparison
from discern.training.divide import divide
from discern.training.graph import attach_head
from discern.training.head import Head
from discern.training.outcome import Outcome
from discern.training.sensible import require_sensible
from discern.training.train import fit, write_model

SECONDS = 1.0  # that each way of measuring speed takes
TIMED = 16  # training pictures that speed is measured on
CACHED = 4  # times as fast as this machine can embed: most pictures were in the cache
STATISTICS = ("running_mean", "running_var")  # of batch normalisation; measured, not learned
PAGE, TABLE = "comparison.html", "comparison.csv"


def compare(
    dataset: Dataset,
    backbones: Sequence[str],
    output: str | Path,
    config: TrainConfig = TrainConfig(),
    *,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Comparison:
    """Train on each backbone, say which to take, and write that one as `output`/model.

    The choice is made on held-out answers within the training data; then the one taken, and it
    alone, is scored. A backbone that fails costs its own row; stopped, it goes on where it was.
    Raises ConfigError, DatasetError or OutputError, and TrainingError where every one failed.
    """
    names = _distinct(backbones, config)
    dataset = divide(dataset, config, progress)
    folder = open_comparison(Path(output), _identity(dataset, config), overwrite=overwrite)
    rows, failures = _rows(names, dataset, folder, config, progress)
    if not rows:
        raise _all_failed(failures)
    answers = {name: row.answers for name, row in rows.items()}
    costs = {name: row.costs for name, row in rows.items()}
    candidates = compare_answers(dataset.classes, answers, costs, config.seed)
    taken, pictures = choose(candidates), len(common_samples(answers.values()))
    progress.say(f"Taking {taken.backbone}, and scoring it.")
    model = _model(taken, dataset, folder, config, progress)
    split, score, leaks = _score(model)
    comparison = Comparison(
        candidates,
        failures,
        taken,
        reason(candidates, taken, pictures),
        pictures,
        score,
        split,
        model.path,
        leaks,
    )
    title, facts = f"Comparison · {dataset.root.name}", _facts(comparison, dataset, config)
    page = render_comparison(comparison, title=title, facts=facts)
    folder.finish(taken.backbone, {TABLE: comparison_csv(comparison), PAGE: page}, names)
    return comparison


def _distinct(backbones: Sequence[str], config: TrainConfig) -> list[str]:
    """Each backbone once; ConfigError for settings that make no sense here."""
    require_sensible(config)
    if config.budget is not None:
        raise ConfigError("budget has no sense in a comparison: each backbone gets what it needs.")
    if names := list(dict.fromkeys(filter(None, backbones))):
        return names
    raise ConfigError("No backbone to compare. Name some, as --backbones resnet50,xception.")


def _identity(dataset: Dataset, config: TrainConfig) -> dict[str, Any]:
    """What a kept row must have been made of and with."""
    settings = asdict(replace(config, backbone=None))
    return {"version": __version__, "data": dataset.fingerprint, "settings": settings}


def _rows(
    names: Sequence[str],
    dataset: Dataset,
    folder: ComparisonFolder,
    config: TrainConfig,
    progress: Progress,
) -> tuple[dict[str, Row], dict[str, str]]:
    """Each backbone's row, kept or made; and why those failed that did."""
    rows: dict[str, Row] = {}
    failures: dict[str, str] = {}
    for name in names:
        try:
            rows[name] = _row(name, dataset, folder, config, progress)
            progress.say(f"{name}: {_in_short(rows[name])}")
        except (BackboneError, EngineError, TrainingError, MemoryError, RuntimeError) as exc:
            failures[name] = _why(exc)
            progress.say(f"{name}: not compared: {failures[name]}")
    return rows, failures


def _why(exc: Exception) -> str:
    """What a failure says; raises those again that are no failure of the backbone."""
    if isinstance(exc, MemoryError):
        return "There is not enough memory for it."
    if isinstance(exc, RuntimeError):  # torch has no error of its own for this on CPUs
        if not any(sign in str(exc) for sign in ("out of memory", "can't allocate memory")):
            raise exc
        return "There is not enough memory for it."
    return str(exc)


def _all_failed(failures: dict[str, str]) -> TrainingError:
    name, why = next(iter(failures.items()))
    if len(failures) == 1:
        return TrainingError(f"The only backbone, {name}, failed: {why}")
    return TrainingError(f"None of {len(failures)} backbones could be compared. {name}: {why}")


def _row(
    name: str, dataset: Dataset, folder: ComparisonFolder, config: TrainConfig, progress: Progress
) -> Row:
    if kept := folder.read(name):
        return kept
    config = replace(config, backbone=name)
    outcome = fit(dataset, folder.training(name), config, progress)
    row = Row(_answers(outcome, dataset, config), _costs(outcome, dataset, config, progress))
    folder.write(name, row)
    return row


def _answers(outcome: Outcome, dataset: Dataset, config: TrainConfig) -> Answers:
    """Its held-out answers, calibrated as they would be for pictures that nobody has seen."""
    held = outcome.held_out
    if held is None:
        raise DatasetError(
            f"{dataset.root}: no training picture could be held out to compare on. "
            "Add pictures to each class."
        )
    chosen = choose_calibration(
        held.logits, held.truth, held.weights, method=config.proof.calibration, seed=config.seed
    )
    probabilities = softmax(chosen.cross_fitted).astype("float32")
    return Answers(held.samples, held.truth, probabilities)


def _costs(outcome: Outcome, dataset: Dataset, config: TrainConfig, progress: Progress) -> Costs:
    speed, megabytes = _measured(outcome, dataset, config, progress)
    seconds = float(outcome.facts["embed_seconds"])
    pictures = sum(sum(of_class.values()) for of_class in dataset.counts().values())
    alone = pictures / speed.pictures_per_second
    cached = config.mode != "scratch" and CACHED * seconds < alone
    return Costs(
        embed_seconds=round(alone if cached else seconds, 2),
        embed_estimated=cached,
        train_seconds=float(outcome.facts["fit_seconds"]),
        speed=speed,
        parameters=parameter_count(outcome.backbone_weights, outcome.head),
        megabytes=megabytes,
    )


def _measured(
    outcome: Outcome, dataset: Dataset, config: TrainConfig, progress: Progress
) -> tuple[Speed, float]:
    """How fast the whole graph is here, and its size in 10^6 bytes."""
    fit = dataset.where((dataset.splits == "train") & (dataset.labels != ""))
    usable = [path for path in fit.files() if str(path) not in outcome.failures]
    pictures = [read_bytes(path) for path in usable[:: math.ceil(len(usable) / TIMED)]]
    with (
        tempfile.TemporaryDirectory() as scratch,
        progress.stage("Measuring speed", None),
    ):
        graph = Path(scratch) / "model.onnx"
        graph.write_bytes(attach_head(outcome.backbone_graph, outcome.head))
        speed = measure_speed(
            graph,
            outcome.backbone.preprocess,
            pictures,
            seconds=SECONDS,
            engine=config.engine,
            precision=config.precision,
            device=config.device,
        )
        return speed, graph.stat().st_size / 1e6


def parameter_count(weights: Path, head: Head) -> int:
    """Learned numbers of a backbone's weights file and of the head."""
    from safetensors import safe_open

    total = sum(layer.weight.size + layer.bias.size for layer in head.layers)
    with safe_open(weights, framework="numpy") as file:
        for name in file.keys():  # noqa: SIM118
            tensor = file.get_slice(name)
            if "F" in tensor.get_dtype() and not name.endswith(STATISTICS):
                total += math.prod(tensor.get_shape())
    return total


def _in_short(row: Row) -> str:
    right = row.answers.right
    accuracy = wilson_interval(int(right.sum()), len(right))
    return f"accuracy {accuracy} held out, {row.costs.speed.latency_ms:.1f} ms a picture"


def _model(
    taken: Candidate,
    dataset: Dataset,
    folder: ComparisonFolder,
    config: TrainConfig,
    progress: Progress,
) -> Model:
    """The taken one's model folder: kept, or made of what is cached and checkpointed."""
    if folder.taken == taken.backbone and (folder.model / INFO).is_file():
        return load(folder.model)
    config = replace(config, backbone=taken.backbone)
    outcome = fit(dataset, folder.training(taken.backbone), config, progress)
    seconds = taken.costs.embed_seconds + taken.costs.train_seconds
    return write_model(
        dataset, folder.model, config, outcome, seconds, overwrite=True, progress=progress
    )


def _score(model: Model) -> tuple[str | None, Metrics | None, LeakScore | None]:
    """The split that counts, test or else validation, and what the model scored on it."""
    for split in ("test", "validation"):
        if split in model.info.metrics:
            metrics = Metrics.from_dict(dict(model.info.metrics[split]))
            return split, metrics, recorded(model.info, split)
    return None, None, None


def _facts(comparison: Comparison, dataset: Dataset, config: TrainConfig) -> dict[str, str]:
    """What the page says of how the comparison was made."""
    speed = comparison.taken.costs.speed
    counts = ", ".join(f"{sum(n.values()):,} {split}" for split, n in dataset.counts().items())
    return {
        "Data": f"{dataset.root.name} ({dataset.fingerprint[:12]})",
        "Pictures": f"{counts}, {len(dataset.classes)} classes",
        "Training": config.mode,
        "Weights": config.weights,
        "Seed": str(config.seed),
        "Speed": f"{speed.engine} {speed.precision}, {speed.cores} cores",
        "discern": __version__,
    }
