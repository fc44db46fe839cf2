"""How a model's data was divided, so that it is divided alike wherever the model is evaluated.

Which pictures are copies of each other may be found differently by another version or machine, and
one group more or less makes another division. What was kept together is therefore in the folder.
"""

from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO

import numpy as np
import numpy.typing as npt

from discern.config import SplitConfig, cache_dir, settings_from
from discern.data import Dataset, split_dataset
from discern.data.dataset import STRING
from discern.data.split_names import VALIDATION
from discern.images.digest import file_digests
from discern.model.folder import TOGETHER
from discern.model.model import Model, short_digests


def together_file(dataset: Dataset) -> Mapping[str, bytes]:
    """What a model folder keeps of copies, by the file's name; empty where nothing is to be kept.

    That is where there are none, or where the splits were given.
    """
    ours = dataset.given is not None and not (dataset.given == VALIDATION).any()
    if not ours or dataset.copies is None or not (copied := dataset.copies != "").any():
        return {}
    part = dataset.where(copied)
    numbers = np.unique(dataset.copies[copied], return_inverse=True)[1].astype(np.uint64)
    table = np.unique(np.stack([_short_digests(part), numbers], axis=1), axis=0)
    buffer = BytesIO()
    np.save(buffer, table[table[:, 0] > 0])
    return {TOGETHER: buffer.getvalue()}


def divided_again(model: Model, dataset: Dataset) -> Dataset:
    """The data that the model was trained on, divided as it was then."""
    config = settings_from(SplitConfig, model.info.dataset["split"], "model.json")
    return split_dataset(_with_kept_copies(model, dataset), config)


def _with_kept_copies(model: Model, dataset: Dataset) -> Dataset:
    """The dataset with the copies that the folder names; as it is where the folder has none."""
    if TOGETHER not in model.info.files:
        return dataset
    table = np.load(model.path / TOGETHER)
    group = {digest: str(number) for digest, number in table.tolist()}
    labelled = dataset.labels != ""
    copies = np.full(len(dataset), "", dtype=STRING)
    known = [group.get(key, "") for key in _short_digests(dataset.where(labelled)).tolist()]
    copies[labelled] = np.array(known, dtype=STRING)
    return replace(dataset, copies=copies)


def _short_digests(dataset: Dataset) -> npt.NDArray[np.uint64]:
    return short_digests(file_digests(dataset.files(), cache_dir()))
