"""A model's answers for pictures: what everything that is said about it is made from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from discern.data.dataset import StringArray
from discern.survey.leaks import Leak


@dataclass(frozen=True, eq=False)
class Scored:
    """n labelled pictures, and what the model's graph gave for each."""

    files: tuple[Path, ...]  # n
    truth: list[str]  # n true labels
    probabilities: npt.NDArray[np.floating[Any]]  # [n, C], calibrated
    embeddings: npt.NDArray[np.float32]  # [n, D]
    metadata: Mapping[str, StringArray] = field(default_factory=dict)  # name → [n], "" for none
    leaks: tuple[Leak, ...] = ()  # those of them that are also training pictures


@dataclass(frozen=True, eq=False)
class Strangers:
    """m pictures that are none of the classes, and what the model's graph gave for each."""

    name: str
    probabilities: npt.NDArray[np.floating[Any]]  # [m, C]
    embeddings: npt.NDArray[np.float32]  # [m, D]
