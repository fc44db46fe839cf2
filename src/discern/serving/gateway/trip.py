"""One question's way to an answer: from address to address, where that is safe.

Inference changes nothing, so a question may be asked again, but not without end: what an
address says about the question itself counts for all of them.
"""

import time
from collections.abc import Callable
from typing import TypeVar

import grpc

from discern.errors import DeadlineError, DiscernError, OverloadedError, UpstreamError
from discern.serving.gateway.address import Address
from discern.serving.gateway.editions import Edition
from discern.serving.gateway.failures import UNREACHABLE, translated
from discern.serving.gateway.pool import Pool
from discern.serving.line import TOO_LATE

T = TypeVar("T")

MOST_CALLS = 3
ELSEWHERE = frozenset(  # another address may well answer
    [
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.NOT_FOUND,
    ]
)


class Trip:
    """Where one question was asked already, and what came of it."""

    def __init__(self, pool: Pool, deadline: float) -> None:
        self._pool, self._deadline = pool, deadline
        self._tried: list[Address] = []
        self._calls = 0
        self._refusals = 0
        self.failure: DiscernError = UpstreamError(UNREACHABLE)  # what to say if nobody answers

    def next(self, edition: Edition) -> Address | None:
        """The address to ask for this edition; None if there is none left."""

        def has_it(address: Address) -> bool:
            return edition in address.editions

        found = self._pool.choose(has_it, self._tried)
        if found is None and self._calls == 1 and isinstance(self.failure, UpstreamError):
            # One address may stand for several servers; a new connection leads to another.
            found = self._pool.choose(has_it)
        return found

    def other(self, edition: Edition) -> Edition | None:
        """Another edition that somebody has who was not asked yet."""
        found = self._pool.choose(
            lambda address: bool(address.editions) and address.editions[-1] is not edition,
            self._tried,
        )
        return found.editions[-1] if found else None

    async def ask(
        self,
        address: Address,
        edition: Edition,
        method: str,
        request: bytes,
        read: Callable[[bytes], T],
    ) -> T | None:
        """What `read` makes of the answer; None where asking elsewhere makes sense.

        Raises UpstreamError, OverloadedError, DeadlineError, UnknownModelError.
        """
        self._calls += 1
        try:
            return await address.ask(method, request, self._seconds(address), read)
        except grpc.aio.AioRpcError as exc:
            self.failure = translated(exc)
            await self._go_on(address, edition, exc)
            return None

    def _seconds(self, address: Address) -> float:
        """How long this address may take: half of what is left if there is another to ask."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise DeadlineError(TOO_LATE)
        asked = [*self._tried, address]
        has_other = any(
            other.circuit.admits and other.editions and other not in asked
            for other in self._pool.addresses
        )
        return left / 2 if has_other else left

    async def _go_on(self, address: Address, edition: Edition, exc: grpc.aio.AioRpcError) -> None:
        """Prepare for asking elsewhere, or raise what the failure means."""
        if isinstance(self.failure, OverloadedError):
            self._refusals += 1
        if exc.code() not in ELSEWHERE or self._calls >= MOST_CALLS or self._refusals > 1:
            raise self.failure from exc
        if time.monotonic() >= self._deadline:
            raise DeadlineError(TOO_LATE) from exc
        if exc.code() is grpc.StatusCode.NOT_FOUND:
            await self._look(address, edition)
        else:
            self._tried.append(address)

    async def _look(self, address: Address, edition: Edition) -> None:
        """See what an address has instead; twice, as the first look may have begun before."""
        for _ in range(2):
            await self._pool.look(address)
            if edition not in address.editions:
                return
        self._tried.append(address)  # it says so, but has not got it
