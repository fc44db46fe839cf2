"""Pairs of pictures that may be the same, out of all pairs, without looking at all of them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from discern.progress import Progress
from discern.survey.alignment import smoothed
from discern.survey.forest import Leaves, Points, forest

Pairs = npt.NDArray[np.signedinteger[Any]]  # [P, 2], of 32 bits: there are many

TREES, LEAF = 16, 32
NEAREST, MOST = 4, 8  # of each picture: in a leaf, and in all
ALIKE = 0.9  # correlation of the small colour forms; of 5 % cropped off every side, 3 % have less
DIMENSIONS = 64  # they hold more than 99 % of what differs
SAMPLE = 20_000  # pictures that the dimensions are found on, about
_BATCH = 1 << 12  # leaves, or pictures, at a time
_NONE = np.empty((0, 2), np.int32)


def candidates(colours: npt.NDArray[np.uint8], progress: Progress) -> Pairs:
    """Pairs (i, j), i < j, of alike small colour forms [n, 8, 8, 3], each once."""
    if len(colours) < 2:
        return _NONE
    points = _points(colours)
    n, pairs = len(points), _NONE
    with progress.stage("Finding alike pictures", TREES) as advance:
        for leaves in forest(points, TREES, LEAF):
            batches = (leaves[start : start + _BATCH] for start in range(0, len(leaves), _BATCH))
            found = np.concatenate([pairs, *(_alike(points, batch) for batch in batches)])
            pairs = _nearest(points, _each_once(found, n))
            advance(1)
    return pairs


def _each_once(pairs: Pairs, n: int) -> Pairs:
    codes = np.unique(pairs[:, 0] * np.int64(n) + pairs[:, 1])
    return np.stack(np.divmod(codes, n), axis=1).astype(np.int32)


def _alike(points: Points, leaves: Leaves) -> Pairs:
    """Each point's nearest in its leaf, as far as they are alike."""
    members = points[leaves]  # [L, S, D]
    likeness = members @ members.transpose(0, 2, 1)
    likeness[leaves[:, :, None] == leaves[:, None, :]] = -1  # itself, or itself again
    nearest = np.argsort(-likeness, axis=2)[:, :, :NEAREST]
    alike = np.take_along_axis(likeness, nearest, 2) >= ALIKE
    one = np.broadcast_to(leaves[:, :, None], nearest.shape)[alike]
    other = leaves[np.arange(len(leaves))[:, None, None], nearest][alike]
    pairs = np.stack([np.minimum(one, other), np.maximum(one, other)], axis=1)
    return pairs.astype(np.int32)


def _nearest(points: Points, pairs: Pairs) -> Pairs:
    """The pairs in which one is among the nearest of the other."""
    likeness = np.concatenate([_products(points, pairs)] * 2)
    picture = pairs.T.reshape(-1)
    order = np.lexsort((-likeness, picture))
    numbers = np.bincount(picture, minlength=len(points))
    first = np.cumsum(numbers) - numbers  # where each picture's pairs begin in this order
    rank = np.arange(len(order)) - first[picture[order]]
    near = np.zeros(len(pairs), np.bool_)
    near[order[rank < MOST] % len(pairs)] = True
    return pairs[near]


def _products(points: Points, pairs: Pairs) -> Points:
    batches = (pairs[start : start + _BATCH] for start in range(0, len(pairs), _BATCH))
    products = [
        np.einsum("nd,nd->n", points[one], points[two]) for one, two in (b.T for b in batches)
    ]
    return np.concatenate(products) if products else np.empty(0, np.float32)


def _points(colours: npt.NDArray[np.uint8]) -> Points:
    """The forms as points [n, D] of length 1 whose products are their correlations."""
    forms = _forms(colours[:: max(1, len(colours) // SAMPLE)])
    # Principal components about zero, not about the mean: so products stay correlations.
    _, vectors = np.linalg.eigh(forms.T @ forms)
    basis = np.ascontiguousarray(vectors[:, ::-1][:, :DIMENSIONS])
    return np.concatenate(list(_projected(colours, basis)))


def _projected(colours: npt.NDArray[np.uint8], basis: Points) -> Iterator[Points]:
    for start in range(0, len(colours), _BATCH):
        yield _forms(colours[start : start + _BATCH]) @ basis


def _forms(colours: npt.NDArray[np.uint8]) -> Points:
    """Blurred, so that a shift changes little; mean 0 and length 1, as brightness counts not."""
    planes = np.moveaxis(colours, 3, 1).reshape(-1, *colours.shape[1:3]).astype(np.float32)
    flat = smoothed(planes).reshape(len(colours), -1)
    flat = flat - flat.mean(1, keepdims=True)
    unit: Points = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    return unit
