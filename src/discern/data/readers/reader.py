"""What a reader of a layout is."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from discern.data.dataset import Dataset
from discern.errors import DatasetError
from discern.progress import Progress

DEEPEST: Literal["deepest"] = "deepest"


@dataclass(frozen=True)
class ReadOptions:
    """What the caller said beside the path; None where the reader is to find out."""

    image_column: str | None = None
    label_column: str | None = None
    split_column: str | None = None
    group_column: str | None = None
    images: Path | None = None
    labels: str | None = None  # which of several kinds of labels
    level: int | Literal["deepest"] | None = None  # of the folders that are classes; None: 1
    metadata: tuple[str, ...] = ()  # columns of facts beside the pictures

    @property
    def given(self) -> tuple[str, ...]:
        """The options that were given, as they are written on the command line."""
        named = (name for name, value in vars(self).items() if value not in (None, ()))
        return tuple(f"--{name.replace('_', '-')}" for name in named)


class Reader(Protocol):
    """One layout; a module with these three names is one."""

    name: str

    def recognises(self, path: Path, /) -> bool:
        """Whether what lies at `path` has this layout; cheap, and without reading it all."""

    def read(self, path: Path, options: ReadOptions, progress: Progress, /) -> Dataset:
        """The samples at `path`; DatasetError when they cannot be read.

        What takes long, such as unpacking, tells `progress`.
        """


def refuse_options(
    path: Path, options: ReadOptions, kind: str, known: tuple[str, ...] = (), instead: str = ""
) -> None:
    """DatasetError for an option that this layout does not know; better than to ignore it.

    `kind` says what the path is read as, `instead` what the caller may have wanted.
    """
    if strange := [option for option in options.given if option not in known]:
        hint = instead or "Leave it out, or name another layout with --layout."
        raise DatasetError(f"{path}: is read as {kind}, which knows no {strange[0]}.\n{hint}")
