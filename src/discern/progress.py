"""How long work tells what it is doing; the terminal's bars live in `discern.cli`."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Progress(Protocol):
    """What long work reports to."""

    def stage(self, name: str, total: int | None) -> AbstractContextManager[Callable[[int], None]]:
        """A stage of `total` steps; the callable it gives is called with the steps just done."""
        ...

    def say(self, message: str) -> None:
        """One line that a person wants to know."""
        ...


class Silent:
    """Reports nothing; what the library uses unless told otherwise."""

    @contextmanager
    def stage(self, name: str, total: int | None) -> Iterator[Callable[[int], None]]:  # noqa: ARG002
        yield lambda _steps: None

    def say(self, message: str) -> None:
        pass


SILENT = Silent()
