"""The files in a zip or tar archive, one by one; hostile archives are refused.

Links are never followed and devices never made. Limits hold while it is read: no header is
believed about sizes, and none may be large itself.
"""

import importlib
import posixpath
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple, cast

from discern.data.listing import is_litter, unreadable
from discern.data.safe_names import safe_path
from discern.data.unpacked import Notes
from discern.errors import DatasetError

ZIPS = (".zip",)
TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz")
_PIECE = 1 << 20  # bytes held at a time
_READ = 1 << 18  # bytes asked of a tar at a time
_HEADERS = 1 << 21  # bytes that a tar may spend between two files, on long names and the like
_LONGEST_LINK = 4096  # bytes of a path
_PACKERS = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\0": "lzma"}  # by the first bytes
_ITSELF = (".", "./")  # where `tar -c .` begins


@dataclass(frozen=True)
class ArchiveLimits:
    """What an archive may unpack to; pictures are compressed already and hardly shrink."""

    max_files: int = 10_000_000
    max_bytes: int = 1 << 40
    max_ratio: int = 200  # of unpacked to packed bytes
    always: int = 64 << 20  # bytes at which no ratio counts yet

    def bytes_of(self, packed: int) -> int:
        """How much an archive of so many bytes may unpack to."""
        return min(self.max_bytes, max(self.always, self.max_ratio * packed))


LIMITS = ArchiveLimits()


class Member(NamedTuple):
    """A file in an archive: its path, bytes, and its content, to be read before the next one's."""

    path: str
    size: int
    content: Iterator[bytes]


def is_archive(path: Path) -> bool:
    """Whether a file's name is that of an archive."""
    return path.name.lower().endswith(ZIPS + TARS) and path.is_file()


def is_tar(path: Path) -> bool:
    """Whether a file's name is that of a tar archive."""
    return path.name.lower().endswith(TARS) and path.is_file()


def members(path: Path, notes: Notes, limits: ArchiveLimits = LIMITS) -> Iterator[Member]:
    """The regular files in an archive, without hidden ones; `notes` counts links left aside.

    DatasetError for an archive that is damaged, encrypted, larger than `limits` or that would
    write anywhere but below one folder.
    """
    inner = _zipped if path.name.lower().endswith(ZIPS) else _tarred
    with _faults(path):
        for number, member in enumerate(inner(path, notes, limits)):
            if number >= limits.max_files:
                raise _too_large(path, f"holds more than {limits.max_files:,} files")
            if not any(is_litter(part) for part in member.path.split("/")):
                yield member


def _zipped(path: Path, notes: Notes, limits: ArchiveLimits) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        # zipfile reads no more of a file than its header says, so that the sum can be trusted.
        if sum(info.file_size for info in archive.infolist()) > _allowed(path, limits):
            raise _bomb(path, limits)
        for info in archive.infolist():
            if info.filename in _ITSELF:
                continue
            name = safe_path(info.filename, str(path))
            kind = stat.S_IFMT(info.external_attr >> 16)
            if stat.S_ISLNK(kind):
                target = archive.open(info).read(_LONGEST_LINK).decode(errors="replace")
                _note_link(path, name, posixpath.join(posixpath.dirname(name), target), notes)
            elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _special(path, name)
            elif not info.is_dir():
                yield Member(name, info.file_size, _unzipped(path, archive, info))


