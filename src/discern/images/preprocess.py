"""From an upright RGB picture to the uint8 pixels a model sees: one resize, one crop.

The geometry is that of timm's evaluation transform (`transforms_imagenet_eval` in
https://github.com/huggingface/pytorch-image-models, timm/data/transforms_factory.py), so a
backbone sees what it saw when its published accuracy was measured. Mean and std are not here:
they are inside the ONNX graph.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image

from discern.config import settings_from
from discern.errors import ConfigError
from discern.images.decode import DEFAULT_LIMITS, PictureLimits, decode

Resize = Literal["shortest", "squash", "longest"]
Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"]

_LARGEST_SIDE = 8192  # of what a model sees; beyond it, a setting is a slip
_RESAMPLING = {name: Image.Resampling[name.upper()] for name in get_args(Interpolation)}
_TIMM_RESIZE: dict[str, Resize] = {"center": "shortest", "squash": "squash", "border": "longest"}
_IMAGENET_MEAN = (0.485, 0.456, 0.406)


@dataclass(frozen=True)
class PreprocessSpec:
    """How a picture becomes a [height, width, 3] array; ConfigError if it makes no sense.

    The picture is resized so that its shortest side ("shortest"), both sides ("squash") or its
    longest side ("longest") fit height and width divided by `crop`; then the middle is cut out,
    with a border of colour `fill` where "longest" leaves some of it empty. `scaled_decode` lets
    a large JPEG be decoded at a fraction of its size, never below the size it is resized to.
    """

    height: int
    width: int
    resize: Resize = "shortest"
    crop: float = 0.875
    interpolation: Interpolation = "bicubic"
    fill: tuple[int, int, int] = (0, 0, 0)
    scaled_decode: bool = True

    def __post_init__(self) -> None:
        _require(1 <= self.height <= _LARGEST_SIDE, "height", self.height, f"1 to {_LARGEST_SIDE}")
        _require(1 <= self.width <= _LARGEST_SIDE, "width", self.width, f"1 to {_LARGEST_SIDE}")
        _require(0.1 <= self.crop <= 1, "crop", self.crop, "0.1 to 1")
        _require(self.resize in get_args(Resize), "resize", self.resize, get_args(Resize))
        kinds = get_args(Interpolation)
        _require(self.interpolation in kinds, "interpolation", self.interpolation, kinds)
        colour = len(self.fill) == 3 and all(0 <= level <= 255 for level in self.fill)
        _require(colour, "fill", self.fill, "three levels from 0 to 255")

    @property
    def target(self) -> tuple[int, int]:
        """(height, width) that the picture is resized to fit, before the crop."""
        return math.floor(self.height / self.crop), math.floor(self.width / self.crop)

    def to_dict(self) -> dict[str, object]:
        """Plain values, as model.json holds them."""
        return {**asdict(self), "fill": list(self.fill)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "PreprocessSpec":
        """The reverse of `to_dict`; ConfigError names a key that is missing, unknown or wrong."""
        if missing := {"height", "width"} - values.keys():
            raise ConfigError(f"preprocess: {' and '.join(sorted(missing))} not given.")
        return settings_from(cls, values, where="preprocess")

    @classmethod
    def from_timm(
        cls, pretrained_cfg: Mapping[str, Any], image_size: int | None = None
    ) -> "PreprocessSpec":
        """The preprocessing that timm's `resolve_data_config` and `create_transform` would use.

        `image_size` replaces both sides of the backbone's own input size. ConfigError if the
        backbone does not take three channels, or is prepared in a way unknown here.
        """
        size = tuple(pretrained_cfg.get("input_size") or (3, 224, 224))
        _require(len(size) == 3 and size[0] == 3, "input_size", size, "(3, height, width)")
        mode = pretrained_cfg.get("crop_mode") or "center"
        _require(mode in _TIMM_RESIZE, "crop_mode", mode, tuple(_TIMM_RESIZE))
        interpolation: Any = pretrained_cfg.get("interpolation") or "bicubic"
        mean = pretrained_cfg.get("mean") or _IMAGENET_MEAN
        return cls(
            height=image_size or size[1],
            width=image_size or size[2],
            resize=_TIMM_RESIZE[mode],
            crop=pretrained_cfg.get("crop_pct") or 0.875,
            # "random" is of training alone: evaluation needs one, and this is timm's default
            interpolation="bicubic" if interpolation == "random" else interpolation,
            fill=_fill(mean) if mode == "border" else (0, 0, 0),
        )


def to_input(image: Image.Image, spec: PreprocessSpec) -> npt.NDArray[np.uint8]:
    """Resize and crop an upright picture to what the model sees: uint8 [H, W, 3].

    Equal to timm's evaluation transform up to one grey level of rounding in few pixels.
    """
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    height, width = _resized(rgb.height, rgb.width, spec)
    y, x = _cut(rgb.height, height, spec.height), _cut(rgb.width, width, spec.width)
    pixels = np.asarray(_resample(rgb, x, y, _RESAMPLING[spec.interpolation]))
    seen = np.empty((spec.height, spec.width, 3), np.uint8)
    if min(height - spec.height, width - spec.width) < 0:
        seen[:] = spec.fill
    seen[y.place, x.place] = pixels[y.kept, x.kept]
    return seen


def picture_to_input(
    data: bytes, spec: PreprocessSpec, limits: PictureLimits = DEFAULT_LIMITS
) -> npt.NDArray[np.uint8]:
    """Bring a picture file's bytes to what the model sees: uint8 [H, W, 3]; raises as `decode`."""
    at_least = spec.target if spec.scaled_decode else None
    return to_input(decode(data, at_least=at_least, limits=limits), spec)


