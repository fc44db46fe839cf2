"""Pictures of the same pixels, whatever bytes they are kept as."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from discern.errors import PictureError
from discern.images import decode, read_bytes
from discern.progress import Progress
from discern.runtime.machine import cores
from discern.runtime.pipeline import ordered_map


def same_pixels(
    records: npt.NDArray[np.void],
    order: npt.NDArray[np.intp],
    file: Callable[[int], Path],
    progress: Progress,
) -> Iterator[tuple[int, int]]:
    """Pairs of records with the same pixels: told by their small forms, proven on all pixels."""
    alike = _alike(records, order.tolist())
    first: dict[bytes, int] = {}
    with progress.stage("Comparing pixels", len(alike)) as advance:
        for i, name in zip(alike, ordered_map(_hash, map(file, alike), cores()), strict=True):
            if name is not None:
                yield first.setdefault(name, i), i
            advance(1)


def _alike(records: npt.NDArray[np.void], order: Sequence[int]) -> list[int]:
    """The records whose sizes and small forms others have too."""
    names = [_name(records[i]) for i in order]
    numbers = Counter(names)
    return [i for i, name in zip(order, names, strict=True) if numbers[name] > 1]


def _name(record: np.void) -> bytes:
    forms = (record[field].tobytes() for field in ("width", "height", "grey", "colour"))
    return hashlib.blake2b(b"".join(forms), digest_size=16).digest()


def _hash(file: Path) -> bytes | None:
    """The hash of all of a picture's pixels; None where it cannot be read any more."""
    try:
        picture = decode(read_bytes(file))
    except PictureError:
        return None
    size = f"{picture.size}".encode()
    return hashlib.blake2b(size + picture.tobytes(), digest_size=16).digest()
