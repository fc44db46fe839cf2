"""`inspect`: from a dataset to what should be known of it before anything is trained."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from discern.data import Dataset
from discern.data.dataset import StringArray
from discern.data.files import Files
from discern.data.split_names import UNLABELLED, split_order
from discern.data.together import kept_together
from discern.errors import BackboneError
from discern.inspection.inspection import BadFile, DuplicateGroup, Inspection, LabelFindings
from discern.inspection.looks import looks_of
from discern.inspection.odd import odd_ones
from discern.progress import SILENT, Progress
from discern.survey.duplicates import Group, find_duplicates
from discern.survey.leaks import numbered
from discern.survey.survey import Survey, survey

if TYPE_CHECKING:
    from discern.training.backbones import Backbone

UNCHECKED = "Labels were not checked and no outliers looked for"


def inspect(
    dataset: Dataset,
    *,
    backbone: str | None = None,
    mirrored: bool = False,
    engine: str = "auto",
    precision: str = "auto",
    device: str = "auto",
    seed: int = 0,
    progress: Progress = SILENT,
) -> Inspection:
    """Counts, bad files, odd ones, duplicates, and with a backbone suspicious labels and outliers.

    `backbone` is named as in training; None takes the default one if it is in the cache already,
    "none" does without. Where none can be had, the inspection's remarks say so: BackboneError is
    raised only for one that was named. `mirrored` also finds mirrored duplicates.
    """
    started = time.monotonic()
    found, remark = _backbone(backbone, progress)
    looked = survey(Files(dataset), progress=progress)
    looks = looks_of(looked)
    groups = find_duplicates(looked, mirrored=mirrored, progress=progress)
    labels: LabelFindings | None = None
    if found is not None and not len(looks.samples):
        remark = f"{UNCHECKED}: there is no picture that can be decoded."
    elif found is not None:
        from discern.inspection.labels import label_findings

        labels = label_findings(
            dataset,
            found,
            engine=engine,
            precision=precision,
            device=device,
            seed=seed,
            groups=inseparable(dataset, groups),
            progress=progress,
        )
        remark = labels.remark
    return Inspection(
        dataset=dataset,
        looks=looks,
        bad=_bad(dataset, looked),
        odd=odd_ones(looks, looked),
        duplicates=_duplicates(dataset, groups),
        labels=labels,
        remarks=(remark,) if remark else (),
        seconds=time.monotonic() - started,
    )


def _backbone(name: str | None, progress: Progress) -> tuple["Backbone | None", str]:
    """The backbone to judge labels with, or why there is none."""
    if name == "none":
        return None, f"{UNCHECKED}: no backbone was wanted."
    try:
        import sklearn  # noqa: F401  # needed last; said before hours of embedding, not after

        return _loaded(name, progress)
    except ModuleNotFoundError as exc:
        missing = f"needs {exc.name}. Install it with: pip install 'discern[train]'"
        if name is not None:
            raise BackboneError(f"Checking labels {missing}") from exc
        return None, f"{UNCHECKED}: that {missing}"


def _loaded(name: str | None, progress: Progress) -> tuple["Backbone | None", str]:
    """The backbone of this name; without a name the default one, if the cache has it."""
    from discern.training.backbones import DEFAULT, cached_backbone, load_backbone

    if name is not None:
        with progress.stage(f"Backbone {name}", None):
            return load_backbone(name), ""
    if found := cached_backbone(DEFAULT):
        return found, ""
    advice = f"Name one, such as {DEFAULT}, and it is fetched."
    return (
        None,
        f"{UNCHECKED}: no backbone was named, and the default is not in the cache. {advice}",
    )


def _bad(dataset: Dataset, looked: Survey) -> tuple[BadFile, ...]:
    """The pictures that could not be decoded, in the dataset's order."""
    unusable = np.flatnonzero(looked.index < 0).tolist()
    return tuple(BadFile(i, looked.failures[str(dataset.file(i))]) for i in unusable)


def inseparable(dataset: Dataset, groups: Sequence[Group]) -> StringArray:
    """The dataset's own groups and the duplicates', those that share a picture being one [N]."""
    return kept_together(replace(dataset, copies=numbered(groups, len(dataset))))


def _duplicates(dataset: Dataset, groups: Sequence[Group]) -> tuple[DuplicateGroup, ...]:
    """What is wrong with each group: leaks first, then conflicts, then the rest, larger first."""
    described = [_described(dataset, group) for group in groups]
    return tuple(sorted(described, key=lambda g: (not g.leak, not g.conflict, -len(g.samples))))


def _described(dataset: Dataset, group: Group) -> DuplicateGroup:
    members = list(group.members)
    labels, splits = set(dataset.labels[members].tolist()), set(dataset.splits[members].tolist())
    return DuplicateGroup(
        samples=group.members,
        kind=group.kind,
        labels=tuple(sorted(labels - {""})),
        splits=tuple(sorted(splits - {"", UNLABELLED}, key=split_order)),
    )
