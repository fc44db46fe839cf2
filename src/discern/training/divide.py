"""From a dataset as it was given to one that is divided, with no picture in two of its splits."""

from collections.abc import Iterator

import numpy as np

from discern.config import TrainConfig
from discern.data import Dataset, require_trainable, split_dataset
from discern.data.split_names import TRAIN
from discern.progress import Progress
from discern.survey.leaks import with_copies

NAMED_CLASSES = 3


def divide(dataset: Dataset, config: TrainConfig, progress: Progress) -> Dataset:
    """Divide what has no splits, with all copies of a picture in one of them.

    Splits that were given stay as they are. Raises DatasetError where it cannot be trained on.
    """
    if config.leak_check:
        dataset = with_copies(dataset, progress)
    divided = split_dataset(dataset, config.split)
    require_trainable(divided)
    for line in _remarks(divided):
        progress.say(line)
    return divided


def _remarks(divided: Dataset) -> Iterator[str]:
    """What is to be said of copies where the splits are ours."""
    if divided.given is None or divided.copies is None:
        return
    ours = (divided.copies != "") & ((divided.given == "") | (divided.given == TRAIN))
    part, groups = divided.where(ours), np.unique(divided.copies[ours])
    if not len(part):
        return
    yield (
        f"{len(part):,} pictures are copies of others, in {len(groups):,} groups; each group stays "
        "in one split."
    )
    if parted := _parted(part):
        more = len(parted) - NAMED_CLASSES
        names = ", ".join(parted[:NAMED_CLASSES]) + (f" and {more} more" if more > 0 else "")
        yield f"But not in {names}: copies of one picture are all there is to divide."


def _parted(part: Dataset) -> list[str]:
    """The classes with copies that are in several splits."""
    assert part.copies is not None
    _, codes = np.unique(part.copies, return_inverse=True)
    _, splits = np.unique(part.splits, return_inverse=True)
    pairs = np.unique(np.stack([codes, splits], axis=1), axis=0)
    crossing = np.bincount(pairs[:, 0])[codes] > 1
    return list(part.where(crossing).classes)
