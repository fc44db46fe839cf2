"""Where is the model weak? Accuracy on pictures alike in one thing, against that on the rest."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from math import fsum
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from discern.evaluation.cases import right
from discern.evaluation.findings import Slice
from discern.evaluation.metrics import wilson_interval
from discern.evaluation.scored import Scored
from discern.evaluation.significance import holm, worse_than_rest
from discern.progress import SILENT, Progress
from discern.survey.survey import Survey, survey

Bools: TypeAlias = npt.NDArray[np.bool_]

FEWEST = 20  # pictures in a slice, and in the rest
MOST_VALUES = 20  # of a column; with more it is no grouping
ALPHA = 0.05
SQUARE = 1.1  # times as long as the other: up to here a picture is about square


class Group(NamedTuple):
    """Pictures alike in one thing, of n."""

    kind: str
    name: str
    members: Bools  # [n]


class Measure(NamedTuple):
    """A quantity whose lowest and highest quarters are groups; `unit` says what a bound means."""

    kind: str
    lowest: str
    highest: str
    unit: str
    values: npt.NDArray[np.float64]  # [n]


def score_slices(
    scored: Scored, labels: tuple[str, ...], progress: Progress = SILENT
) -> tuple[Slice, ...]:
    """Accuracy on each group of at least 20 pictures and on the rest, the most suspect first.

    Groups: quarters by size, brightness and sharpness; the shape, the file's format, its folder,
    and columns of few values. `p` is for a group no worse than the rest, adjusted for all groups
    (Holm); `worse` where it is below 0.05. A group may be worse for its mix of classes alone,
    which `expected` tells. Pictures that can no longer be read are left out.
    """
    looks = survey(scored.files, progress=progress)
    readable = looks.index >= 0
    hits = right(scored, labels)[readable]
    groups = [
        *_by_look(looks),
        *_by_value("Folder", _folders(scored), readable),
        *(g for name, c in scored.metadata.items() for g in _by_value(name, c.tolist(), readable)),
    ]
    large = [g for g in groups if FEWEST <= g.members.sum() <= len(hits) - FEWEST]
    counts = [_counts(group, hits) for group in large]
    adjusted = holm([worse_than_rest(*four) for four in counts])
    usual = _usual(np.array(scored.truth, dtype=object)[readable], hits)
    # fsum: the order of the pictures does not show in the last digit.
    expected = [fsum(usual[group.members]) / group.members.sum() for group in large]
    found = [_slice(*each) for each in zip(large, counts, adjusted, expected, strict=True)]
    return tuple(sorted(found, key=lambda s: (s.p, s.accuracy.value, s.kind, s.name)))


def _by_look(looks: Survey) -> Iterator[Group]:
    for measure in _measures(looks):
        yield from _quarters(measure)
    everything = np.ones(int((looks.index >= 0).sum()), dtype=np.bool_)
    yield from _by_value("Shape", _shapes(looks), everything)
    yield from _by_value("File format", looks.column("format").tolist(), everything)


def _measures(looks: Survey) -> tuple[Measure, ...]:
    size = np.minimum(looks.column("width"), looks.column("height")).astype(np.float64)
    light = 100 * looks.column("brightness").astype(np.float64)
    sharpness = looks.column("sharpness").astype(np.float64)
    return (
        Measure("Size", "smallest", "largest", "shorter side {} {:.0f} px", size),
        Measure("Brightness", "darkest", "brightest", "mean {} {:.0f} %", light),
        Measure("Sharpness", "blurriest", "sharpest", "Laplacian variance {} {:.0f}", sharpness),
    )


def _quarters(measure: Measure) -> Iterator[Group]:
    """The quarters at both ends; none where so many are alike that there is no such quarter."""
    values = measure.values
    if not len(values):
        return
    low, high = np.quantile(values, (0.25, 0.75)).tolist()
    for word, members, bound in (
        (measure.lowest, values <= low, measure.unit.format("up to", low)),
        (measure.highest, values >= high, measure.unit.format("from", high)),
    ):
        if members.sum() <= len(values) / 2:
            yield Group(measure.kind, f"{word} quarter ({bound})", members)


def _shapes(looks: Survey) -> list[str]:
    width, height = (looks.column(side).astype(np.float64) for side in ("width", "height"))
    shapes = np.where(height > SQUARE * width, "portrait", "about square")
    names: list[str] = np.where(width > SQUARE * height, "landscape", shapes).tolist()
    return names


def _by_value(kind: str, values: Sequence[str], rows: Bools) -> Iterator[Group]:
    """A group for each of a few values of the picked rows; none where all are alike."""
    column = np.array(values, dtype=object)[rows]
    names = sorted(set(column.tolist()))
    if 1 < len(names) <= MOST_VALUES:
        for name in names:
            yield Group(kind, name or "not given", column == name)


def _folders(scored: Scored) -> list[str]:
    """Where each picture lies below the folder that has them all, its class's folder left out."""
    parents = [os.path.abspath(file.parent) for file in scored.files]
    above = len(Path(os.path.commonpath(parents)).parts)
    return [
        "/".join(part for part in Path(parent).parts[above:] if part != truth) or "."
        for parent, truth in zip(parents, scored.truth, strict=True)
    ]


def _counts(group: Group, hits: Bools) -> tuple[int, int, int, int]:
    """Hits and pictures, in the group and in the rest."""
    inside, outside = hits[group.members], hits[~group.members]
    return int(inside.sum()), len(inside), int(outside.sum()), len(outside)


def _usual(truth: npt.NDArray[np.object_], hits: Bools) -> npt.NDArray[np.float64]:
    """The accuracy on all pictures of each one's class [n]."""
    _, codes = np.unique(truth, return_inverse=True)
    share = np.bincount(codes, weights=hits) / np.bincount(codes)
    usual: npt.NDArray[np.float64] = share[codes]
    return usual


def _slice(group: Group, counts: tuple[int, int, int, int], p: float, expected: float) -> Slice:
    hits, n, rest_hits, rest = counts
    return Slice(
        kind=group.kind,
        name=group.name,
        n=n,
        accuracy=wilson_interval(hits, n),
        rest=wilson_interval(rest_hits, rest),
        p=p,
        worse=p < ALPHA,
        expected=expected,
    )
