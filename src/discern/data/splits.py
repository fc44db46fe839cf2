"""Dividing samples into train, validation and test."""

import shlex

import numpy as np
import numpy.typing as npt

from discern.config import SplitConfig
from discern.data.dataset import Dataset
from discern.data.division import held_out
from discern.data.split_names import TEST, TRAIN, UNLABELLED, VALIDATION
from discern.data.together import kept_together, separable, units
from discern.errors import ConfigError, DatasetError

_SHOWN = 3


def split_dataset(dataset: Dataset, config: SplitConfig) -> Dataset:
    """The dataset with train, validation and test; the splits it came with are kept.

    Without any (or with train alone) all labelled samples are divided. With train and test,
    validation is carved from train, as its fraction of train. With train and validation nothing
    is done. Classes keep their proportions, groups stay whole, and so do copies of one picture,
    unless their class could not be divided then. The result depends on the samples and the seed,
    not on their order. Raises DatasetError when a class is too small.
    """
    _check_fractions(config)
    given = _given_splits(dataset)
    if VALIDATION in given:
        return dataset
    pool = _pool(dataset)
    part = dataset.where(pool)
    require_trainable(part)
    part = separable(part)
    _check_divisible(part)
    splits = dataset.splits.copy()
    splits[pool] = _divided(part, config, TEST in given).splits
    return dataset.with_splits(splits)


def hold_out(dataset: Dataset, fraction: float, seed: int) -> tuple[Dataset, Dataset]:
    """Divide the labelled samples in two, (rest, held out), stratified and with whole groups.

    Copies of one picture stay together, unless their class could not be divided then. Samples
    without a label stay in the rest. Raises DatasetError for a class that has one picture or group
    only.
    """
    if not 0 < fraction < 1:
        raise ConfigError(f"the fraction to hold out is {fraction}; expected between 0 and 1.")
    parted = separable(dataset)
    _check_divisible(parted)
    held = held_out(parted, fraction, seed)
    return dataset.where(~held), dataset.where(held)


def require_trainable(dataset: Dataset) -> None:
    """DatasetError unless there are two classes, of two pictures each, all of them in train."""
    if len(dataset.classes) < 2:
        found = f"only one class, {dataset.classes[0]!r}" if dataset.classes else "no class"
        taken = f" (read as {dataset.source})" if dataset.source else ""
        raise DatasetError(
            f"{dataset.root}: has {found}; a classifier needs at least 2{taken}.\n"
            "Add pictures of another class, or name the folder that holds the class folders."
        )
    _check_enough_pictures(dataset)
    _check_all_in_train(dataset)


def _given_splits(dataset: Dataset) -> set[str]:
    """The splits of the labelled samples, {"train"} where there are none; checks they suffice."""
    labelled = (dataset.labels != "") & (dataset.splits != UNLABELLED)
    given = set(np.unique(dataset.splits[labelled]).tolist())
    if given <= {""}:
        return {TRAIN}
    if "" in given:
        n = int(np.sum(labelled & (dataset.splits == "")))
        raise DatasetError(
            f"{dataset.root}: {n} labelled pictures have no split, the others have one.\n"
            "Give a split to all of them, or to none."
        )
    if TRAIN not in given:
        raise DatasetError(
            f"{dataset.root}: has no train split, only {' and '.join(sorted(given))}.\n"
            "Add pictures to train on, or name the folder that holds all splits."
        )
    return given


def _pool(dataset: Dataset) -> npt.NDArray[np.bool_]:
    """The samples [N] that are divided: labelled, and not in a split that is kept."""
    undecided = (dataset.splits == "") | (dataset.splits == TRAIN)
    pool: npt.NDArray[np.bool_] = (dataset.labels != "") & undecided
    return pool


def _divided(part: Dataset, config: SplitConfig, test_is_given: bool) -> Dataset:
    """The samples of the pool in train, validation and, where none is given, test."""
    if test_is_given:
        return _carved(part, VALIDATION, config.validation, config.seed)
    part = _carved(part, TEST, config.test, config.seed)
    rest = config.validation / (1 - config.test)  # of what the test split has left
    return _carved(part, VALIDATION, rest, config.seed)


def _carved(dataset: Dataset, split: str, fraction: float, seed: int) -> Dataset:
    """The dataset with `fraction` of train moved to `split`; undivided samples become train."""
    pool = _pool(dataset)
    names = np.where(held_out(dataset.where(pool), fraction, seed), split, TRAIN)
    splits = dataset.splits.copy()
    splits[pool] = names.astype(splits.dtype)
    return dataset.with_splits(splits)


def _check_fractions(config: SplitConfig) -> None:
    for name in ("validation", "test"):
        if not 0 <= (value := getattr(config, name)) < 1:
            raise ConfigError(f"split.{name} is {value}; expected from 0 to below 1.")
    if config.validation + config.test >= 1:
        raise ConfigError(
            f"split.validation {config.validation} and split.test {config.test} "
            "leave nothing to train on. Their sum must stay below 1."
        )


def _check_enough_pictures(dataset: Dataset) -> None:
    labels, counts = np.unique(dataset.labels, return_counts=True)
    if lone := [name for name in labels[counts < 2].tolist() if name]:
        raise DatasetError(
            f"{_shown(dataset, lone)} 1 picture; a class needs at least 2 to be split.\n"
            f"Add pictures, or leave {_pronoun(lone)} out with {_exclude(lone)}."
        )


def _check_all_in_train(dataset: Dataset) -> None:
    """A class that only a test split knows could never be predicted."""
    known = set(np.unique(dataset.labels[np.isin(dataset.splits, ["", TRAIN])]).tolist())
    if lost := [name for name in dataset.classes if name not in known]:
        raise DatasetError(
            f"{_shown(dataset, lost)} no pictures in train.\n"
            f"Add some there, or leave {_pronoun(lost)} out with {_exclude(lost)}."
        )


def _check_divisible(dataset: Dataset) -> None:
    """Every class needs two units: pictures, or groups where pictures have groups."""
    if not dataset.classes:
        raise DatasetError(f"{dataset.root}: has no labelled pictures to divide.")
    _check_enough_pictures(dataset)
    whole = units(dataset.labels, kept_together(dataset))
    lone = [name for name, n in whole.items() if n < 2]
    if lone:
        raise DatasetError(
            f"{_shown(dataset, lone)} 1 group only; a class needs at least 2 to be split.\n"
            f"Add pictures of another group, or leave {_pronoun(lone)} out with {_exclude(lone)}."
        )


def _shown(dataset: Dataset, names: list[str]) -> str:
    """The first names with their verb; as folders where they are folders."""
    paths = dataset.paths[dataset.labels == names[0]][:1].tolist()
    is_folder = any(f"/{names[0]}/" in f"/{path}" for path in paths)
    shown = ", ".join(f"{name}/" if is_folder else repr(name) for name in names[:_SHOWN])
    if len(names) > _SHOWN:
        shown += f" and {len(names) - _SHOWN} more classes"
    return f"{shown} {'has' if len(names) == 1 else 'have'}"


def _pronoun(names: list[str]) -> str:
    return "it" if len(names) == 1 else "them"


def _exclude(names: list[str]) -> str:
    return " ".join(f"--exclude {shlex.quote(name)}" for name in names[:_SHOWN])
