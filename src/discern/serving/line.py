"""The waiting line before a server's threads: bounded, with deadlines, nothing done for nobody.

What is taken on is counted in pictures. Beyond the bound a request is refused at once, so that
those taken on are answered in time: a server that queues without bound answers nobody when it
is overloaded.
"""

import asyncio
import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from discern.errors import DeadlineError, OverloadedError

RETRY_SECONDS = 1.0
TOO_LATE = "The request took longer than it may."


@dataclass(frozen=True, eq=False)
class Job:
    """Something to be done by a thread, and the one who waits for it in the event loop."""

    task: Any
    pictures: int
    deadline: float  # of time.monotonic()
    submitted: float
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]

    @property
    def wanted(self) -> bool:
        """Whether somebody still waits for it."""
        return not self.future.done() and time.monotonic() < self.deadline


class Line:
    """Asked from the event loop, served by threads.

    `load` is the pictures that wait or are being worked on. Who gives up leaves the line at once
    if the job was not begun; a job that was begun keeps its place until the thread is done with
    it, asked for or not. So the bound holds for what the threads have to do, and for the pictures
    in memory: clients that hang up cannot pile up work behind their backs. One request may go
    beyond it by its own size, or one larger than `capacity` could never be answered.

    `waited` is told, for every job, how many seconds it stood in line.
    """

    def __init__(self, capacity: int, waited: Callable[[float], None] = lambda _s: None) -> None:
        self.capacity = capacity
        self.load = 0
        self._waited = waited
        self._jobs: deque[Job] = deque()
        self._closed = False
        self._changed = threading.Condition()  # guards what stands above, but for `capacity`

    @property
    def full(self) -> bool:
        return self.load >= self.capacity

    def admit(self) -> None:
        """Raise OverloadedError if nothing more can be taken on."""
        if self._closed:
            raise OverloadedError("The server is stopping. Ask another, or later.", RETRY_SECONDS)
        if self.full:
            raise OverloadedError("The server is busy. Try again in a moment.", RETRY_SECONDS)

    async def ask(self, task: Any, deadline: float, pictures: int = 1) -> Any:
        """What a thread makes of `task`.

        Raises what the thread raises, OverloadedError at once if too much is waiting, and
        DeadlineError when the deadline passes first. A task of no pictures is the rest of what
        was taken on before: however much is waiting, it is not refused.
        """
        if pictures or self._closed:
            self.admit()
        loop, now = asyncio.get_running_loop(), time.monotonic()
        if deadline <= now:
            raise DeadlineError(TOO_LATE)
        job = Job(task, pictures, deadline, now, loop, loop.create_future())
        late = DeadlineError(TOO_LATE)
        clock = loop.call_later(deadline - now, _settle, job.future, None, late)
        self._join(job)
        try:
            return await job.future
        finally:
            clock.cancel()
            self._give_up(job)
            # An exception knows this frame, and the job's future knows the exception: together
            # they would keep the request's picture until the garbage collector comes by.
            del job, task, late

    def take(self, seconds: float | None = None) -> Job | None:
        """The next job that somebody waits for; None when the line is closed and empty.

        The thread that takes it must `finish` it. With `seconds`, raises queue.Empty if none
        comes in that time.
        """
        until = None if seconds is None else time.monotonic() + seconds
        while True:
            job = self._next(None if until is None else until - time.monotonic())
            if job is None or job.wanted:
                return job
            self._free(job)
            del job  # while this thread waits, it must not keep what nobody wants

    def finish(self, job: Job, outcome: Any = None, failure: Exception | None = None) -> None:
        """A thread is done with a job: its place is free, and who asked is told."""
        self._free(job)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            job.loop.call_soon_threadsafe(_settle, job.future, outcome, failure)

    def close(self) -> None:
        """Take nothing more on; let the threads end when the jobs before are done."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _join(self, job: Job) -> None:
        with self._changed:
            self.load += job.pictures
            self._jobs.append(job)
            self._changed.notify()

    def _next(self, seconds: float | None) -> Job | None:
        with self._changed:
            if not self._changed.wait_for(lambda: self._jobs or self._closed, seconds):
                raise queue.Empty
            job = self._jobs.popleft() if self._jobs else None
        if job is not None:
            self._waited(time.monotonic() - job.submitted)
        return job

    def _free(self, job: Job) -> None:
        with self._changed:
            self.load -= job.pictures

    def _give_up(self, job: Job) -> None:
        """Take a job that no thread has begun out of the line."""
        with self._changed:
            if job not in self._jobs:
                return
            self._jobs.remove(job)
            self.load -= job.pictures
        self._waited(time.monotonic() - job.submitted)


def _settle(future: asyncio.Future[Any], outcome: Any, failure: Exception | None) -> None:
    if future.done():
        return
    if failure is not None:
        future.set_exception(failure)
    else:
        future.set_result(outcome)
