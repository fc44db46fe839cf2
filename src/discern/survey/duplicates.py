"""Pictures that are there more than once: as the same bytes, the same pixels, or nearly."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal, NamedTuple
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from discern.config import cache_dir
from discern.errors import OutputError
from discern.progress import SILENT, Progress
from discern.survey.components import Components
from discern.survey.nearly_same import join_nearly_same
from discern.survey.same_pixels import same_pixels
from discern.survey.survey import Survey
from discern.whole_folder import write_atomically

Kind = Literal["bytes", "pixels", "near"]
Codes = npt.NDArray[np.intp]

VERSION = 1  # of how duplicates are found; what another one found is not taken


@dataclass(frozen=True)
class Group:
    """Files that hold the same picture."""

    members: tuple[int, ...]  # positions among the files surveyed, ascending; two at least
    kind: Kind  # how much alike all of them are: the same bytes, the same pixels, or nearly


def find_duplicates(
    survey: Survey, *, mirrored: bool = False, progress: Progress = SILENT
) -> tuple[Group, ...]:
    """The groups of files that hold the same picture, by their first member.

    Near duplicates are resized, re-encoded, slightly cropped, brighter or darker; with `mirrored`
    also mirrored left to right. No picture is in two groups. What was found is kept in the cache,
    for these very pictures.
    """
    order = np.lexsort(survey.digests.T)  # so that nothing depends on how the files are called
    kept = _file(survey.digests[order], mirrored)
    same = _read(kept, order)
    if same is None:
        same = _find(survey, order, mirrored, progress)
        _write(kept, same, order)
    return _groups(survey.index, same)


class _Same(NamedTuple):
    """For each record [U], a number that those share which are the same picture."""

    exact: Codes
    near: Codes


def _find(survey: Survey, order: Codes, mirrored: bool, progress: Progress) -> _Same:
    file, joined = _file_of(survey), Components(len(order))
    for pair in same_pixels(survey.records, order, file, progress):
        joined.join(*pair)
    exact = joined.codes()
    join_nearly_same(joined, survey.records, order, file, mirrored=mirrored, progress=progress)
    return _Same(exact, joined.codes())


def _file_of(survey: Survey) -> Callable[[int], Path]:
    """Gives a file of each record."""
    good = np.flatnonzero(survey.index >= 0)
    _, first = np.unique(survey.index[good], return_index=True)
    place = good[first]
    return lambda record: survey.files[int(place[record])]


def _file(digests: npt.NDArray[np.uint8], mirrored: bool) -> Path:
    """Where it is kept what was found among these pictures."""
    facts = hashlib.blake2b(f"{VERSION} {mirrored}".encode(), digest_size=16)
    facts.update(digests.tobytes())
    return cache_dir() / "duplicates" / f"{facts.hexdigest()}.npz"


def _read(file: Path, order: Codes) -> _Same | None:
    """What is kept, in the records' own order."""
    place = np.argsort(order)
    try:
        with np.load(file) as arrays:
            return _Same(*(arrays[name][place] for name in _Same._fields))
    except (OSError, ValueError, EOFError, LookupError, BadZipFile):  # not there, or damaged
        return None


def _write(file: Path, same: _Same, order: Codes) -> None:
    """Keep it in the order of the hashes."""
    buffer = BytesIO()
    arrays = {name: codes[order] for name, codes in same._asdict().items()}
    np.savez_compressed(buffer, **arrays)
    with suppress(OutputError):  # a cache that cannot be written costs time only
        write_atomically(file, buffer.getvalue())


def _groups(index: Codes, same: _Same) -> tuple[Group, ...]:
    """Files by the picture they hold; `index` [n] gives each file's record."""
    good = np.flatnonzero(index >= 0)
    records = index[good]
    codes = same.near[records]
    by_code = np.argsort(codes, kind="stable")
    ends = np.flatnonzero(np.diff(codes[by_code])) + 1
    groups = [
        Group(tuple(good[members].tolist()), _kind(records[members], same.exact))
        for members in np.split(by_code, ends)
        if len(members) > 1
    ]
    return tuple(sorted(groups, key=lambda group: group.members))


def _kind(records: Codes, exact: Codes) -> Kind:
    if (records == records[0]).all():
        return "bytes"
    return "pixels" if len(np.unique(exact[records])) == 1 else "near"
