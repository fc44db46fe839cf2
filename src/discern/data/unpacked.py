"""Pictures that do not lie on the disk as files, written there once, and kept in the cache.

`<cache>/unpacked/<key>/` has the pictures below a folder named as their source is, under the
names they have there; `index.csv` with their labels, splits and groups; and `unpacked.json`,
which says what it all was made of. It appears whole or not at all. Deleting it costs time only.
"""

import contextlib
import csv
import errno
import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from discern.alone import alone
from discern.config import cache_dir
from discern.data.dataset import Dataset, Row
from discern.data.listing import unreadable
from discern.errors import DatasetError, OutputError
from discern.images.digest import stamp
from discern.progress import Progress

MARK, INDEX = "unpacked.json", "index.csv"
_BAD_NAMES = (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ)
A_FOLDER = 1000  # numbered pictures in one

Notes: TypeAlias = Counter[str]  # what was left aside, by what it is


class Packed(NamedTuple):
    """A picture on its way to the disk: its path below the root, its file's bytes, its facts.

    Large contents may come in pieces. "" stands for no label, split or group.
    """

    path: str
    content: bytes | Iterable[bytes]
    label: str = ""
    split: str = ""
    group: str = ""


@dataclass(frozen=True)
class Origin:
    """What is unpacked: its name, and everything that the outcome depends on."""

    name: str
    facts: tuple[str | int, ...]

    @property
    def key(self) -> str:
        """The name of the folder in the cache."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()[:24]


@dataclass(frozen=True)
class Unpacked:
    """A folder in the cache: the pictures below `root`, and what was left aside."""

    root: Path
    notes: Mapping[str, int]

    def dataset(self, source: str) -> Dataset:
        """The pictures with what the index says of them, in its order."""
        return Dataset.from_rows(self.root, _rows(self.root.parent / INDEX), source)

    @property
    def remark(self) -> str:
        """What was left aside, to stand behind a line about the rest."""
        some = ((what, n) for what, n in sorted(self.notes.items()) if n)
        return "".join(f", {n} {what}{'s' * (n > 1)} ignored" for what, n in some)


def files_origin(reader: str, name: str, files: Iterable[Path], *settings: str) -> Origin:
    """The origin of what a reader makes of some files; `reader` names its version too.

    DatasetError where one of them cannot be looked at.
    """
    facts: list[str | int] = [reader, *settings]
    for file in files:
        facts += [os.path.abspath(file), *_stamp(file)]
    return Origin(name, tuple(facts))


def unpack(
    origin: Origin,
    pictures: Callable[[Notes], Iterable[Packed]],
    progress: Progress,
    total: int | None = None,
) -> Unpacked:
    """Write the pictures below the cache, unless they are there.

    `pictures` gives them one by one and counts what it leaves aside. Raises what it raises,
    DatasetError where two have one name, OutputError where the cache cannot be written.
    """

    def write(stage: Path) -> Notes:
        notes = Notes()
        with progress.stage(f"Unpacking {origin.name}", total) as advance:
            _write_all(stage, origin.name, pictures(notes), advance)
        return notes

    return keep(origin, write)


def keep(origin: Origin, write: Callable[[Path], Notes]) -> Unpacked:
    """The folder that `write` fills when it is not in the cache yet.

    `write` gets an empty folder, and puts everything into a folder named as the origin in it.
    Of several processes one writes and the others wait.
    """
    folder = cache_dir() / "unpacked" / origin.key
    if not (folder / MARK).is_file():
        with _into(folder, origin), alone(_lock(folder)):
            if not (folder / MARK).is_file():  # another may have written it in the meantime
                _make(folder, origin, write)
    notes = json.loads((folder / MARK).read_text(encoding="utf-8"))["notes"]
    return Unpacked(folder / origin.name, notes)


def numbered(folder: str, number: int, suffix: str = ".png") -> str:
    """A path for a picture that has a number only; no folder gets more than a thousand."""
    return f"{folder}/{number // A_FOLDER:04d}/{number:07d}{suffix}"


def as_png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Pixels [H, W] or [H, W, 3 or 4] as a PNG file; fast rather than small."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()


def _stamp(file: Path) -> tuple[int, int]:
    found = stamp(file)
    if found is None:
        raise DatasetError(
            f"{file}: cannot be read. Check that it exists and that you may read it."
        )
    return found


def _write_all(
    stage: Path, name: str, pictures: Iterable[Packed], advance: Callable[[int], None]
) -> None:
    made = set[str]()
    (stage / name).mkdir()
    with (stage / INDEX).open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        index = csv.writer(file)
        for picture in pictures:
            path = f"{stage}/{name}/{picture.path}"
            try:
                _write_one(path, picture.content, made)
            except (FileExistsError, NotADirectoryError, IsADirectoryError) as exc:
                raise DatasetError(
                    f"{name}: holds {picture.path!r} twice. Unpack it yourself and name the folder."
                ) from exc
            except OSError as exc:
                if exc.errno not in _BAD_NAMES:
                    raise
                raise DatasetError(
                    f"{name}: holds {picture.path[:80]!r}…, a name that this disk cannot take.\n"
                    "Pack the pictures again under shorter, plainer names."
                ) from exc
            index.writerow((picture.path, *picture[2:]))
            advance(1)


def _write_one(path: str, content: bytes | Iterable[bytes], made: set[str]) -> None:
    parent = path.rpartition("/")[0]
    if parent not in made:
        Path(parent).mkdir(parents=True, exist_ok=True)
        made.add(parent)
    with Path(path).open("xb") as file:
        for piece in [content] if isinstance(content, bytes) else content:
            file.write(piece)


def _rows(index: Path) -> Iterator[Row]:
    try:
        with index.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            yield from map(Row._make, csv.reader(file))
    except OSError as exc:
        raise unreadable(index, exc) from exc


def _make(folder: Path, origin: Origin, write: Callable[[Path], Notes]) -> None:
    """Fill a sibling and rename it."""
    _clear_killed(folder.parent)
    stage = folder.with_name(f".{folder.name}.saving")
    for left in (stage, folder):
        shutil.rmtree(left, ignore_errors=True)
    stage.mkdir()
    try:
        notes = write(stage)
        text = json.dumps({**asdict(origin), "notes": notes}, indent=1)
        (stage / MARK).write_text(text, encoding="utf-8")
        stage.rename(folder)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


@contextmanager
def _into(folder: Path, origin: Origin) -> Iterator[None]:
    """What the system says about writing to the cache, as OutputError."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as exc:
        raise OutputError(
            f"Cannot unpack {origin.name} below {folder.parent}: {exc.strerror or exc}.\n"
            "Make room there, or name another place with DISCERN_CACHE."
        ) from exc


def _clear_killed(unpacked: Path) -> None:
    """Remove what killed processes left, of whatever they were unpacking."""
    for stage in unpacked.glob(".*.saving"):
        with (
            contextlib.suppress(BlockingIOError),  # it lives
            alone(_lock(unpacked / stage.stem[1:]), wait=False),
        ):
            shutil.rmtree(stage, ignore_errors=True)


def _lock(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")
