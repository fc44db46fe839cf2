"""A competition's data: train.csv, test.csv and sample_submission.csv beside the pictures."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from discern.data.dataset import STRING, Dataset
from discern.data.readers import table
from discern.data.readers.reader import ReadOptions, refuse_options
from discern.data.readers.table_columns import labels_given
from discern.data.readers.table_file import open_table, tables_in
from discern.data.split_names import TEST, TRAIN
from discern.errors import DatasetError
from discern.progress import Progress

name = "competition"
_SAMPLES = ("sample_submission", "samplesubmission")


def recognises(path: Path) -> bool:
    """Whether a train.csv lies in the folder, and beside it a test.csv or a sample submission."""
    return path.is_dir() and None not in _tables(path)


def read(path: Path, options: ReadOptions, progress: Progress) -> Dataset:
    """The labelled rows of train.csv; those of test.csv, or of the sample, are to be predicted.

    These are unlabelled, unless test.csv has labels: then it is the test split.
    """
    refuse_options(path, options, "a competition's tables", table.KNOWN)
    train_file, test_file = _tables(path) if path.is_dir() else (None, None)
    if train_file is None or test_file is None:
        raise DatasetError(f"{path}: has no train.csv with a test.csv beside it.")
    train = table.read(train_file, options, progress)
    is_sample = test_file.stem.casefold() in _SAMPLES  # its labels are made up
    if is_sample or not labels_given(open_table(test_file), options):
        return _joined(train, table.read_unlabelled(test_file, options))
    test = table.read(test_file, options, progress)
    return _joined(_all_in(TRAIN, train), _all_in(TEST, test))


def _tables(path: Path) -> tuple[Path | None, Path | None]:
    """The table with the labels, and the one that names what is to be predicted."""
    found = {file.stem.casefold(): file for file in reversed(tables_in(path))}
    rest = (found[stem] for stem in (TEST, *_SAMPLES) if stem in found)
    return found.get(TRAIN), next(rest, None)


def _all_in(split: str, dataset: Dataset) -> Dataset:
    """The dataset in one split, where its table does not say otherwise."""
    if dataset.split_names:
        return dataset
    return replace(dataset, splits=np.full(len(dataset), split, dtype=STRING))


def _joined(train: Dataset, test: Dataset) -> Dataset:
    return Dataset(
        train.root,
        np.concatenate([train.paths, test.paths]),
        np.concatenate([train.labels, test.labels]),
        np.concatenate([train.splits, test.splits]),
        np.concatenate([train.groups, test.groups]),
        f"a competition: {train.source}; {test.source}",
        metadata={k: np.concatenate([v, test.metadata[k]]) for k, v in train.metadata.items()},
    )
