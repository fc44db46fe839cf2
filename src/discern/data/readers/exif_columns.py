"""Facts from the pictures' own files, as columns beside them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from discern.data.dataset import STRING, Dataset, StringArray
from discern.images.exif import FACTS, exif_facts

_THREADS = 16  # they mostly wait for the disk, or for one far away
_CHUNK = 4096  # files handed to the threads at a time


def with_exif(dataset: Dataset) -> Dataset:
    """The dataset with "taken_at", "lat", "lon" and "device" from its pictures' EXIF.

    Where a table said something under one of these names, that stays.
    """
    found = dict(zip(FACTS, _columns(dataset), strict=True))
    some = int(np.logical_or.reduce([column != "" for column in found.values()]).sum())
    for name, column in found.items():
        if (written := dataset.metadata.get(name)) is not None:
            found[name] = np.where(written == "", column, written)
    source = f"{dataset.source}; EXIF in {some:,} of {len(dataset):,} files"
    return replace(dataset, metadata={**dataset.metadata, **found}, source=source)


def _columns(dataset: Dataset) -> Iterator[StringArray]:
    """A column [N] for each of `FACTS`."""
    columns = np.full((len(FACTS), len(dataset)), "", dtype=STRING)
    for row, facts in enumerate(_facts(dataset.files())):
        for place, name in enumerate(FACTS):
            if name in facts:
                columns[place, row] = facts[name]
    yield from columns


def _facts(files: Iterator[Path]) -> Iterator[dict[str, str]]:
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="discern-exif") as pool:
        while chunk := list(islice(files, _CHUNK)):
            yield from pool.map(exif_facts, chunk)