def _unzipped(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    if info.flag_bits & 1:
        raise DatasetError(f"{path}: is encrypted. Unpack it yourself and name the folder.")
    with _faults(path), archive.open(info) as file:
        yield from iter(partial(_read, path, file, _PIECE), b"")


def _tarred(path: Path, notes: Notes, limits: ArchiveLimits) -> Iterator[Member]:
    with closing(_Bounded(path, limits)) as stream, _tar_of(stream) as archive:
        for info in archive:
            archive.members.clear()  # type: ignore[attr-defined]  # or it keeps all of them
            stream.expect(info.size)
            if info.name in _ITSELF:
                continue
            name = safe_path(info.name, str(path))
            if info.issym() or info.islnk():
                base = posixpath.dirname(name) if info.issym() else ""
                _note_link(path, name, posixpath.join(base, info.linkname), notes)
            elif info.isreg() and not info.issparse():
                yield Member(name, info.size, _untarred(path, archive, info))
            elif not info.isdir():
                raise _special(path, name)


def _untarred(path: Path, archive: tarfile.TarFile, info: tarfile.TarInfo) -> Iterator[bytes]:
    with _faults(path), cast(IO[bytes], archive.extractfile(info)) as file:
        yield from iter(partial(file.read, _PIECE), b"")


class _Bounded:
    """A tar's bytes as they are unpacked, and an end to them where they become too many."""

    def __init__(self, path: Path, limits: ArchiveLimits) -> None:
        self._path, self._limits = path, limits
        self._left, self._before_next = _allowed(path, limits), _HEADERS
        self._file = _decompressed(path)

    def close(self) -> None:
        self._file.close()

    def expect(self, size: int) -> None:
        """What may follow now: a file of this size, and headers."""
        self._before_next = size + _HEADERS

    def read(self, size: int) -> bytes:
        data = _read(self._path, self._file, size)
        self._left -= len(data)
        self._before_next -= len(data)
        if self._left < 0:
            raise _bomb(self._path, self._limits)
        if self._before_next < 0:
            raise _too_large(self._path, "has a header larger than any real one")
        return data


def _tar_of(stream: _Bounded) -> tarfile.TarFile:
    return tarfile.open(fileobj=cast(IO[bytes], stream), mode="r|", bufsize=_READ)


def _decompressed(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        start = file.read(6)
    packer = next((name for magic, name in _PACKERS.items() if start.startswith(magic)), "io")
    try:
        return cast(IO[bytes], importlib.import_module(packer).open(path, "rb"))
    except ImportError as exc:  # Python can be built without some of them
        raise DatasetError(
            f"{path}: this Python has no {packer}. Unpack it yourself and name the folder."
        ) from exc


def _read(path: Path, file: IO[bytes], size: int) -> bytes:
    """Read what is packed; each packer has errors of its own for damaged bytes."""
    try:
        return file.read(size)
    except Exception as exc:
        if isinstance(exc, OSError) and exc.errno is not None:
            raise
        raise _damaged(path, str(exc)) from exc


def _allowed(path: Path, limits: ArchiveLimits) -> int:
    return limits.bytes_of(path.stat().st_size)


def _note_link(path: Path, name: str, target: str, notes: Notes) -> None:
    """A link inside the archive is left aside; one that leads out of it makes it a hostile one."""
    where = posixpath.normpath(target.replace("\\", "/"))
    if where.startswith(("/", "../")) or where == ".." or "\0" in where:
        raise DatasetError(
            f"{path}: holds {name!r}, a link that leads out of it.\n"
            "Nothing was unpacked. Do not trust it, or pack the pictures without links."
        )
    notes["link"] += 1


def _special(path: Path, name: str) -> DatasetError:
    return DatasetError(
        f"{path}: holds {name!r}, which is a device, a pipe or a sparse file.\n"
        "Nothing was unpacked. Do not trust it, or pack plain files only."
    )


def _bomb(path: Path, limits: ArchiveLimits) -> DatasetError:
    allowed = _allowed(path, limits) / (1 << 20)
    packed = path.stat().st_size / (1 << 20)
    return _too_large(path, f"unpacks to more than {allowed:,.0f} MB from {packed:,.1f} MB")


def _too_large(path: Path, what: str) -> DatasetError:
    return DatasetError(
        f"{path}: {what}, as archives made to fill disks do.\n"
        "If you trust it, unpack it yourself and name the folder."
    )


@contextmanager
def _faults(path: Path) -> Iterator[None]:
    """What the libraries complain of, as DatasetError."""
    try:
        yield
    except (tarfile.TarError, zipfile.BadZipFile) as exc:
        raise _damaged(path, str(exc)) from exc
    except OSError as exc:
        raise unreadable(path, exc) from exc
    except (NotImplementedError, ValueError) as exc:  # a zip packed in an odd way
        raise DatasetError(
            f"{path}: cannot be unpacked here: {exc}. Unpack it yourself and name the folder."
        ) from exc


def _damaged(path: Path, reason: str) -> DatasetError:
    return DatasetError(f"{path}: is damaged or no archive: {reason}. Fetch it again.")
