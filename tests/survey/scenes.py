"""Pictures as varied as photographs: gradients, shapes of many colours, grain."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter


def scene(seed: int, width: int = 160, height: int = 120) -> Image.Image:
    """A scene that the seed gives, the same at every call."""
    rng = np.random.default_rng(seed)
    corners = Image.fromarray(rng.integers(0, 256, (3, 4, 3), np.uint8))
    picture = corners.resize((width, height), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(picture)
    for _ in range(40):
        x, y = rng.integers(0, (width, height))
        w, h = rng.integers(4, (width // 3, height // 3))
        colour = tuple(rng.integers(0, 256, 3).tolist())
        (draw.ellipse if rng.random() < 0.5 else draw.rectangle)([x, y, x + w, y + h], fill=colour)
    return picture.filter(ImageFilter.GaussianBlur(0.7))


def saved(path: Path, picture: Image.Image, kind: str = "PNG", **options: Any) -> Path:
    """The picture as a file, whatever its suffix says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded_as(picture, kind, **options))
    return path


def encoded_as(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()
