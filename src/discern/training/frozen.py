"""Frozen training: each picture through the backbone once, then a head on the embeddings."""

import shlex
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from discern.config import TrainConfig
from discern.data import Dataset
from discern.data.metadata import MetadataSpec
from discern.data.together import group_codes, kept_together
from discern.errors import DatasetError, TrainingError
from discern.progress import Progress
from discern.training.backbones import Backbone
from discern.training.class_mix import ClassMix, adjusted, class_mix
from discern.training.embedding import Embeddings, embed
from discern.training.facts_beside import encoded, fit_spec, metadata_gain, with_metadata
from discern.training.head import FittedHead, Head, Matrix, Rows, fit_head
from discern.training.outcome import Answered, Known, Outcome, Roles, columns
from discern.training.views import extra_views, with_views


@dataclass(frozen=True)
class Embedded:
    """Embeddings of several datasets' pictures, and which rows are whose."""

    embeddings: Embeddings
    rows: dict[str, npt.NDArray[np.intp]]  # by role; -1 for a picture that cannot be decoded
    views: tuple[Matrix, ...] = ()  # [n, D] of each file to fit, from other views


def train_frozen(
    roles: Roles,
    classes: tuple[str, ...],
    backbone: Backbone,
    config: TrainConfig,
    progress: Progress,
    deadline: float | None = None,
) -> Outcome:
    """Embed, choose and fit the head, answer for the splits that took no part in it."""
    started = time.monotonic()
    parts = {"fit": roles.fit, **roles.score}
    embedded = embed_roles(parts, backbone, config, progress, deadline)
    embed_seconds = time.monotonic() - started
    spec = fit_spec(roles.fit)
    rows = training_rows(roles.fit, embedded, classes, spec)
    fitted = fit_head(rows, len(classes), config.head, config.seed, progress=progress)
    facts = head_facts(fitted) | {"precision": embedded.embeddings.precision}
    if spec is not None:
        facts["metadata"] = metadata_gain(rows, fitted, len(classes), config, progress)
    known = known_pictures(rows)
    fitted = adjusted(fitted, _mix(rows, len(classes), config))
    return Outcome(
        mode="frozen",
        backbone=backbone,
        head=fitted.head,
        backbone_graph=backbone.graph,
        backbone_weights=backbone.weights,
        known=known,
        held_out=fitted.held_out,
        answered={
            name: _answered(part, embedded, name, fitted.head, spec)
            for name, part in roles.score.items()
        },
        trained_on=("train",),
        facts=facts
        | {
            "embed_seconds": round(embed_seconds, 2),
            "fit_seconds": round(time.monotonic() - started - embed_seconds, 2),
        },
        failures=embedded.embeddings.failures,
        metadata=spec,
    )


def _mix(rows: Rows, classes: int, config: TrainConfig) -> ClassMix:
    own = rows.origin == np.arange(len(rows.origin))
    weights = rows.weights[own]
    return class_mix(
        rows.truth[own],
        classes,
        config.head.class_weights,
        tau=config.logit_adjustment,
        weights=weights,
    )


def known_pictures(rows: Rows) -> Known:
    """Each picture once, without its other forms."""
    own = rows.origin == np.arange(len(rows.origin))
    if own.all():
        return Known(rows.embeddings, rows.truth, cross_fitted=True)
    return Known(rows.embeddings[own], rows.truth[own], cross_fitted=True)


def embed_roles(
    parts: dict[str, Dataset],
    backbone: Backbone,
    config: TrainConfig,
    progress: Progress,
    deadline: float | None = None,
) -> Embedded:
    """Embed the pictures of all parts in one go, then the views of those to fit."""
    files = [path for part in parts.values() for path in part.files()]
    embed_all = partial(
        embed,
        backbone=backbone,
        engine=config.engine,
        precision=config.precision,
        device=config.device,
        deadline=deadline,
        progress=progress,
    )
    embeddings = embed_all(files)
    if not (embeddings.rows >= 0).any():
        reason = next(iter(embeddings.failures.values()), "no pictures")
        raise DatasetError(
            f"None of the {len(files)} pictures can be decoded; the first: {reason}."
        )
    ends = np.cumsum([len(part) for part in parts.values()])[:-1]
    rows = dict(zip(parts, np.split(embeddings.rows, ends), strict=True))
    forms = extra_views(config.head.views, mirror=config.finetune.flip is not False)
    views = [embed_all(list(parts["fit"].files()), view=form) for form in forms]
    return Embedded(embeddings, rows, tuple(view.matrix[view.rows] for view in views))


def training_rows(
    fit: Dataset,
    embedded: Embedded,
    classes: tuple[str, ...],
    spec: MetadataSpec | None = None,
) -> Rows:
    """Unique (picture, class) pairs, weighted by how often each is there, 1 on average.

    Each with its other views, and with facts where there is a `spec` for them. Copies of one
    picture share a row, so that none is in a fold that judges its copy, and ten links to a picture
    cost no more memory than one.
    """
    index = embedded.rows["fit"]
    good = np.flatnonzero(index >= 0)
    truth = columns(fit.labels[good], classes)
    require_each(classes, fit.labels[good])
    pairs, first, counts = np.unique(
        index[good] * len(classes) + truth, return_index=True, return_counts=True
    )
    samples = good[first]
    rows = Rows(
        embedded.embeddings.matrix[pairs // len(classes)],
        pairs % len(classes),
        (counts / counts.mean()).astype(np.float32),  # copies are no evidence: C keeps its meaning
        group_codes(kept_together(fit)[samples], pairs // len(classes)),
        samples,
        np.arange(len(pairs)),
    )
    rows = with_views(rows, [view[samples] for view in embedded.views])
    facts = encoded(fit.where(rows.samples), spec)
    return rows if facts is None else with_metadata(rows, facts)


def require_each(classes: tuple[str, ...], labels: npt.NDArray[Any]) -> None:
    """TrainingError unless each class is among the labels [n] of usable training pictures."""
    if missing := sorted(set(classes) - set(np.unique(labels).tolist())):
        raise TrainingError(
            f"Class {missing[0]!r} has no training picture that can be decoded. "
            f"Add some, or leave it out with --exclude {shlex.quote(missing[0])}."
        )


def head_facts(fitted: FittedHead) -> dict[str, object]:
    """What cross-validation chose, for the model's record."""
    return {
        "c": fitted.c,
        "log_loss_by_c": {str(c): round(loss, 4) for c, loss in fitted.losses.items()},
        "power": fitted.head.power,
    }


def _answered(
    part: Dataset, embedded: Embedded, role: str, head: Head, spec: MetadataSpec | None
) -> Answered:
    index = embedded.rows[role]
    good = np.flatnonzero(index >= 0)
    vectors = embedded.embeddings.matrix[index[good]]
    part = part.where(good)
    return Answered(
        tuple(part.files()),
        part.labels.tolist(),
        head.logits(vectors, encoded(part, spec)),
        vectors,
        part.metadata,
    )
