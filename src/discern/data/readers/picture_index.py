"""Where the picture lies that a table's cell names: by its path, its name, or its stem."""

import posixpath
import re
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from discern.data.listing import PICTURE_FOLDERS, Folder, is_picture_name
from discern.data.split_names import TRAIN
from discern.errors import DatasetError

_NUMBER = re.compile(r"[0-9]+")


class _Place(NamedTuple):
    """What a folder's pictures share of their paths; kept once, as a million paths are large."""

    prefix: str
    suffix: str


class PictureIndex:
    """The pictures below a folder. A cell can name these and nothing else on the disk.

    One dict, by stem, answers for paths, names and stems: at a million pictures that matters.
    `homes` are folders beside the table that are meant where a name occurs in several.
    """

    def __init__(
        self, table: Path, images: Path | None, homes: tuple[str, ...] | None = None
    ) -> None:
        self.root = images if images is not None else table.parent
        self._base = posixpath.normpath(table.parent.absolute().as_posix())
        self._whole = posixpath.normpath(self.root.absolute().as_posix())
        self._written = _below(self._base, self._whole)  # what tables write before each picture
        usual = (table.stem, *PICTURE_FOLDERS, TRAIN) if homes is None else homes
        self._home = _home(self.root, usual) if images is None or homes else ""
        self._by_stem: dict[str, _Place | dict[str, None]] = {}  # paths where several share it
        for folder in Folder(str(self.root)).walk():
            self._add(folder)

    def relative(self, cell: str) -> str | None:
        """The cell as a path relative to the root; None where it leads outside."""
        path = cell.strip().replace("\\", "/")  # tables come from Windows, too
        if "\0" in path or "://" in path:
            return None
        inside = posixpath.normpath(path)
        if inside.startswith(("../", "/")):
            inside = posixpath.relpath(posixpath.join(self._base, path), self._whole)
        leads_out = inside in (".", "..") or inside.startswith("../")
        return None if leads_out else inside.removeprefix(self._written)

    def find(self, path: str) -> str | None:
        """The picture of a relative path, name or stem; None where there is none.

        A number finds a picture with leading zeros too, which spreadsheets take from ids.
        """
        return self._exactly(path) or self._with_zeros(path)

    def _exactly(self, path: str) -> str | None:
        candidates = self._with_stem(_stem(path.rpartition("/")[2]))
        for exact in (path, self._home + path):  # at once, where many folders hold one name
            if exact in candidates:
                return exact
        for fits in _ways(path):
            if matches := [each for each in candidates if fits(each)]:
                return self._only(path, matches)
        return None

    def _with_zeros(self, path: str) -> str | None:
        folder, slash, picture = path.rpartition("/")
        stem = _stem(picture)
        if not _NUMBER.fullmatch(stem):
            return None
        padded = (zeros + picture for zeros in self._zeros.get(stem, ()))
        found = [match for each in padded if (match := self._exactly(folder + slash + each))]
        return self._only(path, found) if found else None

    @cached_property
    def _zeros(self) -> dict[str, list[str]]:
        """The leading zeros that pictures have, by the number behind them."""
        found: dict[str, list[str]] = {}
        for stem in self._by_stem:
            if stem[0] == "0" and _NUMBER.fullmatch(stem):
                number = stem.lstrip("0") or "0"
                found.setdefault(number, []).append(stem[: len(stem) - len(number)])
        return found

    def _only(self, path: str, matches: list[str]) -> str:
        at_home = [each for each in matches if self._home and each.startswith(self._home)]
        first, *rest = at_home or matches
        if rest:
            raise DatasetError(
                f"has {path!r}, which may be {first} or {rest[0]}. "
                "Write the path in the table, or name the folder with --images."
            )
        return first

    def _with_stem(self, stem: str) -> dict[str, None]:
        found = self._by_stem.get(stem, {})
        return {_path(found, stem): None} if isinstance(found, _Place) else found

    def _add(self, folder: Folder) -> None:
        inside = folder.path[len(str(self.root)) + 1 :]
        prefix = f"{inside}/" if inside else ""
        places: dict[str, _Place] = {}
        for name in folder.listing.pictures:
            stem, dot, ending = name.rpartition(".")
            place = places.get(ending) or places.setdefault(ending, _Place(prefix, dot + ending))
            if self._by_stem.setdefault(stem, place) is not place:
                paths = self._with_stem(stem)
                paths[_path(place, stem)] = None
                self._by_stem[stem] = paths


def _below(folder: str, inner: str) -> str:
    """How a table in `folder` writes the way to `inner`; "" where that does not lie below it."""
    way = posixpath.relpath(inner, folder)
    return "" if way == "." or way.startswith("..") else f"{way}/"


def _path(place: _Place, stem: str) -> str:
    return f"{place.prefix}{stem}{place.suffix}"


def _ways(path: str) -> tuple[Callable[[str], bool], ...]:
    """The tests a picture may pass where the path is not exact, the strictest first."""
    end = f"/{path}"
    return (
        lambda each: _stem(each) == path,
        lambda each: each.endswith(end),
        lambda each: _stem(each).endswith(end),
    )


def _stem(path: str) -> str:
    """`path` without a picture's suffix; "v1.2" keeps its dot."""
    return path.rpartition(".")[0] if is_picture_name(path) else path


def _home(root: Path, usual: tuple[str, ...]) -> str:
    """The folder that is meant where a name occurs in several; "" for none."""
    return next((f"{name}/" for name in usual if (root / name).is_dir()), "")
