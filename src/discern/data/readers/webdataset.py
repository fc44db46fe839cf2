"""WebDataset shards: tar archives in which a picture and its label are neighbours of one name.

`000123.jpg` with `000123.cls` (a number or a name) or `000123.json` (an object with the label).
"""

import json
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from discern.data.dataset import Dataset
from discern.data.listing import is_picture_name
from discern.data.readers.archive_members import TARS, Member, members
from discern.data.readers.reader import ReadOptions, refuse_options
from discern.data.readers.table_columns import LABEL, plain_name
from discern.data.shards import shard_split, shards_at
from discern.data.split_names import UNLABELLED
from discern.data.unpacked import Notes, Packed, files_origin, unpack
from discern.errors import DatasetError
from discern.images import PictureLimits
from discern.progress import Progress

name = "webdataset"
_VERSION = "webdataset 1"
_FIRST = 12  # files looked at to know a shard
_LARGEST = PictureLimits().max_bytes
_CLASS, _JSON = "cls", "json"


class _Name(NamedTuple):
    """A file's name in a shard: up to the first dot its sample's key, what it is behind it."""

    key: str
    ending: str


@dataclass
class _Sample:
    """The files of one key, as far as they have come by."""

    key: str
    picture: tuple[str, bytes] | None = None
    beside: dict[str, bytes] = field(default_factory=dict)


def recognises(path: Path) -> bool:
    """Whether the first shard begins with pictures that have a .cls or .json beside them."""
    shards = shards_at(path, TARS)
    if not shards or not shards[0].is_file():
        return False
    try:
        first = [_name(member.path) for member in islice(members(shards[0], Notes()), _FIRST)]
    except DatasetError:  # the reader of archives says what is wrong with it
        return False
    pictures = {each.key for each in first if is_picture_name(f".{each.ending}")}
    return any(each.key in pictures for each in first if each.ending in (_CLASS, _JSON))


def read(path: Path, options: ReadOptions, progress: Progress) -> Dataset:
    """The pictures with their labels, and with the splits that the shards' names tell."""
    refuse_options(path, options, "WebDataset shards", known=("--label-column",))
    shards = shards_at(path, TARS)
    if not shards:
        raise DatasetError(f"{path}: holds no tar archives. Name a shard, or their folder.")
    unpacked = unpack(
        files_origin(_VERSION, path.name, shards, options.label_column or ""),
        lambda notes: (
            each for shard in shards for each in _pictures(shard, path, options.label_column, notes)
        ),
        progress,
    )
    count = f"{len(shards)} WebDataset shard{'s' * (len(shards) > 1)}"
    return unpacked.dataset(f"{count}: pictures with the label beside each{unpacked.remark}")


def _pictures(shard: Path, root: Path, column: str | None, notes: Notes) -> Iterator[Packed]:
    inside = shard.relative_to(root).as_posix() if shard != root and root.is_dir() else shard.name
    split = shard_split(shard, root)
    for sample in _samples(shard, notes):
        if sample.picture is None:
            notes["lone label"] += 1
            continue
        path, content = sample.picture
        label = _label(sample, shard, column)
        yield Packed(f"{inside}/{path}", content, label, split if label else UNLABELLED)


def _samples(shard: Path, notes: Notes) -> Iterator[_Sample]:
    """Neighbours of one key, together."""
    sample: _Sample | None = None
    for member in members(shard, notes):
        key, ending = _name(member.path)
        if sample is not None and sample.key != key:
            yield sample
            sample = None
        sample = sample or _Sample(key)
        if is_picture_name(f".{ending}"):
            notes["second picture"] += sample.picture is not None
            sample.picture = sample.picture or (member.path, _read(shard, member))
        elif ending in (_CLASS, _JSON):
            sample.beside[ending] = _read(shard, member)
    if sample is not None:
        yield sample


def _read(shard: Path, member: Member) -> bytes:
    if member.size > _LARGEST:
        raise DatasetError(
            f"{shard}: {member.path} has {member.size:,} bytes; at most {_LARGEST:,} are allowed.\n"
            "Take it out of the shard, or make the picture smaller."
        )
    return b"".join(member.content)


def _label(sample: _Sample, shard: Path, column: str | None) -> str:
    """What the .cls says, else the .json; "" where neither does."""
    if column is None and _CLASS in sample.beside:
        return _text(sample.beside[_CLASS], shard, sample).strip()
    if _JSON not in sample.beside:
        return ""
    try:
        facts = json.loads(_text(sample.beside[_JSON], shard, sample))
        by_name = {plain_name(key): value for key, value in reversed(facts.items())}
    except (ValueError, AttributeError, RecursionError) as exc:
        raise _bad(shard, sample, "a .json that is no object") from exc
    wanted = LABEL if column is None else (plain_name(column),)
    value = next((by_name[each] for each in wanted if each in by_name), None)
    if isinstance(value, list | dict):
        raise _bad(shard, sample, "several labels in its .json")
    return "" if value is None else str(value)


def _text(content: bytes, shard: Path, sample: _Sample) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as exc:
        raise _bad(shard, sample, "a label that is no UTF-8 text") from exc


def _bad(shard: Path, sample: _Sample, what: str) -> DatasetError:
    return DatasetError(
        f"{shard}: {sample.key} has {what}. Mend it, or name the label with --label-column."
    )


def _name(path: str) -> _Name:
    folder, name = posixpath.split(path)
    key, _, ending = name.partition(".")
    return _Name(posixpath.join(folder, key), ending.lower())