def seen_box(height: int, width: int, spec: PreprocessSpec) -> tuple[float, float, float, float]:
    """(left, top, right, bottom) of what the model sees, in pixels of an upright picture.

    Where it is given a border, the box reaches beyond the picture.
    """
    to_height, to_width = _resized(height, width, spec)
    top, bottom = _seen(height, to_height, spec.height)
    left, right = _seen(width, to_width, spec.width)
    return left, top, right, bottom


def _require(holds: bool, key: str, value: object, expected: object) -> None:
    if not holds:
        raise ConfigError(f"preprocess: {key} is {value!r}; expected {expected}.")


def _fill(mean: Any) -> tuple[int, int, int]:
    """The mean colour in grey levels: after normalisation the border is zero."""
    red, green, blue = (round(255 * level) for level in mean)
    return red, green, blue


def _resized(height: int, width: int, spec: PreprocessSpec) -> tuple[int, int]:
    """(height, width) of the whole picture after the resize, rounded as timm rounds."""
    to_height, to_width = spec.target
    if spec.resize == "squash":
        return to_height, to_width
    if spec.resize == "shortest" and to_height == to_width:  # torchvision's Resize: truncates
        short = min(height, width)
        return to_height * height // short, to_width * width // short
    fit = max if spec.resize == "longest" else min  # timm's ResizeKeepRatio: rounds
    ratio = fit(height / to_height, width / to_width)
    return max(1, round(height / ratio)), max(1, round(width / ratio))


class _Cut(NamedTuple):
    """One side of the picture: which stretch of it is resized, and what of that is kept."""

    start: float  # in the picture's own pixels
    stop: float
    length: int  # what this stretch is resized to
    kept: slice  # of those, what the model sees
    place: slice  # where, among the pixels it sees; the rest is border


def _seen(side: int, resized: int, wanted: int) -> tuple[float, float]:
    """Where the `wanted` pixels that the model sees begin and end on one side of the picture."""
    cut = _cut(side, resized, wanted)
    scale = side / resized
    first = cut.start + (cut.kept.start - cut.place.start) * scale
    return first, first + wanted * scale


_SLACK = 32  # pixels


@lru_cache(maxsize=4096)  # sizes repeat from picture to picture
def _cut(side: int, resized: int, wanted: int) -> _Cut:
    """The middle `wanted` of `resized` pixels, in terms of the picture before the resize.

    Resizing only a stretch gives what resizing all and then cropping would, since Pillow's
    kernels look beyond the box they are given, as far as there are pixels. But Pillow keeps the
    box in single precision, and a shift of 1e-5 turns many a tie of rounding. So each end may
    lie a little further out, where single precision holds it best, often exactly.
    """
    if resized <= wanted:
        border = (wanted - resized) // 2
        return _Cut(0, side, resized, slice(0, resized), slice(border, border + resized))
    first = round((resized - wanted) / 2)
    last = first + wanted

    def error(pixel: int) -> float:
        exact = pixel * side / resized
        return abs(float(np.float32(exact)) - exact)

    start = min(range(first, max(-1, first - _SLACK), -1), key=error)
    stop = min(range(last, min(resized + 1, last + _SLACK)), key=error)
    kept = slice(first - start, last - start)
    return _Cut(start * side / resized, stop * side / resized, stop - start, kept, slice(0, wanted))


_REACH = 4  # pixels; Pillow's widest kernel, Lanczos, reaches 3, and there is the rounding


def _resample(image: Image.Image, x: _Cut, y: _Cut, kernel: Image.Resampling) -> Image.Image:
    """Only the stretches `x` and `y` of the picture, resized: first the rows, then the columns.

    The order shows, because levels are rounded and clipped in between. Pillow < 13 always took
    this one; later versions choose by the box's shape (python-pillow/Pillow#9549), so a cut-out
    would not be what the whole picture gives, nor a model trained with one version see the same
    in another. Two calls, each of one direction, leave no choice.
    """
    reach = math.ceil(_REACH * max(1, (y.stop - y.start) / y.length))
    top = max(0, math.floor(y.start) - reach)
    bottom = min(image.height, math.ceil(y.stop) + reach)
    if (top, bottom) != (0, image.height):
        image = image.crop((0, top, image.width, bottom))
    box = (x.start, 0, x.stop, image.height)
    image = image.resize((x.length, image.height), kernel, box)
    return image.resize((x.length, y.length), kernel, (0, y.start - top, x.length, y.stop - top))
