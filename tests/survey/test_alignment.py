"""A crop is found in the picture that it was cut from."""

import numpy as np
import pytest
from PIL import Image
from scenes import scene

from discern.survey.alignment import align, cut, smoothed, unit, whole

SIDE = 48


def grey(picture: Image.Image) -> np.ndarray:
    small = picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return smoothed(np.asarray(small, np.float32)[None])


@pytest.mark.parametrize(
    "window", [(0, 1, 0, 1), (0.05, 0.9, 0.05, 0.9), (0.08, 0.9, 0, 0.93), (0, 0.92, 0.06, 0.94)]
)
@pytest.mark.parametrize("seed", range(3))
def test_a_crop_is_found(window: tuple[float, ...], seed: int) -> None:
    picture = scene(seed, 400, 300)
    top, height, left, width = window
    box = (400 * left, 300 * top, 400 * (left + width), 300 * (top + height))
    part = picture.crop(tuple(map(round, box))).point(lambda level: level * 0.8)
    fit = align(grey(picture), grey(part), whole(1), 8)
    assert fit.correlation[0] > 0.985
    assert fit.windows[0] == pytest.approx(window, abs=0.01)


def test_steps_never_make_it_worse() -> None:
    one, other = grey(scene(1)), grey(scene(2))
    found = [align(one, other, whole(1), steps).correlation[0] for steps in range(6)]
    assert found == sorted(found)
    assert found[-1] < 0.9, "another picture stays another"


def test_the_whole_window_is_the_picture() -> None:
    pictures = np.concatenate([grey(scene(1)), grey(scene(2))])
    assert cut(pictures, whole(2)) == pytest.approx(pictures, abs=1e-3)
    same = unit(pictures) - unit(3 * pictures + 20)
    assert np.abs(same).max() < 1e-5


def test_a_flat_picture_is_like_nothing() -> None:
    flat = np.full((1, SIDE, SIDE), 7, np.float32)
    fit = align(flat, grey(scene(1)), whole(1), 4)
    assert fit.correlation[0] == 0
    assert np.isfinite(fit.windows).all()


def test_no_pair_at_all() -> None:
    none = np.empty((0, SIDE, SIDE), np.float32)
    assert align(none, none, whole(0), 4).correlation.shape == (0,)
