"""Pictures that are there more than once, and scored ones that are also among training's."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from discern.data import Dataset
from discern.data.dataset import STRING, StringArray
from discern.data.files import Files
from discern.progress import SILENT, Progress
from discern.survey.duplicates import Group, find_duplicates
from discern.survey.survey import survey

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Leak:
    """A scored picture that is also a training picture."""

    file: Path
    name: str  # as the dataset has it
    trained: str | None  # the training picture's name; None where it is not at hand
    exact: bool  # the same bytes; otherwise another form of the picture


def with_copies(dataset: Dataset, progress: Progress = SILENT) -> Dataset:
    """The dataset with `copies`: which of its labelled samples show one picture."""
    labelled = np.flatnonzero(dataset.labels != "")
    looked_at = survey(Files(dataset.where(labelled)), progress=progress)
    copies = np.full(len(dataset), "", dtype=STRING)
    copies[labelled] = numbered(find_duplicates(looked_at, progress=progress), len(labelled))
    return replace(dataset, copies=copies)


def numbered(groups: Iterable[Group], n: int) -> StringArray:
    """The number of each file's group [n]; "" for a file that is in none."""
    numbers = np.full(n, "", dtype=STRING)
    for number, group in enumerate(groups):
        numbers[list(group.members)] = str(number)
    return numbers


def find_leaks(
    dataset: Dataset,
    digests: Sequence[bytes | None],
    *,
    scored: Bools,
    trained: Bools,
    seen: Bools,
) -> tuple[Leak, ...]:
    """The scored samples that are copies of training pictures, in order; all masks are [N].

    `trained` are the training pictures, and `seen` says whose bytes were trained on, `digests` [N]
    being their hashes. Other forms of a picture are known by the dataset's `copies` alone.
    """
    copies = [""] * len(dataset) if dataset.copies is None else dataset.copies.tolist()
    others = trained & ~scored
    by_bytes = _first(digests, others)
    by_copies = _first(copies, seen & scored) | _first(copies, others)
    found = []
    for i in np.flatnonzero(scored).tolist():
        exact = bool(seen[i])
        of = by_bytes.get(digests[i]) if exact else by_copies.get(copies[i])
        if exact or of is not None:
            name = None if of is None else str(dataset.paths[of])
            found.append(Leak(dataset.file(i), str(dataset.paths[i]), name, exact))
    return tuple(found)


def among(leaks: Iterable[Leak], files: Iterable[Path]) -> tuple[Leak, ...]:
    """The leaks that are of these files."""
    known = set(files)
    return tuple(leak for leak in leaks if leak.file in known)


def _first(keys: Sequence[Any], among: Bools) -> dict[Any, int]:
    """The first position of each key among some; what has no key is left out."""
    places: dict[Any, int] = {}
    for i in np.flatnonzero(among).tolist():
        if keys[i]:
            places.setdefault(keys[i], i)
    return places
