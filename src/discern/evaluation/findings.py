"""What a score's single figure hides: pictures worth looking at, sets, unknowns, weak slices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from discern.evaluation.metrics import Interval


@dataclass(frozen=True)
class Case:
    """One picture worth looking at: its truth, the model's answer, and what each was given."""

    file: Path
    truth: str
    label: str
    probability: float
    of_truth: float
    unknown: bool | None = None
    set: tuple[str, ...] | None = None


@dataclass(frozen=True)
class PairCases:
    """Pictures of class `truth` taken for `predicted`: `count` of `support`, and some of them."""

    truth: str
    predicted: str
    count: int
    support: int
    cases: tuple[Case, ...]


@dataclass(frozen=True)
class SetScore:
    """How often the sets of labels held the truth, and how large they were."""

    target: float
    coverage: Interval
    mean_size: float
    sizes: tuple[tuple[int, int], ...]  # (size, pictures)


@dataclass(frozen=True)
class Against:
    """n pictures that are none of the classes, and the share wrongly accepted."""

    name: str
    n: int
    auroc: float
    accepted: Interval


@dataclass(frozen=True)
class UnknownScore:
    """How "none of these" fared: true pictures kept, others accepted."""

    score: str
    keep: float
    kept: Interval
    against: tuple[Against, ...]
    held_out_classes: tuple[tuple[str, float], ...]  # (class, AUROC)


@dataclass(frozen=True)
class Slice:
    """Pictures alike in one thing, and the accuracy on them against that on the rest.

    `expected` is what their mix of classes alone would give.
    """

    kind: str
    name: str
    n: int
    accuracy: Interval
    rest: Interval
    p: float
    worse: bool
    expected: float | None = None


@dataclass(frozen=True)
class Findings:
    """All of it, for one model on one set of pictures."""

    mistakes: tuple[Case, ...]
    doubtful: tuple[Case, ...]
    pairs: tuple[PairCases, ...]
    sets: SetScore | None
    unknown: UnknownScore | None
    slices: tuple[Slice, ...]
