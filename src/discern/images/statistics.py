"""What a picture looks like in numbers: how large, how bright, how sharp."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from discern.images.decode import DEFAULT_LIMITS, PictureLimits, decode, read_header

WORKING_SIDE = 256  # pixels of the longer side; sharpness at different sizes cannot be compared


@dataclass(frozen=True)
class PictureStatistics:
    """One picture, upright."""

    format: str
    mode: str  # how colours are kept, as Pillow calls it
    width: int  # pixels
    height: int
    bytes: int
    brightness: float  # mean luma, 0 to 1
    contrast: float  # standard deviation of luma, 0 to 0.5
    sharpness: float  # variance of the Laplacian, of grey levels 0 to 255; the lower, the blurrier


def measured(
    data: bytes, limits: PictureLimits = DEFAULT_LIMITS
) -> tuple[PictureStatistics, Image.Image]:
    """The measures of an encoded picture, and itself, decoded no larger than they take.

    Grey levels are taken with the longer side at 256 pixels. Sharpness is LAPV of Pech-Pacheco et
    al., "Diatom autofocusing in brightfield microscopy: a comparative study", 2000. Raises
    PictureError.
    """
    header = read_header(data, limits)
    scale = WORKING_SIDE / max(header.height, header.width)
    h, w = (max(1, round(side * scale)) for side in (header.height, header.width))
    picture = decode(data, at_least=(h, w), limits=limits)
    small = picture.convert("L").resize((w, h), Image.Resampling.BILINEAR)
    grey = np.asarray(small, dtype=np.float32)
    statistics = PictureStatistics(
        header.format,
        header.mode,
        header.width,
        header.height,
        len(data),
        brightness=float(grey.mean()) / 255,
        contrast=float(grey.std()) / 255,
        sharpness=_laplacian_variance(grey),
    )
    return statistics, picture


def _laplacian_variance(grey: npt.NDArray[np.float32]) -> float:
    """The variance of what four neighbours differ from their middle; 0 without any middle."""
    if min(grey.shape) < 3:
        return 0.0
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float((around - 4 * grey[1:-1, 1:-1]).var())
