"""What the numbers of an array mean as pixels, where that is certain."""

from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from discern.data.readers.array_file import Array, ArrayFile
from discern.errors import DatasetError
from discern.images import PictureLimits

_CHANNELS = (1, 3, 4)
_SAY_HOW = "Save it as uint8, 0 to 255, of shape [N, H, W] or [N, H, W, 3]."


class Axes(Enum):
    """The order of an array's axes."""

    GREY = "[N, H, W]"
    LAST = "[N, H, W, channels]"
    FIRST = "[N, channels, H, W]"


def axes_of(array: ArrayFile) -> Axes:
    """How the pictures lie in an array; DatasetError where that cannot be told."""
    axes = _axes(array)
    height, width = array.shape[2:] if axes is Axes.FIRST else array.shape[1:3]
    limits = PictureLimits()
    if not height * width or height * width > limits.max_pixels:
        raise DatasetError(f"{array.where}: pictures of {width} × {height} pixels. {_SAY_HOW}")
    return axes


def check_range(array: ArrayFile) -> None:
    """DatasetError unless the numbers are uint8, or floats that are surely 0 to 1.

    They are where all lie in between and some not on the ends: as 0 to 255 that were black.
    """
    if array.dtype == np.uint8:
        return
    if array.dtype.kind != "f":
        raise DatasetError(f"{array.where}: holds {array.dtype} numbers. {_SAY_HOW}")
    between = False
    for part in array.parts():
        if not ((part >= 0) & (part <= 1)).all():
            raise DatasetError(
                f"{array.where}: holds {array.dtype} numbers that are not from 0 to 1; what is "
                f"black and white is not certain.\n{_SAY_HOW}"
            )
        between = between or bool(((part > 0) & (part < 1)).any())
    if not between:
        raise DatasetError(
            f"{array.where}: holds {array.dtype} numbers that are 0 or 1; whether of 1 or of 255 "
            f"is not certain.\n{_SAY_HOW}"
        )


def as_pixels(picture: Array, axes: Axes) -> npt.NDArray[np.uint8]:
    """One picture as uint8 [H, W] or [H, W, 3 or 4]."""
    if axes is Axes.FIRST:
        picture = picture.transpose(1, 2, 0)
    if picture.ndim == 3 and picture.shape[2] == 1:
        picture = picture[:, :, 0]
    if picture.dtype != np.uint8:
        picture = np.rint(picture.astype(np.float64) * 255)
    return np.ascontiguousarray(picture, dtype=np.uint8)


def _axes(array: ArrayFile) -> Axes:
    shape: tuple[Any, ...] = array.shape
    if len(shape) == 3:
        return Axes.GREY
    last, first = (
        len(shape) == 4 and shape[3] in _CHANNELS,
        len(shape) == 4 and shape[1] in _CHANNELS,
    )
    if last == first:
        what = "may be channels first or last" if last else "are no pictures"
        shown = ", ".join(map(str, shape))
        raise DatasetError(f"{array.where}: numbers of shape [{shown}] {what}. {_SAY_HOW}")
    return Axes.LAST if last else Axes.FIRST
