"""Training a whole network: from a backbone and its frozen head, or from nothing."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file

from discern.config import TrainConfig
from discern.data import Dataset
from discern.data.metadata import MetadataSpec
from discern.errors import DatasetError, PictureError
from discern.images import decode, read_bytes
from discern.progress import Progress
from discern.runtime.choose import open_engine
from discern.runtime.engine import Engine
from discern.runtime.machine import cores
from discern.runtime.pipeline import chunks, ordered_map, run_pictures
from discern.training.augment import EvaluatedPictures, TrainingPictures
from discern.training.backbone_export import build_network, write_graph
from discern.training.backbones import Backbone
from discern.training.checkpoint import Checkpoints, Position
from discern.training.class_mix import ClassMix, class_mix, moved
from discern.training.facts_beside import encoded, fit_spec, metadata_gain
from discern.training.finetune import (
    Loop,
    Schedule,
    measured_rate,
    pick_device,
    run_loop,
    set_classifier,
    take_classifier,
)
from discern.training.frozen import embed_roles, require_each, training_rows
from discern.training.head import Head, Told, fit_head
from discern.training.held_out import HeldOut
from discern.training.outcome import Answered, Known, Outcome, Roles, columns

CHECKED_AT_ONCE = 16  # pictures a thread decodes before it reports
EVALUATION_SPEEDUP = 3.0  # a picture evaluated costs about a third of one trained on
KNOWN_AT_MOST = 5000  # training pictures that "none of these" is measured against
EXPORT_SECONDS = 20.0  # what exporting and saving is planned to take
SAFETY = 0.92  # share of the budget's rest that is planned for; machines slow down


def train_network(
    roles: Roles,
    classes: tuple[str, ...],
    backbone: Backbone,
    config: TrainConfig,
    checkpoints: Checkpoints,
    progress: Progress,
    deadline: float | None = None,
    told: Told = lambda _epoch, _loss: None,
) -> Outcome | None:
    """Train to the best epoch by selection loss, then export, calibrate and score.

    Killed and started again with the same settings, it goes on from the last finished epoch.
    None where the deadline leaves no time for an epoch.
    """
    started = time.monotonic()
    device = pick_device(config.device)
    spec = fit_spec(roles.fit)
    head, failures, gain = _start(roles, classes, backbone, config, spec, progress, deadline)
    embedded = time.monotonic()
    roles = _without(roles, failures, classes)
    truth = columns(roles.fit.labels, classes)
    mix = class_mix(
        truth,
        len(classes),
        config.finetune.class_weights,
        config.finetune.sampling,
        config.logit_adjustment,
    )
    if head is not None:
        fitted_for = class_mix(truth, len(classes), config.head.class_weights)
        head = moved(head, fitted_for.trained, mix.answered)
    loop = _loop(backbone, head, len(classes), config, device, mix, _size(spec))
    training = TrainingPictures(
        list(roles.fit.files()),
        truth,
        backbone.preprocess,
        config.finetune,
        config.seed,
        encoded(roles.fit, spec),
    )
    schedule = _schedule(loop, training, roles, config, checkpoints, progress, deadline)
    if schedule is None:
        return None
    assert roles.select is not None
    selection = EvaluatedPictures(
        list(roles.select.files()),
        columns(roles.select.labels, classes),
        backbone.preprocess,
        encoded(roles.select, spec),
    )
    position = run_loop(loop, training, selection, schedule, checkpoints, progress, told)
    outcome = _finish(roles, classes, backbone, config, checkpoints, progress, mix, spec)
    facts = gain | _record(position, schedule, embedded - started, started)
    return replace(outcome, facts=facts, failures=failures)


def _size(spec: MetadataSpec | None) -> int:
    return 0 if spec is None else spec.size


def _start(
    roles: Roles,
    classes: tuple[str, ...],
    backbone: Backbone,
    config: TrainConfig,
    spec: MetadataSpec | None,
    progress: Progress,
    deadline: float | None,
) -> tuple[Head | None, dict[str, str], dict[str, object]]:
    """The frozen head that fine-tuning starts from, the pictures that cannot be used, and what
    facts beside the picture add to that head."""
    parts = {"fit": roles.fit, **roles.score}
    if roles.select is not None:
        parts["select"] = roles.select
    if config.mode == "scratch":
        files = [path for part in parts.values() for path in part.files()]
        return None, _undecodable(files, progress), {}
    embedded = embed_roles(parts, backbone, config, progress, deadline)
    rows = training_rows(roles.fit, embedded, classes, spec)
    linear = replace(config.head, layers=())  # the classifier is one layer
    fitted = fit_head(rows, len(classes), linear, config.seed, power=False, progress=progress)
    gain: dict[str, object] = {}
    if spec is not None:
        gain = {"metadata": metadata_gain(rows, fitted, len(classes), config, progress)}
    return fitted.head, embedded.embeddings.failures, gain


def _undecodable(files: Sequence[Path], progress: Progress) -> dict[str, str]:
    """Path → reason of every picture that cannot be decoded."""

    def check(chunk: Sequence[Path]) -> dict[str, str]:
        found = {}
        for path in chunk:
            try:
                decode(read_bytes(path), at_least=(1, 1))
            except PictureError as exc:
                found[str(path)] = str(exc)
        return found

    failures: dict[str, str] = {}
    with progress.stage("Checking pictures", len(files)) as advance:
        for found in ordered_map(check, chunks(files, CHECKED_AT_ONCE), cores()):
            failures |= found
            advance(CHECKED_AT_ONCE)
    return failures


def _without(roles: Roles, failures: Mapping[str, str], classes: tuple[str, ...]) -> Roles:
    """The same roles without the pictures that cannot be used."""

    def usable(part: Dataset) -> Dataset:
        return part.where(np.array([str(path) not in failures for path in part.files()], bool))

    fit = usable(roles.fit)
    if len(fit) == 0:
        reason = next(iter(failures.values()), "no pictures")
        raise DatasetError(f"None of the training pictures can be decoded; the first: {reason}.")
    require_each(classes, fit.labels)
    select = None if roles.select is None else usable(roles.select)
    if select is not None and len(select) == 0:
        raise DatasetError(
            "None of the pictures that the best epoch is chosen on can be decoded.\n"
            "Mend or add pictures in the validation split, or use --mode frozen."
        )
    return Roles(fit, {name: usable(part) for name, part in roles.score.items()}, select)


def _loop(
    backbone: Backbone,
    head: Head | None,
    classes: int,
    config: TrainConfig,
    device: torch.device,
    mix: ClassMix,
    facts: int,
) -> Loop:
    torch.manual_seed(config.seed)
    network = build_network(backbone, pretrained=config.mode == "finetune")
    set_classifier(network, classes, head, facts)
    return Loop(network, backbone, config.finetune, device, config.seed, mix)


def _schedule(
    loop: Loop,
    training: TrainingPictures,
    roles: Roles,
    config: TrainConfig,
    checkpoints: Checkpoints,
    progress: Progress,
    deadline: float | None,
) -> Schedule | None:
    """The schedule of the run being resumed, or a new one from the measured speed."""
    if kept := checkpoints.read_plan():
        progress.say(f"Going on with the {kept['epochs']} epochs planned before.")
        return Schedule(**kept)
    schedule = Schedule(config.finetune.epochs, None)
    if deadline is not None:
        planned = _planned(measured_rate(loop, training), roles, config, deadline, progress)
        if planned is None:
            return None
        schedule = planned
    checkpoints.write_plan(asdict(schedule))
    return schedule


def _planned(
    rate: float, roles: Roles, config: TrainConfig, deadline: float, progress: Progress
) -> Schedule | None:
    """As many epochs as the time left holds, at `rate` pictures a second, up to the setting."""
    evaluated = len(roles.select) if roles.select is not None else 0
    scored = sum(len(part) for part in roles.score.values())
    epoch = (len(roles.fit) + evaluated / EVALUATION_SPEEDUP) / rate
    known = min(len(roles.fit), KNOWN_AT_MOST)
    ending = EXPORT_SECONDS + (known + evaluated + scored) / EVALUATION_SPEEDUP / rate
    left = deadline - time.monotonic() - ending
    epochs = min(config.finetune.epochs, int(SAFETY * left / epoch))
    if epochs < 1:
        progress.say(
            f"Plan: one epoch of fine-tuning takes {epoch:.0f} s, {max(left, 0):.0f} s are left: "
            "the frozen head is kept."
        )
        return None
    progress.say(
        f"Plan: {epochs} epochs of fine-tuning at {rate:.0f} pictures/s, {epoch:.0f} s each; "
        f"{left:.0f} s are left for them."
    )
    return Schedule(epochs, left)


def _finish(
    roles: Roles,
    classes: tuple[str, ...],
    backbone: Backbone,
    config: TrainConfig,
    checkpoints: Checkpoints,
    progress: Progress,
    mix: ClassMix,
    spec: MetadataSpec | None,
) -> Outcome:
    """From the best weights to a graph and its answers."""
    network = build_network(backbone, pretrained=False)
    set_classifier(network, len(classes), None, _size(spec))
    network.load_state_dict(checkpoints.best())
    head = take_classifier(network, _size(spec))
    graph = checkpoints.folder / "backbone.onnx"
    weights = checkpoints.folder / "backbone.safetensors"
    write_graph(network, backbone, graph)
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, weights)
    engine = open_engine(graph, engine=config.engine, precision="f32", device=config.device)
    assert roles.select is not None
    known = _some(roles.fit, KNOWN_AT_MOST, config.seed)
    total = len(known) + len(roles.select) + sum(len(part) for part in roles.score.values())
    with progress.stage("Scoring", total) as advance:
        vectors = _embeddings(known, backbone, engine, advance)
        held_out = _held_out(roles.select, classes, backbone, head, engine, mix, spec, advance)
        answered = {
            name: _answered(part, backbone, head, engine, spec, advance)
            for name, part in roles.score.items()
        }
    return Outcome(
        mode=config.mode,
        backbone=backbone,
        head=head,
        backbone_graph=graph,
        backbone_weights=weights,
        known=Known(vectors, columns(known.labels, classes), cross_fitted=False),
        held_out=held_out,
        answered=answered,
        trained_on=("train", *({"validation"} - set(answered))),
        facts={},
        metadata=spec,
    )


def _some(part: Dataset, at_most: int, seed: int) -> Dataset:
    """At most so many of the samples, by chance."""
    order = np.random.default_rng(seed).permutation(len(part))[:at_most]
    return part.where(np.sort(order))


def _held_out(
    part: Dataset,
    classes: tuple[str, ...],
    backbone: Backbone,
    head: Head,
    engine: Engine,
    mix: ClassMix,
    spec: MetadataSpec | None,
    advance: Callable[[int], None],
) -> HeldOut:
    vectors, truth = _embeddings(part, backbone, engine, advance), columns(part.labels, classes)
    weights = mix.judged(truth, np.ones(len(part))).astype(np.float32)
    return HeldOut(
        np.arange(len(part)),
        truth,
        head.logits(vectors, encoded(part, spec)),
        weights,
        vectors,
        without_metadata=None if spec is None else head.logits(vectors),
    )


def _answered(
    part: Dataset,
    backbone: Backbone,
    head: Head,
    engine: Engine,
    spec: MetadataSpec | None,
    advance: Callable[[int], None],
) -> Answered:
    vectors = _embeddings(part, backbone, engine, advance)
    return Answered(
        tuple(part.files()),
        part.labels.tolist(),
        head.logits(vectors, encoded(part, spec)),
        vectors,
        part.metadata,
    )


def _embeddings(
    part: Dataset, backbone: Backbone, engine: Engine, advance: Callable[[int], None]
) -> npt.NDArray[np.float32]:
    """Embeddings [n, D] of a split's pictures, from their files, through the engine."""
    vectors = np.empty((len(part), backbone.embedding_size), np.float32)
    for i, answer in enumerate(run_pictures(part.files(), engine, backbone.preprocess)):
        if isinstance(answer, PictureError):  # they all were decodable when training began
            raise DatasetError(f"{part.root}: a picture changed during training: {answer}.")
        vectors[i] = answer["embedding"]
        advance(1)
    return vectors


def _record(
    position: Position, schedule: Schedule, embed_seconds: float, started: float
) -> dict[str, object]:
    """How training went, for the model's record."""
    return {
        "epochs": position.epoch,
        "planned_epochs": schedule.epochs,
        "best_epoch": position.best_epoch,
        "history": [{k: round(v, 4) for k, v in row.items()} for row in position.history],
        "embed_seconds": round(embed_seconds, 1),
        "fit_seconds": round(time.monotonic() - started - embed_seconds, 1),
    }
