"""Which picture is it? The hash of its bytes, remembered by path so that it is read once.

A file's hash is looked up by path, size and modification time, as version control systems
do. A file changed so recently that a second change might leave all three alike is hashed
again. The table is SQLite's, which several processes may use at once. Where it cannot be kept
(a read-only cache, a full disk), files are hashed each time, and nothing else changes.
"""

import contextlib
import hashlib
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from discern.errors import PictureError
from discern.images.decode import read_bytes

DIGEST_BYTES = 16
SETTLED_NS = 2_000_000_000  # a younger modification time does not yet tell two versions apart

Stamp = tuple[int, int]  # size in bytes, modification time in ns


def digest(data: bytes) -> bytes:
    """16 bytes that name a picture's content (BLAKE2b)."""
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()


def stamp(path: str | os.PathLike[str]) -> Stamp | None:
    """Size and modification time; None if the file cannot be looked at."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


class DigestTable:
    """The hashes of files seen before."""

    def __init__(self, folder: Path) -> None:
        # Whatever is read through this table is read later than now, so that a file which
        # changed well before now cannot change again without its time telling.
        self._settled = time.time_ns() - SETTLED_NS
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._db = _opened(folder / "digests.sqlite3")
        except (OSError, sqlite3.Error):
            self._db = _opened(":memory:")

    def lookup(self, path: str, now: Stamp | None) -> bytes | None:
        """The hash of the file at this absolute path, if it still has the stamp it had then."""
        with contextlib.suppress(sqlite3.Error):
            row = self._db.execute(
                "SELECT size, modified, digest FROM files WHERE path = ?", (os.fsencode(path),)
            ).fetchone()
            return row[2] if row and now == (row[0], row[1]) else None
        return None

    def remember(self, found: Mapping[str, tuple[Stamp, bytes]]) -> None:
        """Keep hashes by absolute path, but for files changed a moment before they were read."""
        rows = (
            (os.fsencode(path), size, modified, key)
            for path, ((size, modified), key) in found.items()
            if modified < self._settled
        )
        with contextlib.suppress(sqlite3.Error), self._db:
            self._db.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", rows)

    def close(self) -> None:
        self._db.close()


def _opened(file: Path | str) -> sqlite3.Connection:
    db = sqlite3.connect(file, timeout=60)
    try:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")  # a power cut may lose rows, not the table
        db.execute(
            "CREATE TABLE IF NOT EXISTS files"
            " (path BLOB PRIMARY KEY, size INTEGER, modified INTEGER, digest BLOB) WITHOUT ROWID"
        )
    except sqlite3.Error:
        db.close()
        raise
    return db


def file_digests(files: Iterable[str | os.PathLike[str]], folder: Path) -> Iterator[bytes | None]:
    """Each file's hash, from the table in `folder` or from its bytes; None if it cannot be read."""
    table, read = DigestTable(folder), dict[str, tuple[Stamp, bytes]]()
    try:
        for file in files:
            path = os.path.abspath(file)
            now = stamp(path)
            known = table.lookup(path, now)
            if known is None and now is not None and (known := _digest_of(path)):
                read[path] = now, known
            yield known
    finally:
        table.remember(read)
        table.close()


def _digest_of(path: str) -> bytes | None:
    try:
        return digest(read_bytes(path))
    except PictureError:
        return None
