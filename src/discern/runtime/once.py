"""Each picture once: what is computed of it is kept under the hash of its bytes.

A file seen before is not even read, a picture seen before under another name is not decoded, and
a killed run has kept all but its last seconds of work.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from discern.config import cache_dir
from discern.errors import PictureError
from discern.images import read_bytes
from discern.images.digest import DIGEST_BYTES, DigestTable, Stamp, digest, stamp
from discern.progress import Progress
from discern.runtime.machine import cores
from discern.runtime.pipeline import CHUNK, chunks, ordered_map
from discern.runtime.row_cache import RowCache, Rows


class Encoded(NamedTuple):
    """A picture as its file holds it."""

    digest: bytes
    data: bytes


# A row for each picture, or why there is none; called by several threads at once.
Compute = Callable[[Sequence[Encoded]], Sequence[Any]]


@dataclass(frozen=True, eq=False)
class Computed:
    """What was computed of n files; files with the same bytes share one of the U rows.

    `index` gives each file's row, -1 for one that could not be decoded; those stand in `failures`
    by path, with the reason.
    """

    rows: Rows  # [U, …]
    digests: npt.NDArray[np.uint8]  # [U, 16], of the rows' pictures
    index: npt.NDArray[np.intp]  # [n]
    failures: dict[str, str] = field(default_factory=dict)


def each_once(
    files: Sequence[Path],
    cache: RowCache,
    compute: Compute,
    *,
    stage: str,
    progress: Progress,
    size: int = CHUNK,
    check: Callable[[int], None] = lambda _done: None,
) -> Computed:
    """Each file's row, from the cache or by `compute`, which is given up to `size` pictures.

    `check` hears how many files are done, and may raise: what was computed is kept.
    """
    worker = _Worker(compute, cache.known())
    digests, failures = _complete(files, worker, cache, stage, progress, size, check)
    places: dict[bytes, int] = {}
    index = [-1 if key is None else places.setdefault(key, len(places)) for key in digests]
    keys = np.frombuffer(b"".join(places), np.uint8).reshape(-1, DIGEST_BYTES)
    return Computed(cache.read(places), keys, np.array(index, np.intp), failures)


class _Found(NamedTuple):
    """What is known of one file after a worker had it."""

    path: str
    digest: bytes | None  # None: the file cannot be read
    stamp: Stamp | None = None  # given where the file was read
    row: Any = None  # given where it was computed
    error: str | None = None


def _complete(
    files: Sequence[Path],
    worker: "_Worker",
    cache: RowCache,
    stage: str,
    progress: Progress,
    size: int,
    check: Callable[[int], None],
) -> tuple[list[bytes | None], dict[str, str]]:
    """Put what is missing into the cache; each file's digest (None: unusable), and the failures."""
    table = DigestTable(cache_dir())
    digests: list[bytes | None] = []
    read: dict[str, tuple[Stamp, bytes]] = {}
    unreadable: dict[str, str] = {}
    bad: dict[bytes, str] = {}  # copies of a bad picture wait for this one verdict
    try:
        with progress.stage(stage, len(files)) as advance:
            tasks = chunks(_looked_up(files, table), size)
            for chunk in ordered_map(worker, tasks, cores()):
                for found in chunk:
                    digests.append(found.digest)
                    if found.digest is None:
                        unreadable[str(files[len(digests) - 1])] = found.error or ""
                    elif found.error:
                        bad[found.digest] = found.error
                    elif found.row is not None:
                        cache.add(found.digest, found.row)
                    if found.digest and found.stamp:
                        read[found.path] = found.stamp, found.digest
                advance(len(chunk))
                check(len(digests))
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
    """Reads chunks of files and computes what is missing; called by several threads."""

    def __init__(self, compute: Compute, known: set[bytes]) -> None:
        self._compute = compute
        self._known = known
        self._claimed: set[bytes] = set()  # what some thread has read and is about to compute
        self._lock = threading.Lock()

    def __call__(self, chunk: Sequence[tuple[str, bytes | None]]) -> list[_Found]:
        prepared = [self._prepare(path, key) for path, key in chunk]
        wanted = [picture for _, picture in prepared if picture is not None]
        rows = iter(self._compute(wanted) if wanted else ())
        return [
            found if picture is None else _with(found, next(rows)) for found, picture in prepared
        ]

    def _prepare(self, path: str, key: bytes | None) -> tuple[_Found, Encoded | None]:
        """The file's digest, and its bytes where this thread is the one to compute its row."""
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
        return _Found(path, actual, now), Encoded(actual, data)

    def _claim(self, key: bytes) -> bool:
        """Whether this thread is the first to want the picture's row."""
        with self._lock:
            if key in self._known or key in self._claimed:
                return False
            self._claimed.add(key)
            return True


def _with(found: _Found, row: Any) -> _Found:
    if isinstance(row, PictureError):
        return found._replace(error=str(row))
    return found._replace(row=row)
