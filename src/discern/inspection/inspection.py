"""What an inspection found. Pictures are named by their position in the dataset."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from discern.data import Dataset
from discern.survey.duplicates import Kind

OddKind = Literal[
    "dark", "bright", "blurry", "uniform", "elongated", "small", "large", "other colours"
]


@dataclass(frozen=True)
class BadFile:
    """A picture that cannot be used, and why."""

    sample: int
    reason: str


@dataclass(frozen=True)
class Odd:
    """A picture that differs from the others in one thing; `detail` says it in a few words."""

    sample: int
    kind: OddKind
    value: float
    detail: str  # such as "mean brightness 3 %", "1:9.2", "12 × 9 px"


@dataclass(frozen=True, eq=False)
class Looks:
    """What k of the pictures are, as columns [k]: those that could be decoded."""

    samples: npt.NDArray[np.intp]  # positions in the dataset, ascending
    format: npt.NDArray[np.str_]
    mode: npt.NDArray[np.str_]  # as Pillow calls it
    width: npt.NDArray[np.uint32]  # pixels, upright
    height: npt.NDArray[np.uint32]
    bytes: npt.NDArray[np.uint64]
    brightness: npt.NDArray[np.float32]  # mean luma, 0 to 1
    contrast: npt.NDArray[np.float32]  # standard deviation of luma, 0 to 0.5
    sharpness: npt.NDArray[np.float32]  # variance of the Laplacian; the lower, the blurrier


@dataclass(frozen=True)
class DuplicateGroup:
    """Samples that hold the same picture, and what is wrong with that."""

    samples: tuple[int, ...]  # ascending
    kind: Kind  # "bytes", "pixels" or "near"
    labels: tuple[str, ...]  # those that occur, sorted; without ""
    splits: tuple[str, ...]  # those that occur, train first; without ""

    @property
    def conflict(self) -> bool:
        """One picture with two labels."""
        return len(self.labels) > 1

    @property
    def leak(self) -> bool:
        """One picture in two splits."""
        return len(self.splits) > 1


@dataclass(frozen=True)
class Suspect:
    """A label that is likely wrong."""

    sample: int
    given: str
    suggested: str
    probability: float  # of the suggested label, by a head that had not seen the picture
    of_given: float  # of the given one, by the same head


@dataclass(frozen=True)
class Outlier:
    """A picture unlike all others in embedding space."""

    sample: int
    score: float  # 1 is usual for its dataset; the higher, the odder


@dataclass(frozen=True)
class LabelFindings:
    """What a backbone says of the labels."""

    backbone: str
    suspects: tuple[Suspect, ...]  # the most suspect first
    outliers: tuple[Outlier, ...]  # the oddest first
    checked: int  # pictures whose labels were held against out-of-fold answers
    estimated_errors: int  # off-diagonal counts of confident learning's joint
    remark: str = ""  # why labels were not checked, where some were not


@dataclass(frozen=True, eq=False)
class Inspection:
    """All of it, for one dataset."""

    dataset: Dataset
    looks: Looks
    bad: tuple[BadFile, ...]
    odd: tuple[Odd, ...]  # by kind, the oddest of each first
    duplicates: tuple[DuplicateGroup, ...]  # leaks first, then conflicts, then the rest
    labels: LabelFindings | None  # None where no backbone was available
    remarks: tuple[str, ...]  # what the reader must know: why labels were not checked, say
    seconds: float

    @property
    def leaks(self) -> tuple[DuplicateGroup, ...]:
        """Pictures that are in two splits."""
        return tuple(group for group in self.duplicates if group.leak)

    @property
    def conflicts(self) -> tuple[DuplicateGroup, ...]:
        """Pictures that have two labels."""
        return tuple(group for group in self.duplicates if group.conflict)

    def to_dict(self) -> Mapping[str, Any]:
        """The JSON form: files are named by their paths as the dataset has them."""
        from discern.inspection.document import document

        return document(self)

    def to_html(self, title: str | None = None) -> str:
        """The report: one page that needs nothing else."""
        from discern.inspection.report import render_inspection

        return render_inspection(self, title=title)

    def _repr_html_(self) -> str:
        """What a notebook shows: the report's beginning."""
        from discern.inspection.report import notebook_frame

        return notebook_frame(self)
