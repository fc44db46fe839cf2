"""Pictures small enough to be sent with the page, within what the page may weigh."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TypeAlias

from PIL import Image

from discern.errors import PictureError
from discern.evaluation.markup import name, text
from discern.images import decode, read_bytes

SIDE = 224  # pixels, of the longer side
QUALITY = 80

Heat: TypeAlias = Callable[[Path, str], Image.Image | None]


@dataclass(frozen=True)
class Thumbnail:
    """A picture, and the same with its heat, as data URIs; or why there is none."""

    picture: str | None = None
    heat: str | None = None
    missing: str = ""


FULL = Thumbnail(missing="left out: the page would grow too large")


class Thumbnails:
    """Makes thumbnails as long as there is room: `room` is in bytes of the page.

    `heat(file, label)` gives the picture with what spoke for the label laid over it, or None;
    `side` is in pixels, of the longer side.
    """

    def __init__(self, heat: Heat | None, room: int, side: int = SIDE) -> None:
        self._heat = heat
        self._room = room
        self._side = side
        self._made: dict[tuple[Path, str], Thumbnail] = {}

    def of(self, file: Path, label: str) -> Thumbnail:
        """The picture in `file`, upright, with the heat for `label`."""
        if self._room <= 0:  # not even decoded
            return FULL
        key = file, label
        if key not in self._made:  # the same mistake is among the surest and of its pair
            self._made[key] = self._make(file, label)
        return self._within_room(self._made[key])

    def _make(self, file: Path, label: str) -> Thumbnail:
        try:
            picture = decode(read_bytes(file), at_least=(self._side, self._side))
        except PictureError as exc:
            return Thumbnail(missing=str(exc))
        heat = self._heat(file, label) if self._heat else None
        heated = None if heat is None else data_uri(heat, self._side)
        return Thumbnail(data_uri(picture, self._side), heated)

    def _within_room(self, thumbnail: Thumbnail) -> Thumbnail:
        cost = len(thumbnail.picture or "") + len(thumbnail.heat or "")
        if cost > self._room:
            return FULL
        self._room -= cost
        return thumbnail


def in_frame(thumbnail: Thumbnail, alt: str) -> str:
    """The picture, without its heat, or what there is instead; `alt` is any string."""
    if thumbnail.picture is None:
        return f'<p class="frame missing">{text(thumbnail.missing)}</p>'
    return f'<div class="frame"><img src="{thumbnail.picture}" alt="{name(alt)}"/></div>'


def data_uri(picture: Image.Image, side: int = SIDE) -> str:
    """The picture as a small JPEG in a data: URI."""
    small = picture.convert("RGB")
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = BytesIO()
    small.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return "data:image/jpeg;base64," + b64encode(buffer.getvalue()).decode("ascii")
