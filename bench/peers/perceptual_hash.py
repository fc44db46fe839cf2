"""Pictures with like perceptual hashes: python perceptual_hash.py FILES.json ANSWER.json.

The way of imagededup's PHash, with ImageHash's 64 bits: every pair of hashes is compared, and
those that differ in 10 bits or fewer (its default) are duplicates; chains of them are a group.
"""

import json
import sys
from multiprocessing import Pool
from pathlib import Path

import imagehash
import numpy as np
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

BITS = 10


def hashed(path: str) -> np.ndarray:
    with Image.open(path) as picture:
        return imagehash.phash(picture).hash.ravel()


def main(files: str, answer: str) -> None:
    paths = json.loads(Path(files).read_text())
    with Pool() as pool:
        bits = np.array(pool.map(hashed, paths, chunksize=32), np.float32)
    differing = bits @ (1 - bits).T
    one, other = np.nonzero(differing + differing.T <= BITS)
    pairs = coo_array((np.ones(len(one)), (one, other)), (len(paths), len(paths)))
    _, group = connected_components(pairs, directed=False)
    groups = [np.flatnonzero(group == g).tolist() for g in np.flatnonzero(np.bincount(group) > 1)]
    Path(answer).write_text(json.dumps({"groups": groups}))


if __name__ == "__main__":
    main(*sys.argv[1:])
