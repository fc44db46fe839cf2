"""Facts beside the picture in training: as features of the head, and what they are worth."""

from dataclasses import asdict, replace
from typing import Any

import numpy as np

from discern.config import TrainConfig
from discern.data import Dataset
from discern.data.metadata import MetadataSpec, fit_metadata
from discern.evaluation.significance import difference_interval
from discern.model.calibration import softmax
from discern.progress import Progress
from discern.training.head import FittedHead, Matrix, Rows, fit_head
from discern.training.held_out import HeldOut


def fit_spec(fit: Dataset) -> MetadataSpec | None:
    """How the training pictures' facts become numbers; None where none are given."""
    return fit_metadata(fit.metadata) if fit.metadata else None


def encoded(part: Dataset, spec: MetadataSpec | None) -> Matrix | None:
    """The facts beside the pictures of a part [n, M]; None where none are taken."""
    return None if spec is None else spec.encode_columns(part.metadata)


def with_metadata(rows: Rows, facts: Matrix) -> Rows:
    """The rows with their facts [N, M], and each once more with nothing known beside it.

    The head so learns what to answer when the facts are missing.
    """
    own = rows.origin == np.arange(len(rows.origin))
    known = np.flatnonzero(own & facts.any(axis=1))
    everything = np.concatenate([np.arange(len(facts)), known])
    return Rows(
        rows.embeddings[everything],
        rows.truth[everything],
        rows.weights[everything],
        rows.groups[everything],
        rows.samples[everything],
        rows.origin[everything],
        np.concatenate([facts, np.zeros_like(facts[known])]),
    )


def metadata_gain(
    rows: Rows, fitted: FittedHead, classes: int, config: TrainConfig, progress: Progress
) -> dict[str, Any]:
    """What the facts add over the picture alone, and what happens where they are missing.

    All on the same held-out pictures: the head with facts, a head that never had any, and the
    first one asked without them. Intervals are 95 %, by bootstrap over pictures.
    """
    alone = fit_head(without_metadata(rows), classes, config.head, config.seed, progress=progress)
    held, bare = fitted.held_out, alone.held_out
    if held is None or bare is None or held.without_metadata is None:
        return {}
    judged = {
        "with": _judged(held, held.logits),
        "alone": _judged(held, bare.logits),
        "missing": _judged(held, held.without_metadata),
    }
    found: dict[str, Any] = {
        name: {"accuracy": float(hits.mean()), "log_loss": float(losses.mean())}
        for name, (hits, losses) in judged.items()
    }
    for name in ("with", "missing"):
        for k, measure in enumerate(("accuracy", "log_loss")):
            pair = judged[name][k], judged["alone"][k]
            found[name][f"{measure}_over_alone"] = asdict(difference_interval(*pair, config.seed))
    return found


def without_metadata(rows: Rows) -> Rows:
    """The pictures and their views, with nothing known beside them."""
    rest = np.delete(np.arange(len(rows.origin)), rows.bare)
    return replace(
        rows,
        embeddings=rows.embeddings[rest],
        truth=rows.truth[rest],
        weights=rows.weights[rest],
        groups=rows.groups[rest],
        samples=rows.samples[rest],
        origin=np.searchsorted(rest, rows.origin[rest]),
        metadata=None,
    )


def _judged(held: HeldOut, logits: Matrix) -> tuple[np.ndarray, np.ndarray]:
    """Which answers are right, and what each costs in log loss [n]."""
    p = softmax(logits)[np.arange(len(held.truth)), held.truth]
    return (logits.argmax(1) == held.truth).astype(float), -np.log(np.maximum(p, 1e-15))
