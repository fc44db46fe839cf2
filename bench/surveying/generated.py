"""Small pictures made for the purpose, one in a hundred a near duplicate of an earlier one.

Three sorts by turns: smooth blobs of colour, textures, and single shapes on white, of which many
are alike. Picture i depends on i alone, so the first n of a folder are a set of their own.
"""

import random
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from discern.runtime.machine import cores
from surveying.planting import KINDS

EVERY = 100  # each hundredth is a copy
ALTERED = [kind for kind in KINDS if kind.alter is not None and kind.asked is not None]
CHUNK = 500


def generate(folder: Path, n: int) -> list[Path]:
    """Write `n` JPEGs, some hundred a folder."""
    with ProcessPoolExecutor(cores()) as pool:
        return list(pool.map(partial(_write, folder), range(n), chunksize=CHUNK))


def sources(n: int) -> npt.NDArray[np.intp]:
    """[n]: what each picture is a near duplicate of, or itself."""
    return np.array([_source(i) for i in range(n)], np.intp)


def _source(i: int) -> int:
    if i % EVERY != EVERY - 1:
        return i
    earlier = random.Random(i).randrange(i)
    return earlier - 1 if earlier % EVERY == EVERY - 1 else earlier


def _write(folder: Path, i: int) -> Path:
    path = folder / f"{i // CHUNK:04}" / f"{i:06}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    picture, quality = _picture(_source(i)), 90
    if _source(i) != i:
        kind = ALTERED[i // EVERY % len(ALTERED)]
        assert kind.alter is not None
        picture, quality = kind.alter(picture, random.Random(i)), kind.quality
    picture.save(path, "JPEG", quality=quality)
    return path


def _picture(i: int) -> Image.Image:
    chance = np.random.default_rng(i)
    size = tuple(int(side) for side in chance.integers(64, 97, 2))
    return (_blobs, _texture, _shape)[i % 3](chance, size)


def _blobs(chance: np.random.Generator, size: Sequence[int]) -> Image.Image:
    cells = chance.integers(0, 256, (*chance.integers(3, 8, 2), 3), np.uint8)
    return Image.fromarray(cells).resize((size[0], size[1]), Image.Resampling.BICUBIC)


def _texture(chance: np.random.Generator, size: Sequence[int]) -> Image.Image:
    """Three gratings between two colours, and noise."""
    y, x = np.mgrid[: size[1], : size[0]]
    waves = chance.uniform(-0.4, 0.4, (3, 2))
    gratings = sum(np.sin(fx * x + fy * y + 6 * chance.random()) for fx, fy in waves)
    share = (0.5 + gratings / 6)[:, :, None]
    one, other = chance.integers(0, 256, (2, 3))
    noise = chance.normal(0, 8, (size[1], size[0], 1))
    return Image.fromarray((share * one + (1 - share) * other + noise).clip(0, 255).astype("uint8"))


def _shape(chance: np.random.Generator, size: Sequence[int]) -> Image.Image:
    """A polygon about the middle of a white ground, with a few bars across."""
    picture, shape = (Image.new("RGB", (size[0], size[1]), "white") for _ in range(2))
    colours = [tuple(colour) for colour in chance.integers(0, 230, (5, 3)).tolist()]
    shape.paste(colours[0], (0, 0, size[0], size[1]))
    for colour in colours[1:]:
        top, height = chance.random() * size[1], 2 + chance.random() * size[1] / 6
        ImageDraw.Draw(shape).rectangle((0, top, size[0], top + height), colour)
    mask = Image.new("L", picture.size)
    ImageDraw.Draw(mask).polygon(_corners(chance, size), 255)
    picture.paste(shape, mask=mask)
    return picture


def _corners(chance: np.random.Generator, size: Sequence[int]) -> list[tuple[float, float]]:
    angles = np.sort(chance.uniform(0, 2 * np.pi, chance.integers(6, 12)))
    radii = chance.uniform(0.2, 0.48, len(angles))
    return [
        (size[0] * (0.5 + r * np.cos(a)), size[1] * (0.5 + r * np.sin(a)))
        for a, r in zip(angles, radii, strict=True)
    ]
