"""Scoring a model on pictures that it did not learn from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from discern.config import SplitConfig, cache_dir, settings_from
from discern.data import Dataset, split_dataset
from discern.data.metadata import MetadataSpec
from discern.errors import ConfigError, DatasetError, PictureError
from discern.evaluation.metrics import Metrics, score
from discern.evaluation.scored import Scored, Strangers
from discern.images.digest import file_digests
from discern.model import Model
from discern.progress import SILENT, Progress
from discern.runtime import Predictor

ALL = "all"  # the "split" of data that has none
WORTH_MEASURING = 500  # pictures; for fewer, finding the fastest engine takes longer than it saves
NONE_GIVEN: Mapping[str, Sequence[Path]] = MappingProxyType({})


@dataclass(frozen=True)
class Evaluation:
    """A score, what it was taken on, and what a reader of it must know."""

    metrics: Metrics
    split: str
    notes: tuple[str, ...]
    failures: dict[str, str]  # path → why the picture is not in the score
    scored: Scored
    strangers: tuple[Strangers, ...] = ()


def evaluate(
    model: Model,
    dataset: Dataset,
    *,
    split: str | None = None,
    unknown: Mapping[str, Sequence[Path]] = NONE_GIVEN,
    engine: str = "auto",
    precision: str = "auto",
    device: str = "auto",
    progress: Progress = SILENT,
) -> Evaluation:
    """Score `model` on a split of `dataset`, by default test, or validation if there is none.

    The data it was trained on is divided as it was then. Other data without splits is scored
    whole, without the pictures that took part in training; so is any with split "all". `unknown`
    has, by name, files of pictures that are certainly none of the classes. Raises DatasetError
    where no picture is left to score, ConfigError where the model has no rule for `unknown`.
    """
    if unknown and model.interpreter.unknown is None:
        raise ConfigError(
            "This model has no rule for pictures that are none of its classes. "
            "Train it anew with more pictures."
        )
    part = _part(model, dataset, split)
    files = list(part.samples.files())
    predictor = model.predictor(
        engine=engine, precision=precision, device=device, measure=len(files) >= WORTH_MEASURING
    )
    with progress.stage(f"Scoring {part.split}", len(files)) as advance:
        facts = _facts(model, part.samples)
        answers = _answers(predictor, files, str(dataset.root), advance, facts)
    with progress.stage("None of these", sum(map(len, unknown.values()))) as advance:
        others = {n: _answers(predictor, some, n, advance) for n, some in unknown.items()}
    scored = _scored(part, answers)
    return Evaluation(
        metrics=score(model.info.labels, scored.truth, scored.probabilities),
        split=part.split,
        notes=(*part.notes, *_fact_notes(model, facts)),
        failures={k: v for found in (answers, *others.values()) for k, v in found.failures.items()},
        scored=scored,
        strangers=tuple(Strangers(n, a.probabilities, a.embeddings) for n, a in others.items()),
    )


class _Part(NamedTuple):
    """The samples to score, what to call them, and what to say about them."""

    samples: Dataset
    split: str
    notes: tuple[str, ...] = ()
    seen_in_training: int = 0


class _Answers(NamedTuple):
    """What the graph gave for the k files that could be read."""

    kept: list[int]  # k positions among the files
    probabilities: npt.NDArray[np.float32]  # [k, C]
    embeddings: npt.NDArray[np.float32]  # [k, D]
    failures: dict[str, str]  # path → why it could not be read


def _answers(
    predictor: Predictor,
    files: Sequence[Path],
    source: str,
    advance: Callable[[int], None],
    facts: npt.NDArray[np.float32] | None = None,
) -> _Answers:
    """The graph's outputs for all files; DatasetError, naming their source, where none is good."""
    kept: list[int] = []
    probabilities: list[npt.NDArray[np.float32]] = []
    embeddings: list[npt.NDArray[np.float32]] = []
    failures: dict[str, str] = {}
    for i, answer in enumerate(predictor.outputs(files, metadata=facts)):
        if isinstance(answer, PictureError):
            failures[str(files[i])] = str(answer)
        else:
            kept.append(i)
            probabilities.append(answer["probabilities"])
            embeddings.append(answer["embedding"])
        advance(1)
    if not kept:
        reason = next(iter(failures.values()), "there is none")
        raise DatasetError(f"{source}: no picture can be decoded; the first: {reason}.")
    return _Answers(kept, np.stack(probabilities), np.stack(embeddings), failures)


def _scored(part: _Part, answers: _Answers) -> Scored:
    samples = part.samples.where(np.array(answers.kept))
    return Scored(
        files=tuple(samples.files()),
        truth=samples.labels.tolist(),
        probabilities=answers.probabilities,
        embeddings=answers.embeddings,
        seen_in_training=part.seen_in_training,
        metadata=samples.metadata,
    )


def _facts(model: Model, samples: Dataset) -> npt.NDArray[np.float32] | None:
    """Facts beside the pictures as the graph takes them [n, M]; None where there are none."""
    if model.info.metadata is None:
        return None
    spec = MetadataSpec.from_dict(model.info.metadata)
    columns = {name: c for name, c in samples.metadata.items() if name in spec.columns}
    return spec.encode_columns(columns) if columns else None


def _fact_notes(model: Model, facts: npt.NDArray[np.float32] | None) -> tuple[str, ...]:
    if model.info.metadata is None or (facts is not None and facts.any()):
        return ()
    names = ", ".join(MetadataSpec.from_dict(model.info.metadata).columns)
    return (f"The model can use facts beside the picture ({names}); here it had none of them.",)


def _part(model: Model, dataset: Dataset, split: str | None) -> _Part:
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
    return _with_leaks(part, split or default, int(was_seen(model, part).sum()))


def _unseen(model: Model, dataset: Dataset, split: str | None) -> _Part:
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
    return _Part(dataset.where(~seen), ALL, (note,) if seen.any() else ())


def _with_leaks(part: Dataset, split: str, seen: int) -> _Part:
    """The samples with a note on those that took part in training, if any did."""
    if not seen:
        return _Part(part, split)
    note = (
        f"{seen} of the {len(part)} pictures scored took part in training, byte for byte. "
        "The score is too good by their share."
    )
    return _Part(part, split, (note,), seen)


def was_seen(model: Model, dataset: Dataset) -> npt.NDArray[np.bool_]:
    """Which pictures [n] took part in training, by the hash of their bytes."""
    return model.was_trained_on(file_digests(dataset.files(), cache_dir()))
