"""Do two pictures show the same? First by their small forms, then by the pictures themselves."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from discern.progress import Progress
from discern.runtime.machine import cores
from discern.runtime.pipeline import ordered_map
from discern.survey.alignment import Floats, Greys, Windows, align, cut, smoothed, unit, whole
from discern.survey.candidates import Pairs

# Of photographs cropped by 5 % at every side, 99 % reach these; of pictures that merely look
# alike, one in four reaches the first.
ROUGH, FINE = 0.96, 0.965
ROUGH_STEPS, FINE_STEPS, DETAIL_STEPS = 3, 5, 2
SIDE = 96  # pixels a side at which details are compared
# Correlation of the details. Copies had 0.98 and more; what was most alike without being a copy,
# shirts on one background and a skirt photographed twice, 0.73 and less.
DETAIL = 0.92
# A smooth picture has no details; there, hardly anything may differ at all.
SMOOTH, LEVELS = 0.99, 2.0  # correlation; root mean square in grey levels
COLOURS = 0.9  # correlation of the colours: another colour is another picture
_BATCH = 512  # pairs at a time
_MARGIN = 2  # pixels at the edges that a window may have had to make up


class Likely(NamedTuple):
    """Pairs (part, whole) whose small forms fit, best first: part shows a window of whole."""

    pairs: Pairs  # [P, 2]
    windows: Windows  # [P, 4]


# Positions [n] to small grey forms [n, 32, 32].
Forms = Callable[[npt.NDArray[np.intp]], npt.NDArray[np.uint8]]


def likely(greys: Forms, pairs: Pairs, progress: Progress) -> Likely:
    """The pairs whose small grey forms fit over each other, one way or the other."""
    batches = [pairs[start : start + _BATCH] for start in range(0, len(pairs), _BATCH)]
    found = []
    with progress.stage("Laying pictures over each other", len(pairs)) as advance:
        fittings = ordered_map(lambda some: _fitting(greys, some), batches, cores())
        for batch, fitting in zip(batches, fittings, strict=True):
            found.append(fitting)
            advance(len(batch))
    if not found:
        return Likely(np.empty((0, 2), np.intp), np.empty((0, 4), np.float32))
    both, windows, correlations = (np.concatenate(part) for part in zip(*found, strict=True))
    best = np.argsort(-correlations, kind="stable")
    return Likely(both[best], windows[best])


class _Fitting(NamedTuple):
    pairs: Pairs
    windows: Windows
    correlations: Floats


def _fitting(greys: Forms, pairs: Pairs) -> _Fitting:
    """Aligned at half the size first, both ways; what fits then, at the whole size."""
    both = np.concatenate([pairs, pairs[:, ::-1]])
    part, large = (smoothed(_halved(greys(both[:, k]))) for k in (0, 1))
    fit = align(large, part, whole(len(both)), ROUGH_STEPS)
    forth, back = fit.correlation[: len(pairs)], fit.correlation[len(pairs) :]
    better = np.where(forth >= back, np.arange(len(pairs)), np.arange(len(pairs)) + len(pairs))
    kept = better[fit.correlation[better] >= ROUGH]
    part, large = (smoothed(greys(both[kept, k]).astype(np.float32)) for k in (0, 1))
    fit = align(large, part, fit.windows[kept], FINE_STEPS)
    good = fit.correlation >= FINE
    return _Fitting(both[kept[good]], fit.windows[good], fit.correlation[good])


def _halved(greys: npt.NDArray[Any]) -> Greys:
    n, side = len(greys), greys.shape[1] // 2
    found: Greys = greys.reshape(n, side, 2, side, 2).mean((2, 4), dtype=np.float32)
    return found


def same_picture(
    part: npt.NDArray[np.uint8], large: npt.NDArray[np.uint8], window: Windows
) -> bool:
    """Whether `part` [96, 96, 3] shows the window [4] of `large`, to the details.

    Most pairs that are not the same fail at half the size already, which takes a quarter as long.
    """
    windows, grey, other = window[None], _luma(part)[None], _luma(large)[None]
    for one, two in ((_halved(grey), _halved(other)), (grey, other)):
        windows = align(two, one, windows, DETAIL_STEPS).windows
        seen = cut(two, windows)
        if _details(seen, one) < DETAIL and not _hardly_differ(seen, one):
            return False
    planes = cut(np.moveaxis(large, 2, 0).astype(np.float32), np.repeat(windows, 3, 0))
    return _colours(planes, np.moveaxis(part, 2, 0).astype(np.float32)) >= COLOURS


def _luma(picture: npt.NDArray[np.uint8]) -> Floats:
    found: Floats = picture.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    return found


def _details(seen: Greys, grey: Greys) -> float:
    """Correlation of what lies between two blurs, without the edges."""
    one, other = (unit(_inner(smoothed(p) - smoothed(p, 4))) for p in (seen, grey))
    return float((one * other).sum())


def _hardly_differ(seen: Greys, grey: Greys) -> bool:
    """Whether the pictures are alike in everything, once brightness and contrast are."""
    correlation = float((unit(_inner(seen)) * unit(_inner(grey))).sum())
    differs = float(_inner(grey).std()) * math.sqrt(max(1 - correlation**2, 0))
    return correlation >= SMOOTH and differs <= LEVELS


def _colours(seen: Greys, planes: Greys) -> float:
    """Correlation of all three planes' small forms together."""
    side = SIDE // 8
    one, other = (
        unit(p.reshape(3, 8, side, 8, side).mean((2, 4)).reshape(1, 24, 8)) for p in (seen, planes)
    )
    return float((one * other).sum())


def _inner(pictures: Greys) -> Greys:
    return pictures[:, _MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
