"""Laying one picture over another: which part of the first shows what the second shows?

Both are grey and of one size. The part is a rectangle of the first; it is found by Gauss–Newton
steps on the difference (Lucas and Kanade, 1981; the inverse of a crop), with brightness and
contrast taken out. Many pairs are aligned at a time.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]  # of 32 bits
Greys = Floats  # [n, S, S]
Windows = Floats  # [n, 4]: top, height, left, width, as shares of the picture

STEP = 0.06  # the furthest that a window moves at a time
EDGE, SMALLEST = 0.15, 0.8  # a window begins within the first 15 %, and holds 80 % a side at least
BEYOND = 0.02  # for the rounding of pixels


class Fit(NamedTuple):
    """How alike the window of the first picture and the second are, at best: 1 is the same."""

    correlation: Floats  # [n]
    windows: Windows


def whole(n: int) -> Windows:
    """Windows that are the whole picture."""
    return np.tile(np.array([0, 1, 0, 1], np.float32), (n, 1))


def align(first: Greys, second: Greys, start: Windows, steps: int) -> Fit:
    """The window of each of `first` that looks most like the second, sought from `start`."""
    target = unit(second)
    windows, best = start, Fit(np.full(len(first), -1, np.float32), start.copy())
    for step in range(steps + 1):
        seen = unit(cut(first, windows))
        correlation = np.einsum("nij,nij->n", seen, target)
        better = correlation > best.correlation
        best.correlation[better] = correlation[better]
        best.windows[better] = windows[better]
        if step < steps and len(first):
            windows = _moved(windows, seen, target, correlation)
    return best


def cut(pictures: Greys, windows: Windows) -> Greys:
    """The windows of the pictures, at the pictures' own size, by linear interpolation."""
    rows = _resampled(pictures, windows[:, 0], windows[:, 1])
    turned = rows.transpose(0, 2, 1)
    return _resampled(turned, windows[:, 2], windows[:, 3]).transpose(0, 2, 1)


def unit(pictures: Greys) -> Greys:
    """The pictures with mean 0 and length 1: brightness and contrast do not count."""
    centred = pictures - pictures.mean((1, 2), keepdims=True)
    length = np.sqrt(np.einsum("nij,nij->n", centred, centred))[:, None, None]
    found: Greys = centred / np.maximum(length, 1e-6)
    return found


def smoothed(pictures: Greys, times: int = 1) -> Greys:
    """Blurred by (1, 2, 1) / 4 both ways, so many times."""
    for _ in range(times):
        p = np.pad(pictures, ((0, 0), (1, 1), (1, 1)), "edge")
        p = p[:, :-2] + 2 * p[:, 1:-1] + p[:, 2:]
        pictures = (p[:, :, :-2] + 2 * p[:, :, 1:-1] + p[:, :, 2:]) / 16
    return pictures


def _places(side: int) -> Floats:
    """Where the middles of the pixels lie, as shares [S]."""
    return (np.arange(side, dtype=np.float32) + 0.5) / side


def _resampled(pictures: Greys, start: Floats, size: Floats) -> Greys:
    """The rows of the pictures from `start` on, over `size` of their height."""
    side = pictures.shape[1]
    at = (start[:, None] + size[:, None] * _places(side)) * side - np.float32(0.5)
    at = np.clip(at, 0, side - 1)
    before = np.minimum(at.astype(np.intp), side - 2)
    share = (at - before.astype(np.float32))[:, :, None]
    picture = np.arange(len(pictures))[:, None]
    above, below = pictures[picture, before], pictures[picture, before + 1]
    found: Greys = above + share * (below - above)
    return found


def _moved(windows: Windows, seen: Greys, target: Greys, correlation: Floats) -> Windows:
    """The windows one step on: least squares on what differs, of what each side's move changes."""
    n, side = len(seen), seen.shape[1]
    places = _places(side)
    down: Greys = np.gradient(seen, axis=1) * (side / windows[:, 1, None, None])
    right: Greys = np.gradient(seen, axis=2) * (side / windows[:, 3, None, None])
    moves = np.stack([down, down * places[:, None], right, right * places], 1).reshape(n, 4, -1)
    moves -= moves.mean(2, keepdims=True)
    flat = seen.reshape(n, 1, -1)
    # einsum and not @: for products this small, a BLAS that shares them out among threads, several
    # of which are here already, was ten times slower.
    moves -= np.einsum("nap,nbp->nab", moves, flat) * flat  # contrast does not count either
    differs = (target - seen * correlation[:, None, None]).reshape(n, 1, -1)
    normal = np.einsum("nap,nbp->nab", moves, moves) + 1e-4 * np.eye(4, dtype=np.float32)
    change = np.linalg.solve(normal, np.einsum("nap,nbp->nab", moves, differs))[:, :, 0]
    moved: Windows = windows + np.clip(change, -STEP, STEP)
    moved[:, 0::2] = np.clip(moved[:, 0::2], -BEYOND, EDGE)
    moved[:, 1::2] = np.clip(moved[:, 1::2], SMALLEST, 1 + BEYOND)
    return moved
