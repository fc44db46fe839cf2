"""What a reader of a layout is."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from discern.data.dataset import Dataset


@dataclass(frozen=True)
class ReadOptions:
    """What the caller said beside the path; None where the reader is to find out."""

    image_column: str | None = None
    label_column: str | None = None
    split_column: str | None = None
    group_column: str | None = None
    images: Path | None = None
    metadata: tuple[str, ...] = ()  # columns of facts beside the pictures

    @property
    def given(self) -> tuple[str, ...]:
        """The options that were given, as they are written on the command line."""
        named = (name for name, value in vars(self).items() if value not in (None, ()))
        return tuple(f"--{name.replace('_', '-')}" for name in named)


class Reader(Protocol):
    """One layout; a module with these three names is one."""

    name: str

    def recognises(self, path: Path) -> bool:
        """Whether what lies at `path` has this layout; cheap, and without reading it all."""

    def read(self, path: Path, options: ReadOptions) -> Dataset:
        """The samples at `path`; DatasetError when they cannot be read."""
