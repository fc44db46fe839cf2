"""What a command says and where: results to stdout, everything about the work to stderr."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Terminal:
    """How one command talks; also the `Progress` that long work reports to."""

    as_json: bool = False
    quiet: bool = False

    @contextmanager
    def stage(self, name: str, total: int | None) -> Iterator[Callable[[int], None]]:
        """A bar with the time left, on stderr, where that is a terminal."""
        if self.quiet or not sys.stderr.isatty():
            yield lambda _steps: None
            return
        from rich import progress
        from rich.console import Console

        columns = (
            progress.TextColumn("{task.description}"),
            progress.BarColumn(bar_width=32),
            progress.MofNCompleteColumn() if total else progress.TextColumn(""),
            progress.TimeRemainingColumn() if total else progress.TimeElapsedColumn(),
        )
        console = Console(stderr=True)
        # rich would print to its own console, stderr, what a command writes to stdout.
        bar = progress.Progress(*columns, console=console, transient=True, redirect_stdout=False)
        with bar:
            task = bar.add_task(name, total=total)
            yield lambda steps: bar.advance(task, steps)

    def say(self, message: str) -> None:
        """A line about the work."""
        if not self.quiet:
            print(message, file=sys.stderr, flush=True)

    def result(self, summary: str, document: Any) -> None:
        """The command's outcome: a JSON document, or a summary for a person."""
        if self.as_json:
            print(json.dumps(document, indent=1, ensure_ascii=False))
        elif not self.quiet:
            print(summary)
