"""Which picture is it? The hash of its bytes, remembered by path so that it is read once.

A file's hash is looked up by path, size and modification time, as version control systems
do. A file changed so recently that a second change might leave all three alike is hashed
again. The table is SQLite's, which several processes may use at once.
"""

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
        folder.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(folder / "digests.sqlite3", timeout=60)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=OFF")  # losing it costs hashing again, no more
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS files"
            " (path TEXT PRIMARY KEY, size INTEGER, modified INTEGER, digest BLOB) WITHOUT ROWID"
        )

    def lookup(self, path: str, now: Stamp | None) -> bytes | None:
        """The hash of the file at this absolute path, if it still has the stamp it had then."""
        row = self._db.execute(
            "SELECT size, modified, digest FROM files WHERE path = ?", (path,)
        ).fetchone()
        return row[2] if row and now == (row[0], row[1]) else None

    def remember(self, found: Mapping[str, tuple[Stamp, bytes]]) -> None:
        """Keep hashes by absolute path, but for files changed a moment ago."""
        settled = time.time_ns() - SETTLED_NS
        self._insert((p, s[0], s[1], d) for p, (s, d) in found.items() if s[1] < settled)

    def _insert(self, rows: Iterable[tuple[str, int, int, bytes]]) -> None:
        with self._db:
            self._db.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", rows)

    def close(self) -> None:
        self._db.close()


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
