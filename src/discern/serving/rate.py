"""How often one sender may ask: a token bucket for each."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from typing import Final
from urllib.parse import unquote

from discern.errors import ConfigError, RateLimitedError

SENDERS: Final = 10_000  # how many are kept in mind, about 2 MB
_ROUNDING: Final = 1e-6  # seconds; the clock's float is coarser than the sums made with it


class RateLimiter:
    """`rate` requests a second for each sender, and `burst` of them at once after a pause.

    A bucket is one number, the time at which it will be full again (the generic cell rate
    algorithm, ITU-T I.371), so nothing has to be refilled. Beyond `SENDERS` the least recently
    seen is forgotten. Raises ConfigError for a rate or burst that lets nothing through.
    """

    def __init__(
        self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if not (0 < rate < math.inf and burst >= 1):
            raise ConfigError(
                f"rate {rate:g} with burst {burst}: give a rate above 0 and a burst of at least 1."
            )
        self._rate, self._clock = rate, clock
        self._token = 1 / rate  # seconds until there is one more
        self._depth = burst / rate  # seconds from empty to full
        self._full_at: OrderedDict[str, float] = OrderedDict()  # least recently seen first

    def admit(self, who: str) -> None:
        """Take one token from the sender's bucket.

        Raises RateLimitedError, and takes nothing, if there is none; `retry_after` is when
        there will be.
        """
        now = self._clock()
        full_at = max(self._full_at.pop(who, now), now)
        wait = full_at + self._token - self._depth - now
        admitted = wait <= _ROUNDING
        self._full_at[who] = full_at + self._token if admitted else full_at
        self._forget(now)
        if not admitted:
            raise RateLimitedError(
                f"Too many requests: {self._rate:g} a second are allowed. "
                f"Try again in {wait:.3g} seconds.",
                wait,
            )

    def _forget(self, now: float) -> None:
        """Drop full buckets, which say no more than none at all, and what is too many."""
        seen = self._full_at
        while seen and (len(seen) > SENDERS or next(iter(seen.values())) <= now):
            seen.popitem(last=False)


def peer_address(peer: str) -> str:
    """The address in what gRPC calls a peer: `ipv4:192.0.2.1:4711`, `ipv6:%5B2001:db8::1%5D:4711`.

    A Unix socket's is empty.
    """
    return unquote(peer).partition(":")[2].rpartition(":")[0].strip("[]")


def sender(address: str) -> str:
    """Whom an address is counted as.

    IPv6 by its /64 network: it is the least that one customer or machine is given, and whoever
    has it has 2⁶⁴ addresses to ask from. IPv4 seen through an IPv6 socket is IPv4. What is no
    address (a Unix socket has none) counts as it is.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{IPv6Address(int(parsed) >> 64 << 64)}/64"
