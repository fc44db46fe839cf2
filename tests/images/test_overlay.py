"""Heat over pictures: where it belongs, nowhere else, and in colours that are ordered."""

from io import BytesIO

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from discern.images import PreprocessSpec, to_input
from discern.images.overlay import MOST_PIXELS, heat_layer, onto_picture, overlay, png

SIDES = st.integers(40, 300)


def centre(weights: npt.NDArray[np.floating]) -> tuple[float, float]:
    """The mean place (row, column) of what is not zero, in pixels."""
    rows, columns = np.indices(weights.shape) + 0.5
    total = weights.sum()
    return float((rows * weights).sum() / total), float((columns * weights).sum() / total)


@given(
    height=SIDES,
    width=SIDES,
    resize=st.sampled_from(["shortest", "squash", "longest"]),
    crop=st.sampled_from([0.7, 0.875, 1.0]),
    seen_width=st.sampled_from([48, 64]),
)
def test_heat_lies_on_the_pixels_that_the_model_saw_there(
    height: int, width: int, resize: str, crop: float, seen_width: int
) -> None:
    """A mark in the picture, found in what the model sees, is found again in the picture."""
    spec = PreprocessSpec(64, seen_width, resize=resize, crop=crop)  # type: ignore[arg-type]
    pixels = np.zeros((height, width, 3), np.uint8)
    unit, row, column = min(height, width) // 10, height // 2, width // 2
    pixels[row - unit : row + 2 * unit, column - unit : column] = 255  # never cropped away
    seen = to_input(Image.fromarray(pixels), spec)[..., 0] / np.float32(255)
    heat = onto_picture(seen.astype(np.float32), (height, width), spec)
    assert heat.shape == (height, width)
    blur = max(height, width) / 48  # pixels of the picture in one that the model sees
    np.testing.assert_allclose(centre(heat), centre(pixels[..., 0]), atol=0.5 * (1 + blur))


def test_what_was_cropped_away_has_no_heat() -> None:
    heat = onto_picture(np.ones((4, 4), np.float32), (200, 100), PreprocessSpec(64, 64, crop=0.5))
    warm = np.argwhere(heat > 0)
    assert warm.min(0).tolist() == [75, 25] and warm.max(0).tolist() == [124, 74]
    assert (heat[75:125, 25:75] == 1).all()


@pytest.mark.parametrize("resize", ["squash", "longest"])
def test_what_was_seen_whole_has_heat_everywhere(resize: str) -> None:
    spec = PreprocessSpec(64, 64, resize=resize, crop=1.0)  # type: ignore[arg-type]
    assert (onto_picture(np.ones((4, 4), np.float32), (90, 150), spec) == 1).all()


def test_heat_on_a_border_that_was_added_is_on_no_pixel() -> None:
    spec = PreprocessSpec(64, 64, resize="longest", crop=1.0)
    heat = np.zeros((8, 8), np.float32)
    heat[:1] = 1  # above a picture that is twice as wide as high
    assert (onto_picture(heat, (100, 200), spec) == 0).all()


def test_the_map_of_a_large_picture_is_small() -> None:
    heat = onto_picture(np.eye(7, dtype=np.float32), (9000, 3000), PreprocessSpec(64, 64))
    assert heat.shape == (MOST_PIXELS, round(MOST_PIXELS / 3))


def test_without_heat_the_picture_is_as_it_was() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3)).astype(np.uint8)
    heat = np.zeros((5, 5), np.float32)
    heat[0, 0] = 1
    drawn = np.asarray(overlay(Image.fromarray(pixels), heat))
    assert drawn.shape == pixels.shape
    assert (drawn[15:, 15:] == pixels[15:, 15:]).all()
    assert (drawn[:4, :4] != pixels[:4, :4]).any(axis=2).all()


def test_more_heat_is_lighter_and_hides_more() -> None:
    layer = np.asarray(heat_layer(np.linspace(0, 1, 256, dtype=np.float32)[None]).convert("RGBA"))
    linear = (layer[0, :, :3] / 255) ** 2.2
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance) > -1e-3).all() and luminance[-1] > 10 * luminance[0]
    assert layer[0, 0, 3] == 0
    assert (np.diff(layer[0, :, 3].astype(int)) >= 0).all() and layer[0, -1, 3] > 128


def test_heat_beyond_its_range_is_cut() -> None:
    beyond, within = np.float32([[-1, 2]]), np.float32([[0, 1]])
    assert heat_layer(beyond).tobytes() == heat_layer(within).tobytes()


def test_a_png_of_the_layer_keeps_its_transparency() -> None:
    layer = heat_layer(np.random.default_rng(0).random((20, 30)).astype(np.float32))
    data = png(layer)
    read = Image.open(BytesIO(data))
    assert read.format == "PNG"
    assert read.convert("RGBA").tobytes() == layer.convert("RGBA").tobytes()
    assert len(data) < 20 * 30 + 4 * 256 + 1000  # a palette: a byte a pixel
