"""One look at every picture: what its file is, how it looks, and a form small enough to compare.

It needs no backbone and no torch. What was seen is kept in the cache under the hash of the
picture's bytes, so that a second look costs a look at the file's size and time.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from discern.config import cache_dir
from discern.errors import OutputError, PictureError
from discern.images.statistics import measured
from discern.progress import SILENT, Progress
from discern.runtime.once import Computed, Encoded, each_once
from discern.runtime.row_cache import RowCache

GREY, COLOUR = 32, 8  # pixels a side of the two small forms, whatever the picture's proportions
VERSION = 1  # of what is kept; another one is looked for anew

RECORD = np.dtype(
    [
        ("format", "S5"),
        ("mode", "S8"),
        ("width", np.uint32),
        ("height", np.uint32),
        ("bytes", np.uint64),
        ("brightness", np.float32),
        ("contrast", np.float32),
        ("sharpness", np.float32),
        ("grey", np.uint8, (GREY, GREY)),
        ("colour", np.uint8, (COLOUR, COLOUR, 3)),
    ]
)


@dataclass(frozen=True, eq=False)
class Survey:
    """What was seen of n files; files with the same bytes share one of U records.

    `index` gives each file's record, -1 for one that could not be decoded; those stand in
    `failures` by path, with the reason.
    """

    files: Sequence[Path]  # n
    records: npt.NDArray[np.void]  # [U] of RECORD
    digests: npt.NDArray[np.uint8]  # [U, 16], hashes of the pictures' bytes
    index: npt.NDArray[np.intp]  # [n]
    failures: dict[str, str]

    def column(self, name: str) -> npt.NDArray[Any]:
        """A field of the records [k], for each of the k files that could be decoded."""
        values: npt.NDArray[Any] = self.records[name][self.index[self.index >= 0]]
        return values.astype(str) if values.dtype.kind == "S" else values


def survey(files: Sequence[Path], *, progress: Progress = SILENT) -> Survey:
    """Look at `files`, reading from and adding to the cache.

    A file seen before is not read, a picture seen before under another name not decoded.
    """
    try:
        found = _seen(files, cache_dir() / "survey" / str(VERSION), progress)
    except OutputError:  # a cache that cannot be written is no reason not to look
        with TemporaryDirectory() as folder:
            found = _seen(files, Path(folder), progress)
    return Survey(files, found.rows, found.digests, found.index, found.failures)


def _seen(files: Sequence[Path], folder: Path, progress: Progress) -> Computed:
    cache = RowCache(folder, RECORD)
    return each_once(files, cache, _look, stage="Looking at pictures", progress=progress)


def _look(pictures: Sequence[Encoded]) -> list[Any]:
    return [_record(picture.data) for picture in pictures]


def _record(data: bytes) -> tuple[Any, ...] | PictureError:
    """The fields of a picture's record, or what is wrong with it."""
    try:
        statistics, picture = measured(data)
    except PictureError as exc:
        return exc
    small = np.asarray(picture.resize((GREY, GREY), Image.Resampling.BOX))
    grey = np.asarray(Image.fromarray(small).convert("L"))
    side = GREY // COLOUR
    colour = small.reshape(COLOUR, side, COLOUR, side, 3).mean((1, 3)).round().astype(np.uint8)
    return (*asdict(statistics).values(), grey, colour)
