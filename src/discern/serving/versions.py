"""What a model repository holds: `<repository>/<name>/<version>/`, and which of it is wanted.

Read from disk only; nothing is loaded here. Folders come, go and change while they are looked
at: what is not complete is not there yet, and what cannot be read is said, not raised.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from discern.config import read_settings
from discern.errors import ConfigError
from discern.model.folder import INFO
from discern.serving.local import ModelSettings, Versions

SETTINGS = "serving.toml"
Stamp = tuple[tuple[str, int, int, int], ...]  # path, mtime in ns, size, inode of every file


@dataclass(frozen=True)
class Source:
    """What a version is loaded from. If it is another than before, the version is loaded anew."""

    folder: Path
    stamp: Stamp
    how: ModelSettings  # its `versions` play no part here, and are always the default


@dataclass(frozen=True)
class Stock:
    """What one model's folder holds; `trouble` says why it cannot be known at the moment."""

    sources: Mapping[int, Source] = field(default_factory=dict)
    policy: Versions = "latest"
    trouble: str | None = None

    def candidates(self) -> list[int]:
        """The versions that may be served, newest first; of `latest`, the first that loads is."""
        chosen = [n for n in self.sources if isinstance(self.policy, str) or n in self.policy]
        return sorted(chosen, reverse=True)


def scan(repository: Path) -> dict[str, Stock]:
    """Every model's stock by name; ConfigError if the repository itself cannot be listed."""
    try:
        folders = sorted(path for path in repository.iterdir() if not path.name.startswith("."))
    except OSError as exc:
        raise ConfigError(
            f"{repository}: cannot be read as a model repository ({exc.strerror}). "
            "It is a folder with models as NAME/VERSION, clothes/1 say."
        ) from exc
    stocks = {folder.name: _stock(folder) for folder in folders}
    return {name: stock for name, stock in stocks.items() if stock is not None}


def with_vanished(current: Mapping[str, Stock], previous: Mapping[str, Stock]) -> dict[str, Stock]:
    """`current`, with what was there at the look before and is not now.

    Replacing a folder takes two renames, and between them it is not there: only what is missed
    twice in a row counts as gone.
    """
    merged = dict(previous) | dict(current)
    for name in current.keys() & previous.keys():
        now, before = current[name], previous[name]
        merged[name] = replace(now, sources={**before.sources, **now.sources})
    return merged


def version_number(name: str) -> int | None:
    """The version that a folder's name means, `3` or `003`; None if it is no version."""
    return int(name) if name.isascii() and name.isdecimal() else None


def stamp_of(folder: Path) -> Stamp | None:
    """What tells the folder's content from any later one; None while it has no model.json.

    Of all its files, not of model.json alone: one that is still being copied is tried again
    with each file that arrives, and is served when it is complete.
    """
    try:
        stats = {os.path.relpath(file.path, folder): file.stat() for file in _files(folder)}
    except (FileNotFoundError, NotADirectoryError):  # it was just being replaced or removed
        return None
    except OSError:  # it is there: who loads it says what is wrong
        return ()
    if INFO not in stats:
        return None
    return tuple((name, s.st_mtime_ns, s.st_size, s.st_ino) for name, s in sorted(stats.items()))


def _files(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(entry.path)
            else:
                yield entry


def _stock(folder: Path) -> Stock | None:
    """One model's stock; None if this is no folder, or vanished meanwhile."""
    try:
        settings, trouble = _settings(folder)
        return Stock(
            _sources(folder, replace(settings, versions="latest")), settings.versions, trouble
        )
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        return Stock(trouble=f"{exc.filename or folder}: cannot be read ({exc.strerror}).")


def _settings(folder: Path) -> tuple[ModelSettings, str | None]:
    """How the model is to be run, or the defaults with what is wrong with its settings."""
    path = folder / SETTINGS
    try:
        return (read_settings(ModelSettings, path) if path.exists() else ModelSettings()), None
    except ConfigError as exc:
        return ModelSettings(), str(exc)


def _sources(folder: Path, how: ModelSettings) -> dict[int, Source]:
    sources = {}
    for path in sorted(folder.iterdir()):  # of 003 and 3, the latter counts
        number = version_number(path.name)
        stamp = None if number is None else stamp_of(path)
        if number is not None and stamp is not None:
            sources[number] = Source(path, stamp, how)
    return sources
