"""Each picture through the frozen backbone, once: files in, embeddings out."""

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from discern.config import cache_dir
from discern.errors import PictureError, TrainingError
from discern.images import PreprocessSpec, picture_to_input, read_bytes
from discern.images.digest import DigestTable, Stamp, digest, stamp
from discern.progress import SILENT, Progress
from discern.runtime.choose import open_engine, remembered
from discern.runtime.engine import Engine, Images
from discern.runtime.machine import cores
from discern.runtime.pipeline import CHUNK, chunks, ordered_map, to_pixels
from discern.training.backbones import Backbone
from discern.training.embedding_cache import EmbeddingCache, Vectors
from discern.training.views import WHOLE, View

SAMPLE = 16  # pictures that engines are compared on
WORTH_MEASURING = 200  # pictures; for fewer, measuring engines takes longer than it saves


@dataclass(frozen=True)
class Embeddings:
    """The embeddings of a list of files.

    Files with the same bytes share a row of `matrix`. `rows` gives each file's row, -1 for one
    that could not be decoded; those stand in `failures` by path, with the reason.
    """

    matrix: Vectors  # [U, D]
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
    cache = EmbeddingCache(folder, backbone.embedding_size)
    worker = _Worker(opened, backbone.preprocess, cache.known(), view)
    digests, failures = _complete(files, worker, cache, progress, deadline)
    rows: dict[bytes, int] = {}
    index = [-1 if key is None else rows.setdefault(key, len(rows)) for key in digests]
    return Embeddings(cache.read(rows), np.array(index, np.intp), opened.precision, failures)


def _sample(files: Sequence[Path], spec: PreprocessSpec) -> Images | None:
    """The first pictures, evenly spread over the files, that can be decoded."""
    pixels = []
    for path in files[:: max(1, len(files) // (2 * SAMPLE))]:
        try:
            pixels.append(to_pixels(path, spec))
        except PictureError:
            continue
    return np.stack(pixels[:SAMPLE]) if pixels else None


class _Found(NamedTuple):
    """What is known of one file after a worker had it."""

    path: str
    digest: bytes | None  # None: the file cannot be read
    stamp: Stamp | None = None  # given where the file was read
    embedding: npt.NDArray[np.float32] | None = None  # given where it was computed
    error: str | None = None


def _complete(
    files: Sequence[Path],
    worker: "_Worker",
    cache: EmbeddingCache,
    progress: Progress,
    deadline: float | None,
) -> tuple[list[bytes | None], dict[str, str]]:
    """Put what is missing into the cache; each file's digest (None: unusable), and the failures."""
    table = DigestTable(cache_dir())
    digests: list[bytes | None] = []
    read: dict[str, tuple[Stamp, bytes]] = {}
    unreadable: dict[str, str] = {}
    bad: dict[bytes, str] = {}  # copies of a bad picture wait for this one verdict
    try:
        with progress.stage("Embedding", len(files)) as advance:
            tasks = chunks(_looked_up(files, table), max(CHUNK, worker.engine.batch_size))
            for chunk in ordered_map(worker, tasks, cores()):
                for found in chunk:
                    digests.append(found.digest)
                    if found.digest is None:
                        unreadable[str(files[len(digests) - 1])] = found.error or ""
                    elif found.error:
                        bad[found.digest] = found.error
                    elif found.embedding is not None:
                        cache.add(found.digest, found.embedding)
                    if found.digest and found.stamp:
                        read[found.path] = found.stamp, found.digest
                advance(len(chunk))
                if deadline is not None and time.monotonic() > deadline:
                    raise TrainingError(
                        f"The budget ran out with {len(digests)} of {len(files)} pictures embedded;"
                        " these are kept. Run it again with a larger --budget."
                    )
    finally:
        cache.flush()
        table.remember(read)
        table.close()
    failures = dict(unreadable)
    failures |= {str(p): bad[key] for p, key in zip(files, digests, strict=True) if key in bad}
    return [None if key in bad else key for key in digests], failures


def _looked_up(files: Sequence[Path], table: DigestTable) -> Iterator[tuple[str, bytes | None]]:
    for path in files:
        name = str(path.absolute())
        yield name, table.lookup(name, stamp(name))


class _Worker:
    """Reads, decodes and embeds chunks of files; called by several threads."""

    def __init__(self, engine: Engine, spec: PreprocessSpec, known: set[bytes], view: View) -> None:
        self.engine = engine
        self._spec = spec
        self._view = view
        self._known = known
        self._claimed: set[bytes] = set()  # what some thread has read and is about to embed
        self._lock = threading.Lock()

    def __call__(self, chunk: Sequence[tuple[str, bytes | None]]) -> list[_Found]:
        prepared = [self._prepare(path, key) for path, key in chunk]
        pixels = [image for _, image in prepared if image is not None]
        if not pixels:
            return [found for found, _ in prepared]
        vectors = iter(self.engine.run(np.stack(pixels))["embedding"])
        return [
            found if image is None else found._replace(embedding=next(vectors))
            for found, image in prepared
        ]

    def _prepare(self, path: str, key: bytes | None) -> tuple[_Found, Images | None]:
        """The file's digest, and its pixels where this thread is the one to embed them."""
        if key in self._known:
            return _Found(path, key), None
        now = stamp(path)
        try:
            data = read_bytes(path)
        except PictureError as exc:
            return _Found(path, None, error=str(exc)), None
        actual = digest(data)
        if not self._claim(actual):  # only once read: a copy may be the one that can be
            return _Found(path, actual, now), None
        try:
            pixels = picture_to_input(data, self._spec)
            return _Found(path, actual, now), self._view.of(pixels, actual)
        except PictureError as exc:
            return _Found(path, actual, now, error=str(exc)), None

    def _claim(self, key: bytes) -> bool:
        """Whether this thread is the first to want the picture embedded."""
        with self._lock:
            if key in self._known or key in self._claimed:
                return False
            self._claimed.add(key)
            return True
