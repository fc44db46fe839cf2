"""Pictures unlike all others: far from their nearest neighbours in embedding space.

The mean distance to the nearest neighbours is the k-NN weight of Angiulli & Pizzuti, Fast Outlier
Detection in High Dimensional Spaces, 2002.
"""

import numpy as np
import numpy.typing as npt

from discern.data.dataset import StringArray
from discern.inspection.inspection import Outlier
from discern.progress import SILENT, Progress
from discern.training.embedding import Embeddings
from discern.training.head import transformed

Matrix = npt.NDArray[np.float32]
Codes = npt.NDArray[np.intp]
Floats = npt.NDArray[np.float64]

NEIGHBOURS = 10
FEWEST = 30  # pictures; of fewer nobody can say what is usual
REFERENCE = 20_000  # pictures that neighbours are looked for among: time stays linear
CHUNK = 256  # pictures compared with all of these at once: 20 MB
FENCE = 1.5  # interquartile ranges above the upper quartile: Tukey, 1977


def find_outliers(
    embeddings: Embeddings, groups: StringArray, seed: int, progress: Progress = SILENT
) -> tuple[Outlier, ...]:
    """The files [n] whose score is above Tukey's fence, the oddest first.

    Pictures that share a group [n] ("" for none) are no neighbours of each other. On photographs
    of clothes 4 of 3,409 are above the fence, and of 32 foreign pictures (noise, textures, charts,
    icons, a flower) put among them one by one 30.
    """
    score = scores(embeddings.matrix, _codes(embeddings, groups), seed, progress)
    if len(score) == 0:
        return ()
    lower, upper = np.quantile(score, [0.25, 0.75])
    by_file = np.where(embeddings.rows >= 0, score[embeddings.rows], 0.0)
    odd = np.flatnonzero(by_file > upper + FENCE * (upper - lower))
    order = odd[np.argsort(-by_file[odd], kind="stable")]
    return tuple(Outlier(int(i), float(by_file[i])) for i in order)


def scores(matrix: Matrix, codes: Codes, seed: int, progress: Progress = SILENT) -> Floats:
    """Each picture's mean distance to its nearest neighbours, relative to the median of all [U].

    `matrix` holds embeddings [U, D], and pictures of one code [U] are no neighbours. Neighbours
    are looked for among a random sample where there are very many pictures. Empty where there are
    too few, or where most are the same.
    """
    reference = _reference(len(matrix), seed)
    others = len(reference) - np.bincount(codes[reference]).max(initial=0)
    if len(matrix) < FEWEST or others < 1:
        return np.empty(0)
    distances = _mean_distances(matrix, codes, reference, min(NEIGHBOURS, int(others)), progress)
    usual = float(np.median(distances))
    return distances / usual if usual > 0 else np.empty(0)


def _codes(embeddings: Embeddings, groups: StringArray) -> Codes:
    """A number for each group; a picture without one is its own [U]."""
    codes = np.arange(len(embeddings.matrix))
    named = (groups != "") & (embeddings.rows >= 0)
    if named.any():
        names = np.unique(groups[named], return_inverse=True)[1]
        codes[embeddings.rows[named]] = names + len(codes)
    return codes


def _reference(pictures: int, seed: int) -> Codes:
    if pictures <= REFERENCE:
        return np.arange(pictures)
    return np.sort(np.random.default_rng(seed).choice(pictures, REFERENCE, replace=False))


def _mean_distances(
    matrix: Matrix, codes: Codes, reference: Codes, neighbours: int, progress: Progress
) -> Floats:
    """To the nearest of the reference pictures [U], a chunk of pictures at a time."""
    power = bool(matrix.min() >= 0)
    known = _directions(matrix[reference], power)
    found = np.empty(len(matrix))
    with progress.stage("Looking for odd ones", len(matrix)) as advance:
        for start in range(0, len(matrix), CHUNK):
            part = slice(start, start + CHUNK)
            cosines = _directions(matrix[part], power) @ known.T
            cosines[codes[part, None] == codes[reference]] = -np.inf
            nearest = np.partition(cosines, -neighbours, axis=1)[:, -neighbours:]
            found[part] = np.sqrt(np.maximum(2 - 2 * nearest, 0)).mean(axis=1)
            advance(len(cosines))
    return found


def _directions(embeddings: Matrix, power: bool) -> Matrix:
    """What the head sees of embeddings [N, D], each of unit length."""
    seen = transformed(embeddings, power)
    unit: Matrix = seen / np.maximum(np.linalg.norm(seen, axis=1, keepdims=True), 1e-6)
    return unit
