"""Names from archives, shards and object stores, which must not lead out of where they go."""

import re
from pathlib import PurePosixPath

from discern.errors import DatasetError

_DRIVE = re.compile(r"^[A-Za-z]:")


def safe_path(name: str, where: str) -> str:
    """The name as a plain relative path with slashes; DatasetError where it leads elsewhere.

    `where` is what holds the name, for the message.
    """
    path = name.replace("\\", "/")
    parts = PurePosixPath(path).parts
    if path.startswith("/") or _DRIVE.match(path) or ".." in parts or "\0" in path or not parts:
        raise DatasetError(
            f"{where}: holds {name!r}, a name that leads out of the folder it is unpacked to.\n"
            "Nothing was unpacked. Do not trust it, or pack the pictures again."
        )
    return "/".join(parts)
