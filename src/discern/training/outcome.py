"""What a way of training starts from and ends with; `train` turns the latter into a model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from discern.config import Mode
from discern.data import Dataset, hold_out
from discern.data.dataset import StringArray
from discern.data.metadata import MetadataSpec
from discern.evaluation.scored import Scored
from discern.model.calibration import Calibration, softmax
from discern.survey.leaks import Leak, among
from discern.training.backbones import Backbone
from discern.training.head import Head
from discern.training.held_out import HeldOut

SELECTION_SHARE = 0.1  # of the training pictures, where no split is there to select on


@dataclass(frozen=True)
class Roles:
    """Which samples do what. No picture that a choice was made on is ever scored.

    Fine-tuning picks its best epoch and its temperature on `select`. Frozen training needs no
    such pictures, it cross-validates on `fit`.
    """

    fit: Dataset
    score: Mapping[str, Dataset]  # by the split's name
    select: Dataset | None = None


def frozen_roles(dataset: Dataset) -> Roles:
    """All of train is fitted; validation and test are both scored."""
    return Roles(_labelled(dataset, "train"), _scored(dataset, "validation", "test"))


def network_roles(dataset: Dataset, seed: int) -> Roles:
    """With validation and test, validation selects and test is the score. With one of them, that
    is the score, and a tenth of train selects."""
    fit = _labelled(dataset, "train")
    scored = _scored(dataset, "validation", "test")
    if len(scored) == 2:
        return Roles(fit, {"test": scored["test"]}, scored["validation"])
    fit, select = hold_out(fit, SELECTION_SHARE, seed)
    return Roles(fit, scored, select)


def _labelled(dataset: Dataset, split: str) -> Dataset:
    part = dataset.select(split)
    return part.where(part.labels != "")


def _scored(dataset: Dataset, *splits: str) -> dict[str, Dataset]:
    parts = {s: _labelled(dataset, s) for s in splits if s in dataset.split_names}
    return {split: part for split, part in parts.items() if len(part)}


@dataclass(frozen=True)
class Known:
    """Training pictures as the network sees them, for telling what is unlike them."""

    embeddings: npt.NDArray[np.float32]  # [n, D]
    truth: npt.NDArray[np.intp]  # [n] columns
    cross_fitted: bool  # the held-out pictures are among them


@dataclass(frozen=True)
class Answered:
    """A split's pictures with the head's answers, not calibrated; n pictures."""

    files: tuple[Path, ...]
    truth: list[str]
    logits: npt.NDArray[np.float32]  # [n, C]
    embeddings: npt.NDArray[np.float32]  # [n, D]
    metadata: Mapping[str, StringArray] = field(default_factory=dict)  # facts beside them [n]

    def scored(self, calibration: Calibration, leaks: Sequence[Leak] = ()) -> Scored:
        """The pictures with their probabilities; `leaks` are those also trained on."""
        probabilities = softmax(calibration.apply(self.logits))
        return Scored(
            self.files,
            self.truth,
            probabilities,
            self.embeddings,
            self.metadata,
            among(leaks, self.files),
        )


@dataclass(frozen=True)
class Outcome:
    """A trained network: what `train` needs to prove, write and score a model."""

    mode: Mode  # how it was trained in the end
    backbone: Backbone
    head: Head  # not calibrated
    backbone_graph: Path  # ONNX, uint8 pictures → embedding
    backbone_weights: Path  # safetensors
    known: Known
    held_out: HeldOut | None
    answered: Mapping[str, Answered]  # by split
    trained_on: tuple[str, ...]  # the splits that fitting or any choice has used
    facts: Mapping[str, Any]  # what was chosen, for the model's record
    failures: Mapping[str, str] = field(default_factory=dict)  # path → why it was left out
    metadata: MetadataSpec | None = None


def columns(labels: npt.NDArray[Any], classes: tuple[str, ...]) -> npt.NDArray[np.intp]:
    """Each label's column [n]."""
    position = {name: i for i, name in enumerate(classes)}
    return np.array([position[name] for name in labels.tolist()], np.intp)


def training_folder(output: Path) -> Path:
    """Where a training that ends in `output` keeps what a killed one goes on from."""
    return output.with_name(f".{output.name}.training")
