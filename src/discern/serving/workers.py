"""Threads that do a server's work, as many as there are cores."""

import threading
from collections.abc import Callable
from typing import TypeVar

from discern.serving.line import Line

T = TypeVar("T")


class Workers:
    """A fixed number of threads behind one bounded line."""

    def __init__(
        self, threads: int, capacity: int, waited: Callable[[float], None] = lambda _s: None
    ) -> None:
        self.line = Line(capacity, waited)
        for i in range(threads):
            threading.Thread(
                target=_work, args=(self.line,), name=f"worker-{i}", daemon=True
            ).start()

    async def run(self, work: Callable[[], T], deadline: float, pictures: int = 1) -> T:
        """The outcome of `work`, done on one of the threads; raises as `Line.ask`."""
        outcome: T = await self.line.ask(work, deadline, pictures)
        return outcome

    def close(self) -> None:
        """End the threads when the work before is done."""
        self.line.close()


def _work(line: Line) -> None:
    while (job := line.take()) is not None:
        try:
            line.finish(job, job.task())
        except Exception as exc:  # the one who asked is told; the thread goes on
            line.finish(job, failure=exc)
        del job  # while this thread waits, it must not keep a picture, or a whole model
