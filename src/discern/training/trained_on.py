"""Which pictures took part in training, and which scored ones are among them."""

from collections.abc import Collection
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import numpy.typing as npt

from discern.config import cache_dir
from discern.data import Dataset
from discern.images.digest import file_digests
from discern.model.model import short_digests
from discern.survey.leaks import Leak, find_leaks


@dataclass(frozen=True, eq=False)
class TrainedOn:
    """The samples of a divided dataset, with the hashes of their bytes; all [N]."""

    dataset: Dataset
    digests: tuple[bytes | None, ...]
    trained: npt.NDArray[np.bool_]

    def leaks(self, split: str) -> tuple[Leak, ...]:
        """The pictures of another split that are also training pictures."""
        known = {d for d, took_part in zip(self.digests, self.trained, strict=True) if took_part}
        labelled = self.dataset.labels != ""
        return find_leaks(
            self.dataset,
            self.digests,
            scored=labelled & (self.dataset.splits == split),
            trained=self.trained,
            seen=np.array([d is not None and d in known for d in self.digests], bool),
        )

    def short_hashes(self) -> bytes:
        """Those of the training pictures, sorted, as a file of NumPy's."""
        took_part = (self.digests[i] for i in np.flatnonzero(self.trained).tolist())
        buffer = BytesIO()
        np.save(buffer, np.unique(short_digests(filter(None, took_part))))
        return buffer.getvalue()


def trained_on(dataset: Dataset, splits: Collection[str]) -> TrainedOn:
    """The labelled samples of these splits took part."""
    trained = np.isin(dataset.splits, list(splits)) & (dataset.labels != "")
    return TrainedOn(dataset, tuple(file_digests(dataset.files(), cache_dir())), trained)
