"""Which samples must not be parted: those of a group, and those that show one picture."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from discern.data.dataset import STRING, Dataset, StringArray

Codes = npt.NDArray[np.intp]  # [N]


def kept_together(dataset: Dataset) -> StringArray:
    """The groups [N] with copies of one picture in one of them, "" for a sample by itself.

    Groups that share a picture become one. The names depend on the samples, not on their order.
    """
    if dataset.copies is None or not (copied := dataset.copies != "").any():
        return dataset.groups
    grouped = dataset.groups != ""
    by_path = np.argsort(dataset.paths, kind="stable")
    first = by_path[_connected(dataset, np.argsort(by_path))]
    names: StringArray = np.where(copied | grouped, dataset.paths[first], "").astype(STRING)
    return names


def separable(dataset: Dataset) -> Dataset:
    """The samples with copies forgotten that no class can be divided with.

    Those are of a class that is one unit only once they are kept together, while there were more.
    """
    if dataset.copies is None:
        return dataset
    merged, parts = kept_together(dataset), kept_together(replace(dataset, copies=None))
    whole, apart = units(dataset.labels, merged), units(dataset.labels, parts)
    lone = [name for name, n in whole.items() if n < 2 <= apart[name]]
    stuck = np.isin(merged, np.unique(merged[np.isin(dataset.labels, lone)])) & (merged != "")
    return replace(dataset, copies=np.where(stuck, "", dataset.copies).astype(STRING))


def units(labels: StringArray, groups: StringArray) -> dict[str, int]:
    """By class, the number of its groups and of its samples without a group."""
    names, codes = np.unique(labels, return_inverse=True)
    grouped = groups != ""
    pairs = np.unique(codes_of(groups[grouped]) * len(names) + codes[grouped])
    numbers = np.bincount(codes[~grouped], minlength=len(names))
    numbers += np.bincount(pairs % len(names), minlength=len(names))
    return {name: n for name, n in zip(names.tolist(), numbers.tolist(), strict=True) if name}


def group_codes(groups: StringArray, alone: Codes) -> Codes:
    """A number for each group; a sample without one has that in `alone` [N]."""
    codes, named = alone.copy(), groups != ""
    if named.any():
        codes[named] = codes_of(groups[named]) + alone.max() + 1
    return codes


def codes_of(names: StringArray) -> Codes:
    """A number for each name, in the names' order."""
    return np.unique(names, return_inverse=True)[1].astype(np.intp)


def _connected(dataset: Dataset, ranks: Codes) -> Codes:
    """The least of the `ranks` [N] among all samples that a sample hangs together with."""
    assert dataset.copies is not None
    each = np.arange(len(ranks))
    columns = [group_codes(names, each) for names in (dataset.groups, dataset.copies)]
    least, before = ranks, None
    while before is None or (least != before).any():
        before = least
        for codes in columns:
            of_code = np.full(codes.max() + 1, len(ranks))
            np.minimum.at(of_code, codes, least)
            least = of_code[codes]
    return least
