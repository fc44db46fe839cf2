"""What a picture looks like in numbers: how large, how bright, how sharp."""

import os
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from discern.images.decode import DEFAULT_LIMITS, PictureLimits, decode, read_bytes, read_header

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


def picture_statistics(
    picture: bytes | str | os.PathLike[str], limits: PictureLimits = DEFAULT_LIMITS
) -> PictureStatistics:
    """Measure an encoded picture, or the file it is in; raises PictureError as `decode` does."""
    return measured(picture if isinstance(picture, bytes) else read_bytes(picture, limits), limits)[
        0
    ]


def measured(
    data: bytes, limits: PictureLimits = DEFAULT_LIMITS
) -> tuple[PictureStatistics, Image.Image]:
    """The measures of an encoded picture, and itself at the size they were taken at.

    The longer side then has 256 pixels. Sharpness is LAPV of Pech-Pacheco et al., "Diatom
    autofocusing in brightfield microscopy: a comparative study", 2000. Raises PictureError.
    """
    header = read_header(data, limits)
    small = _small(data, header.height, header.width, limits)
    grey = np.asarray(small.convert("L"), dtype=np.float32)
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
    return statistics, small


def _small(data: bytes, height: int, width: int, limits: PictureLimits) -> Image.Image:
    """The picture, the longer of both sides being 256."""
    scale = WORKING_SIDE / max(height, width)
    h, w = (max(1, round(side * scale)) for side in (height, width))
    image = decode(data, at_least=(h, w), limits=limits)
    return image.resize((w, h), Image.Resampling.BILINEAR)


def _laplacian_variance(grey: npt.NDArray[np.float32]) -> float:
    """The variance of what four neighbours differ from their middle; 0 without any middle."""
    if min(grey.shape) < 3:
        return 0.0
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float((around - 4 * grey[1:-1, 1:-1]).var())
