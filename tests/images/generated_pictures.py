"""Generated pictures for the tests of this room."""

from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image


def photo(height: int, width: int, seed: int = 0) -> Image.Image:
    """Smooth colours with some texture: compresses like a photograph, and has no symmetry."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / max(height, width, 8)
    waves = [np.sin(9 * x + 5 * y), np.cos(7 * y - 3 * x), np.sin(20 * x * y + 2 * y)]
    texture = rng.normal(0, 2, (height, width, 3))
    return Image.fromarray((np.stack(waves, -1) * 90 + 128 + texture).clip(0, 255).astype("uint8"))


def noise(height: int, width: int, seed: int = 0) -> Image.Image:
    """The hardest picture to resample alike: every pixel its own colour."""
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The picture as a file's bytes."""
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def difference(left: Any, right: Any) -> np.ndarray:
    """Absolute difference in grey levels, pixel by pixel."""
    return np.abs(np.asarray(left).astype(int) - np.asarray(right).astype(int))
