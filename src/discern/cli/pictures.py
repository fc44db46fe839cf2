"""The pictures that a command line names: files, folders, globs, URLs, a list on stdin."""

import asyncio
import functools
import glob
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from discern.data.listing import is_picture_name
from discern.errors import DatasetError
from discern.images import PictureLimits

if TYPE_CHECKING:
    from discern.runtime.pipeline import Picture


def listed(arguments: Iterable[str], stdin: TextIO) -> Iterator[str]:
    """File names and URLs one by one, in the order given, those of folders and globs sorted.

    A name that leads nowhere is passed on, to be reported in its place; a folder or glob that
    holds no picture is a DatasetError.
    """
    for argument in arguments:
        if argument == "-":
            yield from (line.rstrip("\r\n") for line in stdin if line.strip())
        elif is_url(argument):
            yield argument
        elif Path(argument).is_dir():
            yield from _not_empty(_walk(argument), f"{argument}: holds no pictures.")
        elif glob.has_magic(argument) and not Path(argument).exists():
            found = sorted(glob.iglob(argument, recursive=True))
            yield from _not_empty(iter(found), f"{argument}: matches no file.")
        else:
            yield argument


def is_url(name: str) -> bool:
    return name.startswith(("http://", "https://"))


def picture(name: str) -> "Picture":
    """What the predictor is to be given for a name; a URL is fetched when its turn comes."""
    return functools.partial(_fetched, name) if is_url(name) else name


def _fetched(url: str) -> bytes:
    """The bytes at a URL, which whoever runs the command has chosen: any address will do."""
    from discern.serving.fetch import Fetcher, FetchSettings

    settings = FetchSettings(private_addresses=True)

    async def fetch() -> bytes:
        fetcher = Fetcher(settings, PictureLimits().max_bytes)
        try:
            return await fetcher.fetch(url, time.monotonic() + settings.seconds)
        finally:
            await fetcher.close()

    return asyncio.run(fetch())


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
