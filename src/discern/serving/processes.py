"""Several server processes behind one port, for machines with more cores than one process uses.

One Python process runs one event loop: some thousand requests a second, however many cores the
engine could use. Each process here gets its share of the cores, a copy of the model, and the
same listening socket, from which the kernel hands out connections.
"""

import logging
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

from discern.errors import ConfigError

log = logging.getLogger("discern.serving")

RESTART_SECONDS = 1.0  # between two starts, so that one that dies at once does not spin


def shares(cores: list[int], processes: int) -> list[list[int]]:
    """The cores of each process, near each other and as many for each as can be."""
    if processes > len(cores):
        raise ConfigError(
            f"{processes} processes on {len(cores)} cores: each needs one of its own. "
            f"Use --processes {len(cores)} or fewer."
        )
    bounds = [len(cores) * i // processes for i in range(processes + 1)]
    return [cores[a:b] for a, b in pairwise(bounds)]


def spread_over(processes: int) -> None:
    """Go on in that many copies of this process, each on its share of the cores.

    Returns in each copy, and never in the process that called it: that one starts a copy again
    when it is killed, passes SIGTERM and SIGINT on, and exits when all have. A copy that gives up
    by itself, with an exit code, ends them all with that code. To be called before any thread is
    started, and before Prometheus' client is loaded.
    """
    cores = shares(sorted(os.sched_getaffinity(0)), processes)
    folder = tempfile.mkdtemp(prefix="discern-metrics-")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder  # so that /metrics counts all of them
    code = _Parent(cores).run()
    if code is not None:
        shutil.rmtree(folder, ignore_errors=True)
        sys.exit(code)


class _Parent:
    """The processes, by id, and the cores of each."""

    def __init__(self, cores: list[list[int]]) -> None:
        self._cores = cores
        self._running: dict[int, list[int]] = {}
        self._stopping = False

    def run(self) -> int | None:
        """The exit code when all have ended; None in each of the children."""
        outcome, waiting = 0, deque(self._cores)
        with self._passing_signals_on():
            while waiting or self._running:
                if waiting:
                    if self._is_child(waiting.popleft()):
                        return None
                    continue
                process, status = os.wait()
                share, code = self._running.pop(process), os.waitstatus_to_exitcode(status)
                if code >= 0 and not self._stopping:
                    outcome = code
                    self._stop(signal.SIGTERM)
                elif not self._stopping:
                    log.warning("process %d was killed (signal %d): restarting", process, -code)
                    _forget(process)
                    time.sleep(RESTART_SECONDS)
                    waiting.append(share)
        return outcome

    def _is_child(self, share: list[int]) -> bool:
        if self._stopping:
            return False
        process = os.fork()
        if process:
            self._running[process] = share
        else:
            os.sched_setaffinity(0, share)
        return not process

    def _stop(self, number: int) -> None:
        self._stopping = True
        for process in self._running:
            os.kill(process, number)

    @contextmanager
    def _passing_signals_on(self) -> Iterator[None]:
        def told(number: int, _frame: object) -> None:
            self._stop(number)

        before = {n: signal.signal(n, told) for n in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _forget(process: int) -> None:
    """A dead process's gauges are nobody's."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(process)  # type: ignore[no-untyped-call]
