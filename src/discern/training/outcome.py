"""What a way of training starts from and ends with; `train` turns the latter into a model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from discern.data import Dataset, hold_out
from discern.training.backbones import Backbone
from discern.training.head import Head

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
class Scored:
    """A split's true labels [n] and the probabilities [n, C] given for them."""

    truth: list[str]
    probabilities: npt.NDArray[np.floating]
    seen_in_training: int  # pictures of it that are, byte for byte, also training pictures


@dataclass(frozen=True)
class Outcome:
    """A trained network: what `train` needs to write and score a model."""

    backbone: Backbone
    head: Head
    temperature: float
    backbone_graph: Path  # ONNX, uint8 pictures → embedding
    backbone_weights: Path  # safetensors
    scored: Mapping[str, Scored]
    trained_on: tuple[str, ...]  # the splits that fitting or any choice has used
    facts: Mapping[str, Any]  # what was chosen, for the model's record
    failures: Mapping[str, str] = field(default_factory=dict)  # path → why it was left out


def columns(labels: npt.NDArray[Any], classes: tuple[str, ...]) -> npt.NDArray[np.intp]:
    """Each label's column [n]."""
    position = {name: i for i, name in enumerate(classes)}
    return np.array([position[name] for name in labels.tolist()], np.intp)


def training_folder(output: Path) -> Path:
    """Where a training that ends in `output` keeps what a killed one goes on from."""
    return output.with_name(f".{output.name}.training")
