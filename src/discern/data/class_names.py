"""The rules for the names of classes."""

import difflib
import unicodedata
from collections.abc import Collection

import numpy as np

from discern.data.dataset import Dataset
from discern.errors import DatasetError


def without_classes(dataset: Dataset, names: Collection[str]) -> Dataset:
    """The dataset without these classes; DatasetError names the nearest of an unknown one."""
    keep = np.ones(len(dataset), dtype=bool)
    for name in names:
        if name not in dataset.classes:
            raise _unknown(dataset, name)
        keep &= dataset.labels != name
    return dataset.where(keep) if names else dataset


def check_distinct(dataset: Dataset) -> None:
    """DatasetError when two classes differ in case or spaces only: they are surely one."""
    seen: dict[str, str] = {}
    for name in dataset.classes:
        twin = seen.setdefault(_essence(name), name)
        if twin != name:
            raise DatasetError(
                f"{dataset.root}: the classes {twin!r} and {name!r} differ only in case or "
                "spaces.\nGive both one name, or leave one out with --exclude."
            )


def _essence(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _unknown(dataset: Dataset, name: str) -> DatasetError:
    near = difflib.get_close_matches(name, dataset.classes, n=1)
    known = ", ".join(dataset.classes[:10]) + (", …" if len(dataset.classes) > 10 else "")
    hint = f"Did you mean {near[0]!r}?" if near else f"The classes: {known}."
    return DatasetError(f"{dataset.root}: there is no class {name!r} to exclude. {hint}")
