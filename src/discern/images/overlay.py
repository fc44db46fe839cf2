"""Heat over a picture: the warmer the colour, the more a place did for the answer."""

from functools import cache
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from discern.images.preprocess import PreprocessSpec, seen_box

Heat = npt.NDArray[np.float32]  # [height, width], 0 to 1

# The middle of "inferno" (van der Walt and Smith, 2015) in tenths, from 0.2 to 0.8: lightness
# rises evenly, also for those who do not tell red from green. Its ends would be lost on what is
# black or white.
COLOURS = (
    *((66, 10, 104), (106, 23, 110), (147, 38, 103), (188, 55, 84)),
    *((221, 81, 58), (243, 120, 25), (252, 165, 10)),
)
OPACITY = 0.75  # where the heat is greatest; none where there is none
LEVELS = 256
MOST_PIXELS = 1024  # a side; heat is smooth, more would show no more


def onto_picture(heat: Heat, size: tuple[int, int], spec: PreprocessSpec) -> Heat:
    """Heat by place of what a model sees, [h, w], as heat of all of the upright picture.

    `size` is (height, width) of the picture; what is returned has its proportions, and at most
    MOST_PIXELS a side. Interpolated bilinearly; zero where the model does not see the picture.
    """
    height, width = size
    shrunk = min(1.0, MOST_PIXELS / max(size))
    rows, columns = max(1, round(height * shrunk)), max(1, round(width * shrunk))
    left, top, right, bottom = seen_box(height, width, spec)
    down, across = heat.shape[0] / (bottom - top), heat.shape[1] / (right - left)
    # x and y of the map, for x and y of the picture: a x + b y + c, d x + e y + f
    to_map = (
        *(across * width / columns, 0, -left * across),
        *(0, down * height / rows, -top * down),
    )
    whole = Image.fromarray(heat.astype(np.float32)).transform(
        (columns, rows), Image.Transform.AFFINE, to_map, Image.Resampling.BILINEAR
    )
    return np.asarray(whole)


def overlay(picture: Image.Image, heat: Heat) -> Image.Image:
    """The picture in RGB with the heat laid over it, which is stretched to its size."""
    stretched = Image.fromarray(heat).resize(picture.size, Image.Resampling.BILINEAR)
    layer = heat_layer(np.asarray(stretched)).convert("RGBA")
    return Image.alpha_composite(picture.convert("RGBA"), layer).convert("RGB")


def heat_layer(heat: Heat) -> Image.Image:
    """The heat alone, transparent where there is none: a palette with alpha, small as a PNG."""
    levels = np.rint(np.clip(heat, 0, 1) * (LEVELS - 1)).astype(np.uint8)
    layer = Image.fromarray(levels)
    layer.putpalette(_palette(), "RGBA")
    return layer


@cache
def _palette() -> bytes:
    """Red, green, blue and alpha of each level."""
    level = np.linspace(0, 1, LEVELS)
    stops = np.linspace(0, 1, len(COLOURS))
    channels = [np.interp(level, stops, channel) for channel in np.transpose(COLOURS)]
    channels.append(255 * OPACITY * level)
    rows = np.rint(np.stack(channels, axis=1)).astype(np.uint8)  # [LEVELS, 4]
    return bytes(rows.tobytes())


def png(image: Image.Image) -> bytes:
    """The image as the bytes of a PNG file."""
    buffer = BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
