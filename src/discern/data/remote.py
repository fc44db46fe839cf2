"""Data at a URL (s3://, gs://, https://, …), fetched once into the cache.

What lies there is mirrored under its own names; what reads data on the disk then reads it. A
changed size, ETag or date makes it another fetch.
"""

import errno
import posixpath
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from discern.data.listing import is_litter
from discern.data.safe_names import safe_path
from discern.data.shards import expanded
from discern.data.unpacked import Notes, Origin, keep
from discern.errors import DatasetError
from discern.progress import Progress

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem
    from fsspec.callbacks import Callback

_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+(::[a-z0-9+.-]+)*://")
_VERSION = "remote 1"
_AT_ONCE = 256  # files asked for together
_LOCAL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # the disk's errors, not the store's
# What tells two versions of a file apart, by the names that stores have for it.
_STAMPS = frozenset(
    {"etag", "md5hash", "content-md5", "digest", "last-modified", "lastmodified", "last_modified"}
    | {"mtime", "updated", "created", "crc32c", "content_md5", "sha", "blob_id"}
)


@dataclass(frozen=True)
class _Remote:
    """A file in a store: where it goes in the mirror, what tells its versions apart."""

    address: str
    path: str
    size: int  # bytes; -1 where the store does not say
    stamp: str


def is_remote(source: str | Path) -> bool:
    """Whether a source is a URL, not a path."""
    return isinstance(source, str) and bool(_SCHEME.match(source))


def fetched(url: str, progress: Progress) -> Path:
    """The file or folder in the cache that mirrors what lies at a URL.

    `shards-{000..012}.tar` names several files. DatasetError where it cannot be had.
    """
    shown = printable(url)
    with _faults(shown):
        store, found = _listed(url)
    if not found:
        raise DatasetError(f"{shown}: holds no files. Check the address.")
    facts = [fact for each in found for fact in (each.path, each.size, each.stamp)]
    name = posixpath.basename(urlsplit(shown).path.rstrip("/")) or "fetched"
    is_file = len(found) == 1 and found[0].path == name
    origin = Origin("fetched" if is_file or _is_pattern(url) else name, (_VERSION, shown, *facts))
    mirror = keep(origin, lambda stage: _fetch(store, found, stage / origin.name, shown, progress))
    return mirror.root / name if is_file else mirror.root


def printable(url: str) -> str:
    """The URL without what may be secret in it: passwords, signatures."""
    return re.sub(r"(?<=://)[^/@]*@", "", url.partition("?")[0])


def _is_pattern(url: str) -> bool:
    return expanded(url) != [url]


def _listed(url: str) -> tuple["AbstractFileSystem", list[_Remote]]:
    """What lies at the URL: a file, all files below a folder, or those that a pattern names."""
    from fsspec.core import url_to_fs

    urls = expanded(url)
    store, _ = url_to_fs(urls[0])
    store.invalidate_cache()  # or what changed since this process looked before stays unseen
    found: list[_Remote] = []
    for each in urls:
        _, root = url_to_fs(each)
        info = store.info(root)
        if info["type"] == "directory":
            found += _below(store, root, printable(url))
        else:
            name = posixpath.basename(urlsplit(printable(each)).path)
            if not name:
                raise DatasetError(f"{each}: is no file, and cannot be listed. Name a file in it.")
            found.append(_remote(root, safe_path(unquote(name), printable(url)), info))
    return store, found


def _below(store: "AbstractFileSystem", root: str, shown: str) -> Iterator[_Remote]:
    for address, info in store.find(root, detail=True).items():
        path = safe_path(address[len(root) :].lstrip("/"), shown)
        if not any(is_litter(part) for part in path.split("/")):
            yield _remote(address, path, info)


def _remote(address: str, path: str, info: dict[str, Any]) -> _Remote:
    stamps = (f"{key}={info[key]}" for key in sorted(info) if key.lower() in _STAMPS)
    size = info.get("size")
    return _Remote(address, path, -1 if size is None else int(size), " ".join(stamps))


def _fetch(
    store: "AbstractFileSystem", files: list[_Remote], folder: Path, shown: str, progress: Progress
) -> Notes:
    stream = iter(files)
    total = sum(each.size for each in files) if all(each.size >= 0 for each in files) else None
    with progress.stage(f"Fetching {shown}, in bytes", total) as advance:
        while some := list(islice(stream, _AT_ONCE)):
            targets = [folder / each.path for each in some]
            for parent in {target.parent for target in targets}:
                parent.mkdir(parents=True, exist_ok=True)
            with _faults(shown):
                addresses = [each.address for each in some]
                store.get(addresses, list(map(str, targets)), callback=_counting(advance))
            for each, target in zip(some, targets, strict=True):
                if target.stat().st_size != each.size >= 0:
                    raise DatasetError(f"{shown}: {each.path} came incompletely. Try again.")
    return Notes()


def _counting(advance: Callable[[int], None]) -> "Callback":
    """What tells `advance` the bytes of all files that come at the same time."""
    from fsspec.callbacks import Callback

    class File(Callback):  # type: ignore[misc]
        def relative_update(self, inc: int = 1) -> None:
            advance(inc)

    class All(Callback):  # type: ignore[misc]
        def branched(self, path_1: str, path_2: str, **_: Any) -> File:  # noqa: ARG002
            return File()

    return All()


@contextmanager
def _faults(shown: str) -> Iterator[None]:
    """What fsspec and the many libraries below it complain of, as DatasetError."""
    try:
        yield
    except DatasetError:
        raise
    except ImportError as exc:
        raise DatasetError(
            f"{shown}: data at URLs needs more packages ({exc.name or exc}).\n"
            "pip install 'discern[remote]', and for other stores what fsspec names for them."
        ) from exc
    except Exception as exc:  # each store's library has errors of its own
        if isinstance(exc, OSError) and exc.errno in _LOCAL:
            raise
        reason = str(exc).partition("\n")[0] or type(exc).__name__
        raise DatasetError(
            f"{shown}: cannot be fetched: {re.sub(r'[?][^ ]*', '', reason)}.\n"
            "Check the address, and that you may read it."
        ) from exc
