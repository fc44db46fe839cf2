"""Leaving out what fails: a circuit breaker for one address."""

import logging
import time
from collections.abc import Callable

log = logging.getLogger("discern.serving")

FAILURES = 3  # in a row, until an address is left out
SHORTEST, LONGEST = 0.5, 30.0  # seconds that it is left out for: twice as long each time


class Circuit:
    """Whether an address may be asked, from how it answered so far.

    Closed, anything may pass. After some failures in a row it opens; when its time is over one
    request is let through, and what becomes of that closes it, or opens it for twice as long.
    Looks at the address (`seen`, `missed`) count too: while they fail there is no such trial,
    and the first that succeeds again closes the circuit, for the server is then a new one.
    """

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._name, self._clock = name, clock
        self.is_missed = False  # the last look failed
        self._reset()

    def _reset(self) -> None:
        self._failures = self._openings = 0
        self._until: float | None = None  # of the clock; None: closed
        self._trying = False

    @property
    def is_open(self) -> bool:
        return self._until is not None

    @property
    def admits(self) -> bool:
        """Whether a request may pass now."""
        if self._until is None:
            return True
        return not (self.is_missed or self._trying) and self._clock() >= self._until

    def begin(self) -> bool:
        """A request passes; returns whether it is the trial."""
        self._trying = self.is_open
        return self._trying

    def answered(self) -> None:
        """A request was answered."""
        if self.is_open:
            log.info("%s: answers again", self._name)
        self._reset()

    def failed(self, trial: bool, reason: str) -> None:
        """A request failed, and not by its own fault."""
        if trial:
            self._open(reason)
        elif not self.is_open:  # else it was under way when the circuit opened
            self._count(reason)

    def abandoned(self, trial: bool) -> None:
        """A request ended without telling anything about the address."""
        if trial:
            self._trying = False

    def seen(self) -> None:
        """A look at the address succeeded."""
        if self.is_missed:
            self.is_missed = False
            self.answered()

    def missed(self, reason: str) -> None:
        """A look at the address failed."""
        self.is_missed = True
        if not self.is_open:
            self._count(reason)

    def _count(self, reason: str) -> None:
        self._failures += 1
        if self._failures >= FAILURES:
            self._open(reason)

    def _open(self, reason: str) -> None:
        if not self.is_open:
            log.warning("%s: left out for a while (%s)", self._name, reason)
        seconds = min(LONGEST, SHORTEST * 2**self._openings)
        self._until, self._trying = self._clock() + seconds, False
        self._openings += 1
