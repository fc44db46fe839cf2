"""A file that a command writes: whole or not at all, and never over another by accident."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


@contextmanager
def output_file(path: Path, option: str, overwrite: bool) -> Iterator[TextIO]:
    """A file that appears under its name when it is complete; until then it is NAME.part.

    OutputError, before anything is written, where it exists or cannot be made.
    """
    from discern.errors import OutputError
    from discern.whole_folder import writing

    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists. Use --overwrite to replace it, or another {option}.")
    part = path.with_name(f"{path.name}.part")
    try:
        with (
            writing(path),
            part.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
        ):
            yield file
        with writing(path):
            part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
