"""Frozen training: each picture through the backbone once, then a head on the embeddings."""

import shlex
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from discern.config import TrainConfig
from discern.data import Dataset
from discern.errors import DatasetError, TrainingError
from discern.model.calibration import softmax
from discern.progress import Progress
from discern.training.backbones import Backbone
from discern.training.embedding import Embeddings, embed
from discern.training.head import FittedHead, Rows, fit_head
from discern.training.outcome import Outcome, Roles, Scored, columns


@dataclass(frozen=True)
class Embedded:
    """Embeddings of several datasets' pictures, and which rows are whose."""

    embeddings: Embeddings
    rows: dict[str, npt.NDArray[np.intp]]  # by role; -1 for a picture that cannot be decoded


def train_frozen(
    roles: Roles,
    classes: tuple[str, ...],
    backbone: Backbone,
    config: TrainConfig,
    progress: Progress,
    deadline: float | None = None,
) -> Outcome:
    """Embed, choose and fit the head, score the splits that took no part in it."""
    started = time.monotonic()
    embedded = embed_roles({"fit": roles.fit, **roles.score}, backbone, config, progress, deadline)
    rows = training_rows(roles.fit, embedded.rows["fit"], embedded.embeddings, classes)
    fitted = fit_head(rows, len(classes), config.head, config.seed, progress=progress)
    return Outcome(
        backbone=backbone,
        head=fitted.head,
        temperature=fitted.temperature,
        backbone_graph=backbone.graph,
        backbone_weights=backbone.weights,
        scored={name: _scored(part, embedded, name, fitted) for name, part in roles.score.items()},
        trained_on=("train",),
        facts=head_facts(fitted)
        | {
            "precision": embedded.embeddings.precision,
            "seconds": round(time.monotonic() - started, 2),
        },
        failures=embedded.embeddings.failures,
    )


def embed_roles(
    parts: dict[str, Dataset],
    backbone: Backbone,
    config: TrainConfig,
    progress: Progress,
    deadline: float | None = None,
) -> Embedded:
    """Embed the pictures of all parts in one go."""
    files = [path for part in parts.values() for path in part.files()]
    embeddings = embed(
        files,
        backbone,
        engine=config.engine,
        precision=config.precision,
        device=config.device,
        deadline=deadline,
        progress=progress,
    )
    if not (embeddings.rows >= 0).any():
        reason = next(iter(embeddings.failures.values()), "no pictures")
        raise DatasetError(
            f"None of the {len(files)} pictures can be decoded; the first: {reason}."
        )
    ends = np.cumsum([len(part) for part in parts.values()])[:-1]
    return Embedded(embeddings, dict(zip(parts, np.split(embeddings.rows, ends), strict=True)))


def training_rows(
    fit: Dataset, index: npt.NDArray[np.intp], embeddings: Embeddings, classes: tuple[str, ...]
) -> Rows:
    """Unique (picture, class) pairs, weighted by how often each is there, 1 on average.

    Copies of one picture share a row, so that none is in a fold that judges its copy, and ten
    links to a picture cost no more memory than one.
    """
    good = index >= 0
    truth = columns(fit.labels[good], classes)
    require_each(classes, fit.labels[good])
    pairs, first, counts = np.unique(
        index[good] * len(classes) + truth, return_index=True, return_counts=True
    )
    groups = fit.groups[good][first]
    return Rows(
        embeddings.matrix[pairs // len(classes)],
        pairs % len(classes),
        (counts / counts.mean()).astype(np.float32),  # copies are no evidence: C keeps its meaning
        _group_codes(groups, pairs // len(classes)),
    )


def require_each(classes: tuple[str, ...], labels: npt.NDArray[Any]) -> None:
    """TrainingError unless each class is among the labels [n] of usable training pictures."""
    if missing := sorted(set(classes) - set(np.unique(labels).tolist())):
        raise TrainingError(
            f"Class {missing[0]!r} has no training picture that can be decoded. "
            f"Add some, or leave it out with --exclude {shlex.quote(missing[0])}."
        )


def _group_codes(
    groups: npt.NDArray[np.str_], pictures: npt.NDArray[np.intp]
) -> npt.NDArray[np.intp]:
    """A number for each group; a picture without one is its own."""
    named = groups != ""
    codes = pictures.copy()
    if named.any():
        codes[named] = np.unique(groups[named], return_inverse=True)[1] + pictures.max() + 1
    return codes


def head_facts(fitted: FittedHead) -> dict[str, object]:
    """What cross-validation chose, for the model's record."""
    return {
        "c": fitted.c,
        "log_loss_by_c": {str(c): round(loss, 4) for c, loss in fitted.losses.items()},
        "power": fitted.head.power,
    }


def _scored(part: Dataset, embedded: Embedded, role: str, fitted: FittedHead) -> Scored:
    index = embedded.rows[role]
    good = index >= 0
    logits = fitted.head.logits(embedded.embeddings.matrix[index[good]])
    seen = np.isin(index[good], embedded.rows["fit"])
    return Scored(part.labels[good].tolist(), softmax(logits, fitted.temperature), int(seen.sum()))
