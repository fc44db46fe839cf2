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
    width: int  # pixels
    height: int
    brightness: float  # mean luma, 0 to 1
    sharpness: float  # variance of the Laplacian, of grey levels 0 to 255; the lower, the blurrier


def picture_statistics(
    picture: bytes | str | os.PathLike[str], limits: PictureLimits = DEFAULT_LIMITS
) -> PictureStatistics:
    """Measure an encoded picture, or the file it is in; raises PictureError as `decode` does.

    Grey levels are taken with the longer side at 256 pixels. Sharpness is LAPV of Pech-Pacheco et
    al., "Diatom autofocusing in brightfield microscopy: a comparative study", 2000.
    """
    data = picture if isinstance(picture, bytes) else read_bytes(picture, limits)
    header = read_header(data, limits)
    grey = _grey(data, header.height, header.width, limits)
    return PictureStatistics(
        header.format,
        header.width,
        header.height,
        brightness=float(grey.mean()) / 255,
        sharpness=_laplacian_variance(grey),
    )


def _grey(data: bytes, height: int, width: int, limits: PictureLimits) -> npt.NDArray[np.float32]:
    """Luma [h, w], 0 to 255, the longer of both sides being 256."""
    scale = WORKING_SIDE / max(height, width)
    h, w = (max(1, round(side * scale)) for side in (height, width))
    image = decode(data, at_least=(h, w), limits=limits).convert("L")
    small = image.resize((w, h), Image.Resampling.BILINEAR)
    return np.asarray(small, dtype=np.float32)


def _laplacian_variance(grey: npt.NDArray[np.float32]) -> float:
    """The variance of what four neighbours differ from their middle; 0 without any middle."""
    if min(grey.shape) < 3:
        return 0.0
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float((around - 4 * grey[1:-1, 1:-1]).var())
