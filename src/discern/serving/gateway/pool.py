"""The addresses behind the gateway: found by name, looked after, chosen among.

gRPC's own `dns:///` with round_robin resolves again only when a connection breaks, and balances
calls without regard to how many are under way; its outlier detection does not see a server that
hangs while nothing fails. Here, every address has a channel of its own. The names are resolved,
and every address is looked at, every few seconds.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, Collection, Sequence

import grpc

from discern.errors import ConfigError, DiscernError, OverloadedError, UpstreamError
from discern.serving.gateway.address import Address
from discern.serving.gateway.editions import Edition
from discern.serving.gateway.failures import reason
from discern.serving.gateway.upstreams import Upstream

log = logging.getLogger("discern.serving")

Look = Callable[[Address], Awaitable[tuple[Edition, ...]]]  # newest last
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]  # a host and port's IP addresses

AGAIN_SECONDS = 0.5  # until the next look at an address that does not answer
FIRST_SECONDS = 5.0  # that starting waits for names and answers
MOST_OUTSTANDING = 256  # calls to an address at the same time; they hold pictures in memory


async def resolve_host(host: str, port: int) -> Sequence[str]:
    """All addresses of a host, by the system; in a thread, for this may take seconds."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return sorted({str(address[0]) for *_, address in found})


class Pool:
    """Addresses of model servers, of which `look` says what they have.

    `changed` is called whenever that may have changed.
    """

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        look: Look,
        changed: Callable[[], None],
        poll_seconds: float,
        drain_seconds: float,
        resolve: Resolve = resolve_host,
    ) -> None:
        self._upstreams, self._look_at, self._resolve = upstreams, look, resolve
        self._changed = changed
        self._poll_seconds, self._drain_seconds = poll_seconds, drain_seconds
        self._known: dict[Upstream, Sequence[str]] = {}  # what each name led to last
        self._addresses: dict[tuple[str, int], Address] = {}
        self._watches: dict[Address, asyncio.Task[None]] = {}
        self._looks: dict[Address, asyncio.Task[None]] = {}
        self._draining: set[asyncio.Task[None]] = set()
        self._follower: asyncio.Task[None] | None = None
        self._said: dict[str, str] = {}  # troubles, by what they are about; each is said once
        self.fault: ConfigError | None = None  # what waiting does not cure, as seen last

    async def start(self) -> None:
        """Find the addresses and look at each once; those that do not answer are tried on."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_SECONDS):
                await self._find()
                await asyncio.gather(*map(self.look, self.addresses))
        self._follower = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Hang up everywhere; what is still under way is cancelled."""
        tasks = [*self._watches.values(), *self._looks.values(), *self._draining]
        tasks += [self._follower] if self._follower else []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for address in self._addresses.values():
            await address.close()
        self._addresses.clear()
        self._watches.clear()
        self._changed()

    @property
    def addresses(self) -> Collection[Address]:
        return self._addresses.values()

    def choose(
        self, suits: Callable[[Address], bool], tried: Collection[Address] = ()
    ) -> Address | None:
        """The address with the fewest calls under way of those that suit, in turn among equals.

        Raises OverloadedError if all of them have more than can be.
        """
        candidates = [
            address
            for address in self._addresses.values()
            if address.circuit.admits and suits(address) and address not in tried
        ]
        if not candidates:
            return None
        best = min(candidates, key=lambda address: (address.outstanding, address.asked_at))
        if best.outstanding >= MOST_OUTSTANDING:
            raise OverloadedError("The model servers are busy. Try again in a moment.")
        return best

    async def look(self, address: Address) -> None:
        """Look at an address now; who asks for the same look at the same time shares it."""
        if address not in self._looks:
            self._looks[address] = asyncio.create_task(self._look(address))
        await asyncio.shield(self._looks[address])

    async def _look(self, address: Address) -> None:
        try:
            address.editions = await self._look_at(address)
        except grpc.aio.AioRpcError as exc:
            address.circuit.missed(reason(exc))
        except UpstreamError as exc:
            address.circuit.missed(str(exc))
        except DiscernError as exc:  # it answers, but has nothing that could be used
            address.editions = ()
            self._seen(address, exc)
        except Exception:  # a bug here must not end the looking for good
            if address in self._watches:  # else it was hung up on meanwhile
                log.exception("%s: looking at it failed", address.name)
            address.circuit.missed("a look at it failed")
        else:
            self._seen(address, None)
        finally:
            del self._looks[address]

    def _seen(self, address: Address, trouble: DiscernError | None) -> None:
        address.circuit.seen()
        self.fault = trouble if isinstance(trouble, ConfigError) else None
        self._say(address.name, str(trouble) if trouble else None)
        self._changed()

    async def _watch(self, address: Address) -> None:
        while True:
            await self.look(address)
            seconds = self._poll_seconds
            if address.circuit.is_missed:
                seconds = min(seconds, AGAIN_SECONDS)
            await _set_or_after(address.trouble, seconds)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self._poll_seconds)
            try:
                await self._find()
            except Exception:  # as above
                log.exception("looking for model servers failed")

    async def _find(self) -> None:
        """Resolve all names; join what is new, drain what is gone."""
        wanted: dict[tuple[str, int], Upstream] = {}
        found = await asyncio.gather(*map(self._ips, self._upstreams))
        for upstream, ips in zip(self._upstreams, found, strict=True):
            for ip in ips:
                wanted.setdefault((ip, upstream.port), upstream)
        for place, upstream in wanted.items():
            if place not in self._addresses:
                self._join(place, upstream)
        for place in self._addresses.keys() - wanted.keys():
            self._drain(self._addresses.pop(place))
            self._changed()

    async def _ips(self, upstream: Upstream) -> Sequence[str]:
        """The host's addresses; those known already while its name cannot be resolved."""
        trouble = None
        try:
            if found := await self._resolve(upstream.host, upstream.port):
                self._known[upstream] = tuple(found)
        except (OSError, UnicodeError) as exc:
            trouble = f"the name cannot be resolved ({exc})"
        self._say(upstream.host, trouble)
        return self._known.get(upstream, ())

    def _join(self, place: tuple[str, int], upstream: Upstream) -> None:
        address = self._addresses[place] = Address(upstream, place[0])
        self._watches[address] = asyncio.create_task(self._watch(address))

    def _drain(self, address: Address) -> None:
        """Ask it nothing more; let what is under way come to its end."""
        log.info("%s: is gone", address.name)
        self._watches.pop(address).cancel()
        task = asyncio.create_task(address.close(self._drain_seconds))
        self._draining.add(task)
        task.add_done_callback(self._draining.discard)

    def _say(self, about: str, trouble: str | None) -> None:
        if trouble is None:
            self._said.pop(about, None)
        elif self._said.get(about) != trouble:
            self._said[about] = trouble
            log.warning("%s: %s", about, trouble)


async def _set_or_after(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, and clear it, but not longer than some seconds."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
    event.clear()
