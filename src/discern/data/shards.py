"""Data in several files of one kind, named in a row: train-00000-of-00002.parquet, 000000.tar."""

import re
from collections.abc import Iterator
from pathlib import Path

from discern.data.listing import Folder, is_litter
from discern.data.split_names import canonical_split

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_USUAL = frozenset({"data", "default", "shards"})
_MOST = 1_000_000  # names that a pattern may stand for


def expanded(pattern: str) -> list[str]:
    """The names that `shard-{000..012}.tar` stands for; the name itself where it has no braces.

    More than a million are none: nobody means them.
    """
    found = _RANGE.search(pattern)
    if found is None:
        return [pattern]
    first, last = found.groups()
    numbers = range(int(first), int(last) + 1)
    if len(numbers) > _MOST:
        return []
    before, after = pattern[: found.start()], expanded(pattern[found.end() :])
    return [f"{before}{i:0{len(first)}}{rest}" for i in numbers for rest in after]


def shards_at(path: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """The files that `path` stands for: itself, a pattern's, or those in a folder.

    Of the folders inside only those are looked into that have a usual name: in a tree of a
    million pictures there must be no search for shards.
    """
    if path.is_dir():
        return sorted(_below(Folder(str(path)), suffixes))
    named = (Path(name) for name in expanded(str(path)))
    return [file for file in named if file.name.lower().endswith(suffixes)]


def shard_split(shard: Path, root: Path) -> str:
    """The split that a shard's name, or that of a folder below `root`, tells; "" for none."""
    inside = shard.relative_to(root).parts if shard.is_relative_to(root) else (shard.name,)
    for part in reversed(inside):
        if found := list(filter(None, map(canonical_split, re.split(r"[-_.\d]+", part)))):
            return found[0]
    return ""


def _below(folder: Folder, suffixes: tuple[str, ...]) -> Iterator[Path]:
    for file in Path(folder.path).iterdir():
        if file.name.lower().endswith(suffixes) and not is_litter(file.name) and file.is_file():
            yield file
    for inner in folder.inner():
        if inner.name.casefold() in _USUAL or canonical_split(inner.name):
            yield from _below(inner, suffixes)
