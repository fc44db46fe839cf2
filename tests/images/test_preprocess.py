"""The pixels a model sees: timm's, and always of the promised shape."""

import json
import math
from typing import Any

import numpy as np
import pytest
from generated_pictures import difference, encode, noise, photo
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from discern.errors import ConfigError
from discern.images import PreprocessSpec, decode, picture_to_input, to_input

SIZES = [(300, 451), (451, 300), (224, 224), (97, 61), (1000, 40), (256, 256), (513, 512)]


def timm_pixels(image: Image.Image, config: dict[str, Any]) -> np.ndarray:
    data = pytest.importorskip("timm.data")
    resolved = data.resolve_data_config(pretrained_cfg=config)
    transform = data.create_transform(**resolved, normalize=False)
    return transform(image).permute(1, 2, 0).numpy()


def rows_first(image: Image.Image, spec: PreprocessSpec) -> Image.Image:
    """Pillow >= 13 squashes tall pictures columns first, older ones and we always rows first."""
    if spec.resize != "squash":
        return image
    kernel = Image.Resampling[spec.interpolation.upper()]
    return image.resize((spec.target[1], image.height), kernel)


@pytest.mark.parametrize("input_size", [(3, 224, 224), (3, 160, 256), (3, 97, 97)])
@pytest.mark.parametrize("crop_pct", [0.875, 0.9, 0.95, 1.0, 0.71])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("crop_mode", ["center", "squash", "border"])
def test_pixels_are_those_of_timm(
    crop_mode: str, interpolation: str, crop_pct: float, input_size: tuple[int, int, int]
) -> None:
    config = {
        "input_size": input_size,
        "crop_pct": crop_pct,
        "crop_mode": crop_mode,
        "interpolation": interpolation,
        "mean": (0.5, 0.25, 0.75),
    }
    spec = PreprocessSpec.from_timm(config)
    for height, width in SIZES:
        image = noise(height, width)
        expected = timm_pixels(rows_first(image, spec), config)
        off = difference(to_input(image, spec), expected)
        assert off.max() <= 1
        assert off.mean() < 0.1


@pytest.mark.parametrize("interpolation", ["lanczos", "box", "hamming", "nearest"])
def test_rarer_filters_are_those_of_timm(interpolation: str) -> None:
    config = {"interpolation": interpolation}
    spec = PreprocessSpec.from_timm(config)
    for height, width in SIZES:
        image = photo(height, width)
        off = difference(to_input(image, spec), timm_pixels(image, config)) > 1
        assert off.mean() < 0.01  # "nearest" and "box" may fall to the other side of a tie


@pytest.mark.parametrize("resize", ["shortest", "squash", "longest"])
@pytest.mark.parametrize("size", [(1, 5000), (5000, 1), (1, 1), (2, 3)])
def test_extreme_shapes(size: tuple[int, int], resize: Any) -> None:
    spec = PreprocessSpec(64, 48, resize, fill=(1, 2, 3))
    image = noise(*size)
    pixels = to_input(image, spec)
    assert pixels.shape == (64, 48, 3)
    assert picture_to_input(encode(image, "JPEG"), spec).shape == (64, 48, 3)


def test_border_has_the_fill_colour_and_the_picture_is_in_the_middle() -> None:
    spec = PreprocessSpec(8, 8, "longest", crop=1.0, fill=(10, 20, 30))
    pixels = to_input(Image.new("RGB", (80, 40), "white"), spec)
    assert (pixels[[0, 1, 6, 7]] == (10, 20, 30)).all()
    assert (pixels[2:6] == 255).all()


def test_pixels_are_the_caller_s_to_change() -> None:
    pixels = to_input(photo(30, 30), PreprocessSpec(8, 8))
    assert pixels.flags.writeable
    assert pixels.flags.c_contiguous


@settings(deadline=None)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    resize=st.sampled_from(["shortest", "squash", "longest"]),
    interpolation=st.sampled_from(["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"]),
    crop=st.floats(0.1, 1),
    size=st.tuples(st.integers(1, 400), st.integers(1, 400)),
)
def test_shape_is_always_the_spec_s(
    height: int, width: int, resize: Any, interpolation: Any, crop: float, size: tuple[int, int]
) -> None:
    spec = PreprocessSpec(height, width, resize, crop, interpolation)
    pixels = to_input(Image.new("RGB", size, (7, 8, 9)), spec)
    assert (pixels.shape, pixels.dtype) == ((height, width, 3), np.uint8)
    if resize != "longest":
        assert (pixels == (7, 8, 9)).all()


def test_picture_to_input_decodes_scaled_only_where_allowed() -> None:
    data = encode(photo(1200, 1600), "JPEG", quality=90)
    scaled = picture_to_input(data, PreprocessSpec(64, 64))
    full = picture_to_input(data, PreprocessSpec(64, 64, scaled_decode=False))
    assert not difference(full, to_input(decode(data), PreprocessSpec(64, 64))).any()
    assert 0 < difference(scaled, full).mean() < 1.5


SPEC = PreprocessSpec(100, 120, "longest", 0.9, "lanczos", (1, 2, 3), scaled_decode=False)


@pytest.mark.parametrize("spec", [SPEC, PreprocessSpec(7, 8)])
def test_spec_survives_json(spec: PreprocessSpec) -> None:
    assert PreprocessSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"height": 0}, "height is 0"),
        ({"width": 99999}, "width is 99999"),
        ({"height": "7"}, "height is '7'; expected int"),
        ({"crop": 1.5}, "crop is 1.5"),
        ({"crop": math.nan}, "crop is nan"),
        ({"resize": "longst"}, "resize is 'longst'"),
        ({"interpolation": "cubic"}, "interpolation is 'cubic'"),
        ({"fill": [1, 2]}, "fill is"),
        ({"fill": [1, 2, 256]}, "fill is"),
        ({"crp": 1.0}, "Did you mean 'crop'"),
    ],
)
def test_senseless_values_are_named(changed: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        PreprocessSpec.from_dict({**SPEC.to_dict(), **changed})


def test_missing_values_are_named() -> None:
    with pytest.raises(ConfigError, match="height not given"):
        PreprocessSpec.from_dict({"width": 3})


def test_from_timm_fills_in_timm_s_defaults() -> None:
    assert PreprocessSpec.from_timm({}) == PreprocessSpec(224, 224, "shortest", 0.875, "bicubic")
    config = {"input_size": (3, 299, 299), "crop_pct": None, "interpolation": "random"}
    assert PreprocessSpec.from_timm(config) == PreprocessSpec(299, 299)
    assert PreprocessSpec.from_timm(config, image_size=160) == PreprocessSpec(160, 160)
    border = PreprocessSpec.from_timm({"crop_mode": "border", "mean": (0.5, 0.0, 1.0)})
    assert (border.resize, border.fill) == ("longest", (128, 0, 255))


@pytest.mark.parametrize(
    "config",
    [
        {"input_size": (1, 28, 28)},
        {"input_size": (224, 224)},
        {"crop_mode": "corner"},
        {"interpolation": "cubic"},
    ],
)
def test_from_timm_refuses_what_it_cannot_reproduce(config: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        PreprocessSpec.from_timm(config)
