"""Views: other forms of a training picture that a frozen backbone embeds beside the picture itself.

Mirrored, or cropped: a head that learned from several forms of a picture minds less how the next
one was framed. Views are made of the pixels that the backbone sees, are always the same for a
picture, and are cached as its embedding is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from discern.training.head import Matrix, Rows

Pixels = npt.NDArray[np.uint8]  # [H, W, 3]

SMALLEST_CROP = 0.7  # of the area


@dataclass(frozen=True)
class View:
    """One way to look at pictures; crops of another `number` are other crops."""

    kind: Literal["whole", "mirrored", "crop"]
    number: int = 0

    @property
    def suffix(self) -> str:
        """What this view's embeddings have in their cache's name."""
        return "" if self == WHOLE else f"-{self.kind}{self.number or ''}"

    def of(self, pixels: Pixels, picture: bytes) -> Pixels:
        """The view [H, W, 3] of a picture's pixels; crops are drawn by the picture's hash."""
        if self.kind == "mirrored":
            return pixels[:, ::-1]
        if self.kind == "crop":
            return _cropped(pixels, np.random.default_rng([self.number, *picture]))
        return pixels


WHOLE = View("whole")


def extra_views(views: int, mirror: bool) -> tuple[View, ...]:
    """The views - 1 forms that are embedded beside the picture: mirrored, if so; then crops."""
    first = (View("mirrored"),) if mirror else ()
    return (*first, *(View("crop", k) for k in range(1, views)))[: views - 1]


def _cropped(pixels: Pixels, chance: np.random.Generator) -> Pixels:
    """A random part of the same proportions, enlarged to the same size."""
    height, width = pixels.shape[:2]
    side = np.sqrt(chance.uniform(SMALLEST_CROP, 1))
    left, top = chance.uniform(0, 1 - side, 2) * (width, height)
    box = (left, top, left + side * width, top + side * height)
    part = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC, box)
    return np.asarray(part)


def with_views(rows: Rows, views: Sequence[Matrix]) -> Rows:
    """The rows [N], and each once more for every view, whose embeddings are [N, D].

    A picture counts as much as before, by all its forms together, and these stay in one fold; only
    the picture itself, whose `origin` is its own position, is judged.
    """
    if not views:
        return rows
    times = 1 + len(views)
    return replace(
        rows,
        embeddings=np.concatenate([rows.embeddings, *views]),
        truth=np.tile(rows.truth, times),
        weights=np.tile(rows.weights, times),
        groups=np.tile(rows.groups, times),
        samples=np.tile(rows.samples, times),
        origin=np.tile(rows.origin, times),
        metadata=None if rows.metadata is None else np.tile(rows.metadata, (times, 1)),
    )
