"""Pictures with nothing odd about them, to plant odd ones among."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

WIDTH, HEIGHT = 320, 240  # more pixels than networks look at


def ordinary(seed: int) -> Image.Image:
    """Shapes of many colours before a gradient, sharp and neither dark nor bright."""
    rng = np.random.default_rng(seed)
    corners = Image.fromarray(rng.integers(60, 190, (2, 3, 3), np.uint8))
    picture = corners.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(picture)
    for _ in range(30):
        x, y, w, h = rng.integers((0, 0, 20, 20), (WIDTH, HEIGHT, 90, 90)).tolist()
        colour = tuple(rng.integers(20, 236, 3).tolist())
        (draw.ellipse if rng.random() < 0.5 else draw.rectangle)([x, y, x + w, y + h], fill=colour)
    return picture


def saved(path: Path, picture: Image.Image, kind: str = "PNG", **options: Any) -> Path:
    """The picture as a file, whatever its suffix says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, kind, **options)
    return path
