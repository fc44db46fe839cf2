"""Scoring a model on pictures that it did not learn from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from discern.config import cache_dir
from discern.data import Dataset
from discern.data.metadata import MetadataSpec
from discern.errors import ConfigError, DatasetError, PictureError
from discern.evaluation.leaks import LeakScore, leak_notes, leak_score
from discern.evaluation.metrics import Metrics, score
from discern.evaluation.scored import Scored, Strangers
from discern.images.digest import file_digests
from discern.model import Model
from discern.model.division import divided_again
from discern.progress import SILENT, Progress
from discern.runtime import Predictor
from discern.survey.leaks import Leak, among, find_leaks, with_copies

ALL = "all"  # the "split" of data that has none
WORTH_MEASURING = 500  # pictures; for fewer, finding the fastest engine takes longer than it saves
Bools = npt.NDArray[np.bool_]
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
    leaks: LeakScore | None = None  # None where nobody looked for any


def evaluate(
    model: Model,
    dataset: Dataset,
    *,
    split: str | None = None,
    unknown: Mapping[str, Sequence[Path]] = NONE_GIVEN,
    leak_check: bool = True,
    engine: str = "auto",
    precision: str = "auto",
    device: str = "auto",
    progress: Progress = SILENT,
) -> Evaluation:
    """Score `model` on a split of `dataset`, by default test, or validation if there is none.

    The data it was trained on is divided as it was then. Other data without splits is scored
    whole, without the pictures that took part in training; so is any with split "all". `unknown`
    has, by name, files of pictures that are certainly none of the classes. `leak_check` also looks
    for scored pictures that are training pictures in another form. Raises DatasetError where no
    picture is left to score, ConfigError where the model has no rule for `unknown`.
    """
    if unknown and model.interpreter.unknown is None:
        raise ConfigError(
            "This model has no rule for pictures that are none of its classes. "
            "Train it anew with more pictures."
        )
    part = _part(model, dataset, split)
    leaks, unchecked = _leaks(model, part, leak_check, progress)
    files = list(part.samples.files())
    predictor = model.predictor(
        engine=engine, precision=precision, device=device, measure=len(files) >= WORTH_MEASURING
    )
    with progress.stage(f"Scoring {part.split}", len(files)) as advance:
        facts = _facts(model, part.samples)
        answers = _answers(predictor, files, str(dataset.root), advance, facts)
    with progress.stage("None of these", sum(map(len, unknown.values()))) as advance:
        others = {n: _answers(predictor, some, n, advance) for n, some in unknown.items()}
    scored = _scored(part.samples, answers, leaks)
    leaking = leak_score(model.info.labels, scored, leak_check)
    return Evaluation(
        metrics=score(model.info.labels, scored.truth, scored.probabilities),
        split=part.split,
        notes=(
            *part.notes,
            *leak_notes(scored, leaking),
            *unchecked,
            *_fact_notes(model, facts),
        ),
        failures={k: v for found in (answers, *others.values()) for k, v in found.failures.items()},
        scored=scored,
        strangers=tuple(Strangers(n, a.probabilities, a.embeddings) for n, a in others.items()),
        leaks=leaking,
    )


class _Part(NamedTuple):
    """All labelled samples, and which of them [N] to score, under which name."""

    dataset: Dataset
    digests: Sequence[bytes | None]  # [N] hashes of the files' bytes
    scored: Bools
    seen: Bools  # whose bytes were trained on
    split: str
    notes: tuple[str, ...] = ()

    @property
    def samples(self) -> Dataset:
        return self.dataset.where(self.scored)


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


def _scored(samples: Dataset, answers: _Answers, leaks: Sequence[Leak]) -> Scored:
    samples = samples.where(np.array(answers.kept))
    files = tuple(samples.files())
    return Scored(
        files=files,
        truth=samples.labels.tolist(),
        probabilities=answers.probabilities,
        embeddings=answers.embeddings,
        metadata=samples.metadata,
        leaks=among(leaks, files),
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
    digests = list(file_digests(dataset.files(), cache_dir()))
    seen = model.was_trained_on(digests)
    if split == ALL or not (dataset.split_names or trained_on_it):
        return _unseen(dataset, digests, seen, split)
    if not dataset.split_names:
        dataset = divided_again(model, dataset)
    split = split or ("test" if "test" in dataset.split_names else "validation")
    dataset.select(split)  # which says what splits there are if this is none
    return _Part(dataset, digests, dataset.splits == split, seen, split)


def _unseen(
    dataset: Dataset, digests: Sequence[bytes | None], seen: Bools, split: str | None
) -> _Part:
    """All pictures that took no part in training; for data without splits, or if asked for."""
    if split not in (None, ALL):
        raise DatasetError(
            f"{dataset.root}: has no splits, and is not what the model was trained on.\n"
            "Leave --split out: all pictures are scored that took no part in training."
        )
    if seen.all():
        raise DatasetError(
            f"{dataset.root}: the model was trained on all {len(dataset)} pictures. Score others."
        )
    note = f"{seen.sum()} of {len(dataset)} pictures took part in training and are left out."
    return _Part(dataset, digests, ~seen, seen, ALL, (note,) if seen.any() else ())


def _leaks(
    model: Model, part: _Part, leak_check: bool, progress: Progress
) -> tuple[tuple[Leak, ...], tuple[str, ...]]:
    """The scored pictures that are also training pictures, and a note on what was not checked."""
    chosen = part.scored | part.seen
    dataset, scored, seen = part.dataset.where(chosen), part.scored[chosen], part.seen[chosen]
    if leak_check and seen.any():
        dataset = with_copies(dataset, progress)
    digests = [part.digests[i] for i in np.flatnonzero(chosen).tolist()]
    leaks = find_leaks(dataset, digests, scored=scored, trained=seen, seen=seen)
    here = {digest for digest, known in zip(digests, seen.tolist(), strict=True) if known}
    if not leak_check or len(here) >= (trained := model.pictures_trained_on):
        return leaks, ()
    verb = "is" if len(here) < 2 else "are"
    note = (
        f"Of the {trained:,} pictures it was trained on, {len(here) or 'none'} {verb} here: "
        f"copies{' of the others' if here else ''} that are not byte for byte could not be looked "
        "for."
    )
    return leaks, (note,)
