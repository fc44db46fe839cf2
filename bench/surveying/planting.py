"""Altered copies of pictures, planted across the splits of a folder of links to the originals."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from discern.data import Dataset
from discern.images import decode, read_bytes
from discern.images.digest import digest

Alter = Callable[[Image.Image, random.Random], Image.Image]


@dataclass(frozen=True)
class Kind:
    """A way to make a copy; without `alter` the bytes are copied."""

    name: str
    asked: float | None = None  # the share of pairs that must be found
    alter: Alter | None = None
    quality: int = 90  # of the JPEG


def unaltered(picture: Image.Image, _: random.Random) -> Image.Image:
    return picture


def cropped(picture: Image.Image, at: random.Random) -> Image.Image:
    """19/20 of width and height, from anywhere."""
    w, h = round(picture.width * 0.95), round(picture.height * 0.95)
    left, top = at.randint(0, picture.width - w), at.randint(0, picture.height - h)
    return picture.crop((left, top, left + w, top + h))


def mirrored(picture: Image.Image, _: random.Random) -> Image.Image:
    return ImageOps.mirror(picture)


def cut(share: float) -> Alter:
    """Without this share of its width and height on every side."""

    def alter(picture: Image.Image, _: random.Random) -> Image.Image:
        dx, dy = round(picture.width * share), round(picture.height * share)
        return picture.crop((dx, dy, picture.width - dx, picture.height - dy))

    return alter


def scaled(share: float) -> Alter:
    def alter(picture: Image.Image, _: random.Random) -> Image.Image:
        return picture.resize((round(picture.width * share), round(picture.height * share)))

    return alter


def lit(factor: float) -> Alter:
    return lambda picture, _: ImageEnhance.Brightness(picture).enhance(factor)


def with_logo(picture: Image.Image, _: random.Random) -> Image.Image:
    """A white box with a word, over the lower right corner."""
    w, h = picture.size
    marked = picture.copy()
    draw = ImageDraw.Draw(marked)
    draw.rectangle((0.7 * w, 0.9 * h, 0.98 * w, 0.98 * h), fill="white")
    draw.text((0.72 * w, 0.92 * h), "PHOTO (c)", fill="black")
    return marked


def turned(picture: Image.Image, _: random.Random) -> Image.Image:
    return picture.rotate(2, Image.Resampling.BICUBIC, fillcolor="white")


KINDS = (
    Kind("copied", 1.0),
    Kind("resized to 70 %", 1.0, scaled(0.7)),
    Kind("JPEG quality 60", 0.98, unaltered, quality=60),
    Kind("cropped by 5 %, anywhere", 0.9, cropped),
    Kind("cropped by 5 % on every side", 0.9, cut(0.05)),
    Kind("brightness +15 %", 0.95, lit(1.15)),
    Kind("brightness −15 %", 0.95, lit(0.85)),
    Kind("mirrored", None, mirrored),
)
# Nobody asked for these; they show where it ends.
BEYOND = (
    Kind("JPEG quality 30", None, unaltered, quality=30),
    Kind("brightness +30 %", None, lit(1.3)),
    Kind("brightness −30 %", None, lit(0.7)),
    Kind("contrast +20 %", None, lambda p, _: ImageEnhance.Contrast(p).enhance(1.2)),
    Kind("saturation −30 %", None, lambda p, _: ImageEnhance.Color(p).enhance(0.7)),
    Kind("grey", None, lambda p, _: p.convert("L")),
    Kind("sharpened", None, lambda p, _: p.filter(ImageFilter.SHARPEN)),
    Kind("blurred", None, lambda p, _: p.filter(ImageFilter.GaussianBlur(1))),
    Kind("resized to 30 %", None, scaled(0.3)),
    Kind("64 pixels wide", None, lambda p, _: p.resize((64, round(64 * p.height / p.width)))),
    Kind("cropped by 8 % on every side", None, cut(0.08)),
    Kind("with a logo", None, with_logo),
    Kind("with a border of 5 %", None, lambda p, _: ImageOps.expand(p, p.width // 20, "white")),
    Kind("turned by 2°", None, turned),
    Kind("turned by 90°", None, lambda p, _: p.transpose(Image.Transpose.ROTATE_90)),
)


@dataclass(frozen=True, eq=False)
class Planted:
    """n files, of which some are copies of others."""

    files: Sequence[Path]  # n
    source: npt.NDArray[np.intp]  # [n]: the file that this one is a copy of, or itself
    kind: npt.NDArray[np.intp]  # [n]: which of the kinds a copy is, -1 for those that are none
    kinds: Sequence[Kind]

    def copies(self, kind: Kind) -> npt.NDArray[np.intp]:
        return np.flatnonzero(self.kind == self.kinds.index(kind))

    @property
    def untouched(self) -> npt.NDArray[np.bool_]:
        """[n]: what is no copy, and what nothing is a copy of."""
        found = self.kind < 0
        found[self.source[self.kind >= 0]] = False
        return found


def plant(
    dataset: Dataset, folder: Path, count: int, kinds: Sequence[Kind] = KINDS, seed: int = 0
) -> Planted:
    """`count` copies of each kind, each of another picture and in the other split than it is.

    Originals are linked to. Those with the same bytes have the first of them as their source.
    """
    draw = random.Random(seed)
    originals = [_link(dataset, i, folder) for i in range(len(dataset))]
    source = _first_of_same_bytes(dataset)
    count = min(count, len(dataset) // len(kinds) // 2)  # half of the pictures stay untouched
    drawn = draw.sample(sorted(set(source.tolist())), count * len(kinds))
    of = [i for i in range(len(kinds)) for _ in range(count)]
    files = [
        _copy(dataset, i, kinds[kind], folder, draw) for i, kind in zip(drawn, of, strict=True)
    ]
    kind = np.array([-1] * len(dataset) + of, np.intp)
    return Planted([*originals, *files], np.append(source, drawn), kind, kinds)


def _first_of_same_bytes(dataset: Dataset) -> npt.NDArray[np.intp]:
    first: dict[bytes, int] = {}
    keys = (digest(read_bytes(path)) for path in dataset.files())
    return np.array([first.setdefault(key, i) for i, key in enumerate(keys)], np.intp)


def _link(dataset: Dataset, i: int, folder: Path) -> Path:
    path = _place(dataset, i, folder, str(dataset.splits[i]) or "train", dataset.file(i).name)
    path.symlink_to(dataset.file(i).absolute())
    return path


def _copy(dataset: Dataset, i: int, kind: Kind, folder: Path, draw: random.Random) -> Path:
    other = "train" if dataset.splits[i] == "validation" else "validation"
    path = _place(dataset, i, folder, other, f"{kind.name}.jpg")
    data = read_bytes(dataset.file(i))
    if kind.alter is None:
        path.write_bytes(data)
    else:
        kind.alter(decode(data), draw).save(path, "JPEG", quality=kind.quality)
    return path


def _place(dataset: Dataset, i: int, folder: Path, split: str, name: str) -> Path:
    path = folder / split / str(dataset.labels[i]) / f"{i:06} {name}"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
