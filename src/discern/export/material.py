"""Which pictures an export is made and proved with: those trained on calibrate, others prove."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from discern.config import cache_dir
from discern.data import Dataset
from discern.errors import ConfigError, PictureError
from discern.export.form import Form
from discern.images.digest import file_digests
from discern.model import Model
from discern.model.model import short_digests
from discern.progress import Progress
from discern.runtime.engine import Images
from discern.runtime.pipeline import to_pixels

INT8_AT_LEAST = 200  # held-out labelled pictures, or a loss of a point could not be told from none
HELD_OUT, CALIBRATION = 2000, 256  # at most; drawn where there are more


@dataclass(frozen=True, eq=False)
class HeldOut:
    """n pictures that took no part in training, and what they show."""

    files: tuple[Path, ...]
    labels: tuple[str, ...]  # "" where nobody has said
    digests: npt.NDArray[np.uint64]  # [n] short hashes of the pictures' bytes

    @property
    def names(self) -> tuple[str, ...]:
        """What to call them: the file and its folder."""
        return tuple(f"{file.parent.name}/{file.name}" for file in self.files)

    @property
    def labelled(self) -> int:
        return sum(label != "" for label in self.labels)

    def where(self, kept: list[int]) -> "HeldOut":
        """The pictures at these positions."""
        return HeldOut(
            tuple(self.files[i] for i in kept),
            tuple(self.labels[i] for i in kept),
            self.digests[kept],
        )


@dataclass(frozen=True, eq=False)
class Material:
    """What an export needs of the data."""

    held_out: HeldOut
    calibration: Images | None  # uint8 [m, H, W, 3]
    left_out: Mapping[str, str]  # file → why it could not be used


NOTHING = Material(HeldOut((), (), np.zeros(0, np.uint64)), None, {})


def gather(model: Model, dataset: Dataset | None, form: Form, progress: Progress) -> Material:
    """Divide the data by what the model was trained on.

    ConfigError where an int8 form has too few held-out pictures with labels to be judged by, or
    none to be calibrated on.
    """
    if dataset is None:
        require_enough(form, 0)
        return NOTHING
    digests = digests_of(dataset, "Looking for pictures that were trained on", progress)
    seen = model.was_trained_on(digests)
    names = short_digests(digests)
    held_out = _held_out(dataset, names, np.flatnonzero(~seen))
    require_enough(form, held_out.labelled)
    if form.precision != "int8":
        return Material(held_out, None, {})
    pixels, left_out = _calibration(model, dataset, np.flatnonzero(seen), progress)
    return Material(held_out, pixels, left_out)


def digests_of(dataset: Dataset, stage: str, progress: Progress) -> list[bytes | None]:
    """The hash of each picture's bytes; None for those that cannot be read."""
    found = []
    with progress.stage(stage, len(dataset)) as advance:
        for digest in file_digests(dataset.files(), cache_dir()):
            found.append(digest)
            advance(1)
    return found


def require_enough(form: Form, labelled: int) -> None:
    """ConfigError where an int8 form has too few labelled pictures to be judged by."""
    if form.precision == "int8" and labelled < INT8_AT_LEAST:
        raise ConfigError(
            f"{form.name} is judged by the accuracy it loses, on at least {INT8_AT_LEAST} labelled "
            f"pictures that the model was not trained on; here are {labelled}.\n"
            "Give the data it was trained on, with its validation pictures: --data DATA"
        )


def _held_out(
    dataset: Dataset, digests: npt.NDArray[np.uint64], unseen: npt.NDArray[np.intp]
) -> HeldOut:
    at = _drawn(unseen, HELD_OUT)
    part = dataset.where(at)
    return HeldOut(tuple(part.files()), tuple(part.labels.tolist()), digests[at])


def _drawn(positions: npt.NDArray[np.intp], most: int) -> npt.NDArray[np.intp]:
    """At most so many of the positions, drawn with a fixed seed, in order."""
    if len(positions) <= most:
        return positions
    return np.sort(np.random.default_rng(0).choice(positions, most, replace=False))


def _calibration(
    model: Model, dataset: Dataset, seen: npt.NDArray[np.intp], progress: Progress
) -> tuple[Images, dict[str, str]]:
    """Pixels of pictures that the model was trained on, and what could not be used."""
    pixels, left_out = [], {}
    chosen = list(dataset.where(_drawn(seen, CALIBRATION)).files())
    with progress.stage("Preparing calibration pictures", len(chosen)) as advance:
        for file in chosen:
            try:
                pixels.append(to_pixels(file, model.info.preprocess))
            except PictureError as exc:
                left_out[str(file)] = str(exc)
            advance(1)
    if not pixels:
        raise ConfigError(
            f"{dataset.root}: has no picture that the model was trained on, and int8 is "
            "calibrated on these. Give the data it was trained on: --data DATA"
        )
    return np.stack(pixels), left_out
