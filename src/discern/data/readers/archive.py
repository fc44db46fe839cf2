"""A zip or tar archive, unpacked once into the cache, with any other layout inside."""

from pathlib import Path

from discern.data.readers.archive_members import is_archive, members
from discern.data.unpacked import Packed, Unpacked, files_origin, unpack
from discern.progress import Progress

name = "archive"
_VERSION = "archive 1"


def recognises(path: Path) -> bool:
    """Whether the file is named as an archive."""
    return is_archive(path)


def unpacked(path: Path, progress: Progress) -> Unpacked:
    """The archive's files in the cache; DatasetError for one that is damaged or hostile."""
    origin = files_origin(_VERSION, path.name, [path])
    return unpack(
        origin,
        lambda notes: (Packed(member.path, member.content) for member in members(path, notes)),
        progress,
    )
