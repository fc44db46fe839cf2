"""Each picture through the frozen backbone, once: files in, embeddings out."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from discern.config import cache_dir
from discern.errors import PictureError, TrainingError
from discern.images import PreprocessSpec, picture_to_input
from discern.progress import SILENT, Progress
from discern.runtime.choose import open_engine, remembered
from discern.runtime.engine import Engine, Images
from discern.runtime.once import Compute, Encoded, each_once
from discern.runtime.pipeline import CHUNK, to_pixels
from discern.runtime.row_cache import RowCache
from discern.training.backbones import Backbone
from discern.training.views import WHOLE, View

SAMPLE = 16  # pictures that engines are compared on
WORTH_MEASURING = 200  # pictures; for fewer, measuring engines takes longer than it saves


@dataclass(frozen=True)
class Embeddings:
    """The embeddings of a list of files.

    Files with the same bytes share a row of `matrix`. `rows` gives each file's row, -1 for one
    that could not be decoded; those stand in `failures` by path, with the reason.
    """

    matrix: npt.NDArray[np.float32]  # [U, D]
    rows: npt.NDArray[np.intp]  # [n]
    precision: str
    failures: dict[str, str] = field(default_factory=dict)


def embed(
    files: Sequence[Path],
    backbone: Backbone,
    *,
    view: View = WHOLE,
    engine: str = "auto",
    precision: str = "auto",
    device: str = "auto",
    deadline: float | None = None,
    progress: Progress = SILENT,
) -> Embeddings:
    """Embed `files`, each in this view, reading from and adding to the cache.

    A picture seen before, under whatever name, is not decoded; a file seen before is not even
    read. Killed, it has kept all but its last seconds of work. TrainingError if the monotonic
    clock passes `deadline` first; what was embedded is kept too.
    """
    known = remembered(backbone.graph, engine, precision)
    comparing = precision == "bf16" or (len(files) >= WORTH_MEASURING and not known)
    sample = _sample(files, backbone.preprocess) if comparing else None
    opened = open_engine(
        backbone.graph, sample=sample, engine=engine, precision=precision, device=device
    )
    folder = cache_dir() / "embeddings" / f"{backbone.key}-{opened.precision}{view.suffix}"
    found = each_once(
        files,
        RowCache(folder, (np.float32, backbone.embedding_size)),
        _through(opened, backbone.preprocess, view),
        stage="Embedding",
        progress=progress,
        size=max(CHUNK, opened.batch_size),
        check=_before(deadline, len(files)),
    )
    return Embeddings(found.rows, found.index, opened.precision, found.failures)


def _sample(files: Sequence[Path], spec: PreprocessSpec) -> Images | None:
    """The first pictures, evenly spread over the files, that can be decoded."""
    pixels = []
    for path in files[:: max(1, len(files) // (2 * SAMPLE))]:
        try:
            pixels.append(to_pixels(path, spec))
        except PictureError:
            continue
    return np.stack(pixels[:SAMPLE]) if pixels else None


def _through(engine: Engine, spec: PreprocessSpec, view: View) -> Compute:
    """Pictures to embeddings [D], or to why there is none."""

    def pixels(picture: Encoded) -> Images | PictureError:
        try:
            return view.of(picture_to_input(picture.data, spec), picture.digest)
        except PictureError as exc:
            return exc

    def compute(pictures: Sequence[Encoded]) -> list[npt.NDArray[np.float32] | PictureError]:
        prepared = [pixels(picture) for picture in pictures]
        good = [p for p in prepared if not isinstance(p, PictureError)]
        vectors = iter(engine.run(np.stack(good))["embedding"] if good else ())
        return [p if isinstance(p, PictureError) else next(vectors) for p in prepared]

    return compute


def _before(deadline: float | None, files: int) -> Callable[[int], None]:
    """A check that raises TrainingError once the deadline has passed."""

    def check(done: int) -> None:
        if deadline is not None and time.monotonic() > deadline:
            raise TrainingError(
                f"The budget ran out with {done} of {files} pictures embedded;"
                " these are kept. Run it again with a larger --budget."
            )

    return check
