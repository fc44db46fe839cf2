"""Pictures that show the same, told from those that merely look alike.

No picture is compared with all others: small forms choose the pairs worth it (`candidates`), then
those that fit over each other (`matching`), and last the pictures themselves decide.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from discern.errors import PictureError
from discern.images import decode, read_bytes
from discern.progress import Progress
from discern.runtime.machine import cores
from discern.runtime.pipeline import ordered_map
from discern.survey.alignment import Windows
from discern.survey.candidates import candidates
from discern.survey.components import Components
from discern.survey.matching import SIDE, Likely, likely, same_picture

Pixels = npt.NDArray[np.uint8]  # [SIDE, SIDE, 3]

SMALLEST = 32  # pixels of the shorter side; smaller pictures look alike without being the same
FLAT = 0.02  # contrast; below it there is nothing to be alike
_DECODED = 4096  # pictures kept in memory, of those compared in detail


def join_nearly_same(
    joined: Components,
    records: npt.NDArray[np.void],
    order: npt.NDArray[np.intp],
    file: Callable[[int], Path],
    *,
    mirrored: bool,
    progress: Progress,
) -> None:
    """Join the records that show the same picture; with `mirrored`, also left to right.

    They are taken in this order, of positions. What is joined already is not compared again.
    """
    some = _comparable(records, order)
    pairs = _likely(records, some, mirrored, progress)
    looks = lru_cache(_DECODED)(lambda record: _pixels(file(record)))

    def proven(pair: _Pair) -> _Pair | None:
        return pair if _same(pair, looks) else None

    with progress.stage("Comparing pictures", len(pairs.pairs)) as advance:
        for pair in ordered_map(proven, _open(pairs, some, joined, advance), cores()):
            if pair is not None:
                joined.join(pair.part, pair.whole)


class _Pair(NamedTuple):
    """Two records, the first of which may show a window of the second; or of its mirror image."""

    part: int
    whole: int
    mirrored: bool
    window: Windows  # [4]


def _comparable(records: npt.NDArray[np.void], order: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """The records that are large and rich enough to be alike only if they are the same."""
    side = np.minimum(records["width"], records["height"])
    good = (side >= SMALLEST) & (records["contrast"] >= FLAT)
    comparable: npt.NDArray[np.intp] = order[good[order]]
    return comparable


def _likely(
    records: npt.NDArray[np.void], some: npt.NDArray[np.intp], mirrored: bool, progress: Progress
) -> Likely:
    """Pairs of positions among `some` n records; positions from n on stand for mirrored ones."""
    colours, n = records["colour"][some], len(some)
    if mirrored:
        colours = np.concatenate([colours, colours[:, :, ::-1]])
    pairs = candidates(colours, progress)
    new = (pairs[:, 0] < n) & (pairs[:, 1] != pairs[:, 0] + n)  # not the mirrored among themselves

    def greys(places: npt.NDArray[np.intp]) -> npt.NDArray[np.uint8]:
        found = records["grey"][some[places % n]]
        return np.where((places < n)[:, None, None], found, found[:, :, ::-1])

    return likely(greys, pairs[new], progress)


def _open(
    found: Likely,
    some: npt.NDArray[np.intp],
    joined: Components,
    advance: Callable[[int], None],
) -> Iterator[_Pair]:
    """The pairs that are still apart when their turn comes."""
    n = len(some)
    for (part, whole), window in zip(found.pairs.tolist(), found.windows, strict=True):
        mirrored = (part >= n) != (whole >= n)
        if whole >= n:  # the window of a mirrored picture; of the picture itself, the other side
            window = _other_side(window)
        pair = _Pair(int(some[part % n]), int(some[whole % n]), mirrored, window)
        if joined.find(pair.part) != joined.find(pair.whole):
            yield pair
        advance(1)


def _other_side(window: Windows) -> Windows:
    top, height, left, width = window
    return np.array([top, height, 1 - left - width, width], np.float32)


def _same(pair: _Pair, looks: Callable[[int], Pixels | None]) -> bool:
    part, whole = looks(pair.part), looks(pair.whole)
    if part is None or whole is None:
        return False
    return same_picture(part[:, ::-1] if pair.mirrored else part, whole, pair.window)


def _pixels(file: Path) -> Pixels | None:
    """The picture, squeezed to a square; None where it cannot be read any more."""
    try:
        picture = decode(read_bytes(file), at_least=(2 * SIDE, 2 * SIDE))
    except PictureError:
        return None
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
