"""Threads that do a server's work."""

import os
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

from discern.serving.line import Line

T = TypeVar("T")

NICENESS = 5


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
    _give_way()
    while (job := line.take()) is not None:
        try:
            line.finish(job, job.task())
        except Exception as exc:  # the one who asked is told; the thread goes on
            line.finish(job, failure=exc)
        del job  # while this thread waits, it must not keep a picture, or a whole model


def _give_way() -> None:
    """Let the event loop go before this thread: refusing in time, and saying that the server
    lives, takes little and must not wait for pictures."""
    if sys.platform == "linux":  # elsewhere a thread has no priority of its own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
