"""Scoring a model on pictures that it did not learn from."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from discern.config import SplitConfig, cache_dir, settings_from
from discern.data import Dataset, split_dataset
from discern.errors import DatasetError, PictureError
from discern.evaluation.metrics import Metrics, score
from discern.images.digest import file_digests
from discern.model import Model
from discern.progress import SILENT, Progress
from discern.runtime.pipeline import run_pictures

ALL = "all"  # the "split" of data that has none
WORTH_MEASURING = 500  # pictures; for fewer, finding the fastest engine takes longer than it saves


@dataclass(frozen=True)
class Evaluation:
    """A score, what it was taken on, and what a reader of it must know."""

    metrics: Metrics
    split: str
    notes: tuple[str, ...]
    failures: dict[str, str]  # path → why the picture is not in the score


def evaluate(
    model: Model,
    dataset: Dataset,
    *,
    split: str | None = None,
    engine: str = "auto",
    precision: str = "auto",
    device: str = "auto",
    progress: Progress = SILENT,
) -> Evaluation:
    """Score `model` on a split of `dataset`, by default test, or validation if there is none.

    The data it was trained on is divided as it was then. Other data without splits is scored
    whole, without the pictures that took part in training; so is any with split "all". Raises
    DatasetError where no labelled picture is left to score.
    """
    dataset, split, notes = _part(model, dataset, split)
    files = list(dataset.files())
    predictor = model.predictor(
        engine=engine, precision=precision, device=device, measure=len(files) >= WORTH_MEASURING
    )
    kept: list[int] = []
    rows: list[npt.NDArray[np.float32]] = []
    failures: dict[str, str] = {}
    with progress.stage(f"Scoring {split}", len(files)) as advance:
        answers = run_pictures(files, predictor.engine, predictor.preprocess, predictor.limits)
        for i, answer in enumerate(answers):
            if isinstance(answer, PictureError):
                failures[str(files[i])] = str(answer)
            else:
                kept.append(i)
                rows.append(answer["probabilities"])
            advance(1)
    if not rows:
        reason = next(iter(failures.values()))
        raise DatasetError(f"{dataset.root}: no picture can be decoded; the first: {reason}.")
    truth = dataset.labels[np.array(kept)].tolist()
    return Evaluation(score(model.info.labels, truth, np.stack(rows)), split, notes, failures)


def _part(
    model: Model, dataset: Dataset, split: str | None
) -> tuple[Dataset, str, tuple[str, ...]]:
    """The samples to score, what to call them, and what to say about them."""
    trained_on_it = dataset.fingerprint == model.info.dataset["fingerprint"]
    dataset = dataset.where(dataset.labels != "")
    if len(dataset) == 0:
        raise DatasetError(f"{dataset.root}: has no labelled pictures to score.")
    if split == ALL or not (dataset.split_names or trained_on_it):
        return _unseen(model, dataset, split)
    if not dataset.split_names:
        config = settings_from(SplitConfig, model.info.dataset["split"], "model.json")
        dataset = split_dataset(dataset, config)
    default = "test" if "test" in dataset.split_names else "validation"
    part = dataset.select(split or default)
    return part, split or default, _leak_notes(model, part)


def _unseen(
    model: Model, dataset: Dataset, split: str | None
) -> tuple[Dataset, str, tuple[str, ...]]:
    """All pictures that took no part in training; for data without splits, or if asked for."""
    if split not in (None, ALL):
        raise DatasetError(
            f"{dataset.root}: has no splits, and is not what the model was trained on.\n"
            "Leave --split out: all pictures are scored that took no part in training."
        )
    seen = was_seen(model, dataset)
    if seen.all():
        raise DatasetError(
            f"{dataset.root}: the model was trained on all {len(dataset)} pictures. Score others."
        )
    note = f"{seen.sum()} of {len(dataset)} pictures took part in training and are left out."
    return dataset.where(~seen), ALL, (note,) if seen.any() else ()


def _leak_notes(model: Model, part: Dataset) -> tuple[str, ...]:
    seen = int(was_seen(model, part).sum())
    if not seen:
        return ()
    return (
        f"{seen} of the {len(part)} pictures scored took part in training, byte for byte. "
        "The score is too good by their share.",
    )


def was_seen(model: Model, dataset: Dataset) -> npt.NDArray[np.bool_]:
    """Which pictures [n] took part in training, by the hash of their bytes."""
    return model.was_trained_on(file_digests(dataset.files(), cache_dir()))
