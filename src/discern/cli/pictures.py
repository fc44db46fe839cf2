"""The pictures that a command line names: files, folders, globs, a list on stdin."""

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

from discern.data.listing import is_picture_name
from discern.errors import DatasetError


def listed(arguments: Iterable[str], stdin: TextIO) -> Iterator[str]:
    """File names one by one, in the order given, those of folders and globs sorted.

    A name that leads nowhere is passed on, to be reported in its place; a folder or glob that
    holds no picture is a DatasetError, and so is an address.
    """
    for argument in arguments:
        if argument == "-":
            yield from (line.rstrip("\r\n") for line in stdin if line.strip())
        elif "://" in argument:
            raise DatasetError(
                f"{argument}: is an address. Download the picture and name its file."
            )
        elif Path(argument).is_dir():
            yield from _not_empty(_walk(argument), f"{argument}: holds no pictures.")
        elif glob.has_magic(argument) and not Path(argument).exists():
            found = sorted(glob.iglob(argument, recursive=True))
            yield from _not_empty(iter(found), f"{argument}: matches no file.")
        else:
            yield argument


def _walk(folder: str) -> Iterator[str]:
    """All pictures below a folder, folder by folder."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if is_picture_name(name) and not name.startswith("."):
                yield str(Path(parent, name))


def _not_empty(names: Iterator[str], complaint: str) -> Iterator[str]:
    first = next(names, None)
    if first is None:
        raise DatasetError(complaint)
    yield first
    yield from names
