"""What lies in a folder: pictures, folders, the rest."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from discern.errors import DatasetError

PICTURE_SUFFIXES = (
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".png",
    ".webp",
    ".gif",
    ".tif",
    ".tiff",
    ".bmp",
    ".avif",
)
PICTURE_FOLDERS = ("images", "image", "img", "imgs", "pictures", "photos")  # no class's name
_LITTER = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})  # besides hidden files


class Kind(Enum):
    """What a folder's entry is."""

    FOLDER = "folder"
    PICTURE = "picture"
    OTHER = "other"


_FOLDER, _PICTURE, _OTHER = Kind  # looking them up costs as much as the listing itself


class Listing(NamedTuple):
    """The entries of one folder: names, sorted; `others` is a number."""

    folders: list[str]
    pictures: list[str]
    others: int


@dataclass(frozen=True)
class Folder:
    """A folder on the disk, and those it lies in, by which links that lead back are known."""

    path: str
    above: frozenset[tuple[int, int]] = frozenset()  # (device, inode)

    @cached_property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @cached_property
    def identity(self) -> tuple[int, int]:
        """What stays the same whichever link leads here."""
        try:
            status = Path(self.path).stat()
        except OSError as exc:
            raise unreadable(self.path, exc) from exc
        return status.st_dev, status.st_ino

    @cached_property
    def listing(self) -> Listing:
        """The folder's entries; DatasetError when it cannot be read."""
        folders, pictures, others = [], [], 0
        for name, kind in scan(self.path):
            if kind is _PICTURE:
                pictures.append(name)
            elif kind is _FOLDER:
                folders.append(name)
            else:
                others += 1
        return Listing(sorted(folders), sorted(pictures), others)

    def inner(self) -> tuple["Folder", ...]:
        """The folders directly inside, without links back to this one or one above it."""
        above = self.above | {self.identity}
        found = (Folder(f"{self.path}/{name}", above) for name in self.listing.folders)
        return tuple(folder for folder in found if folder.identity not in above)

    def walk(self) -> Iterator["Folder"]:
        """This folder and all below, each once however many links lead to it."""
        seen, stack = set(self.above), [self]
        while stack:
            folder = stack.pop()
            if folder.identity not in seen:
                seen.add(folder.identity)
                yield folder
                stack.extend(reversed(folder.inner()))

    def holds_pictures(self) -> bool:
        """Whether a picture lies here or anywhere below; stops at the first."""
        return any(kind is _PICTURE for folder in self.walk() for _, kind in scan(folder.path))


def scan(path: str) -> Iterator[tuple[str, Kind]]:
    """The visible entries of a folder, unsorted; links count as what they lead to."""
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                name = entry.name
                if not is_litter(name):
                    yield name, _kind(entry, name)
    except OSError as exc:
        raise unreadable(path, exc) from exc


def is_litter(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or left by a system."""
    return name[0] == "." or name in _LITTER


def is_picture_name(name: str) -> bool:
    """Whether a file of this name is taken for a picture."""
    return name.lower().endswith(PICTURE_SUFFIXES)


def unreadable(path: str | Path, exc: OSError) -> DatasetError:
    """The error for a file or folder that the system will not open."""
    return DatasetError(
        f"{_printable(path)}: cannot be read ({exc.strerror}). Check that it exists "
        "and that you may read it."
    )


def _kind(entry: os.DirEntry[str], name: str) -> Kind:
    try:
        if entry.is_dir():
            return _FOLDER
        if name.lower().endswith(PICTURE_SUFFIXES) and entry.is_file():
            return _PICTURE
    except OSError:  # a link that leads to itself
        pass
    return _OTHER


def _printable(path: str | Path) -> str:
    return str(path).encode(errors="backslashreplace").decode()
