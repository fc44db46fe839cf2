"""Fetch a picture from a URL that an untrusted client named.

Every address that a name resolves to is checked, and the connection goes to a checked address,
not to the name: it is not resolved again (DNS rebinding). TLS still verifies the name. Each
redirect starts over, checks included. Each request has a connection of its own, so that none
that was checked for one name serves another; nothing is kept or sent along: no cookies, no
credentials, no Referer, no proxies from the environment.

HTTP itself is h11's, the engine that httpx and uvicorn stand on too. What they put around it
(pools, proxies, cookies, decoding) would have to be switched off here.
"""

import asyncio
import functools
import socket
import ssl
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from discern import __version__
from discern.errors import FetchError, FetchRefusedError
from discern.serving.addresses import (
    IPAddress,
    Target,
    follow,
    host_pattern,
    is_allowed,
    is_listed,
    parse_url,
)

if TYPE_CHECKING:
    import h11

_REDIRECTS: Final = (301, 302, 303, 307, 308)
# The last is what S3 calls bytes of no known type.
_BYTES_OF_ANY_TYPE: Final = ("", "application/octet-stream", "binary/octet-stream")
_CHUNK: Final = 64 * 1024
_RESOLVERS: Final = 8
_TRIES_A_FAMILY: Final = 2
_SECONDS_A_TRY: Final = 2.5  # where another address is left: one network may lead nowhere
_LATE: Final = "the URL's host did not answer completely in time"
_UNREACHABLE: Final = "the URL's host cannot be reached"


@dataclass(frozen=True)
class FetchSettings:
    """Which URLs are fetched, and what one may cost."""

    enabled: bool = True
    hosts: tuple[str, ...] = ()  # only these; `*.example.org`: all names below; empty: any host
    private_addresses: bool = False  # allow loopback, private, link-local …: tests, intranets
    seconds: float = 10.0  # for everything: resolving, connecting, redirects, the body
    redirects: int = 3


class Fetcher:
    """Fetches pictures of at most `max_bytes` within the settings; for one event loop.

    Raises ConfigError for an entry of `settings.hosts` that is no host.
    """

    def __init__(self, settings: FetchSettings, max_bytes: int) -> None:
        self._settings = settings
        self._max_bytes = max_bytes
        self._hosts = tuple(host_pattern(text) for text in settings.hosts)
        # Its own threads: names that a stranger makes slow to resolve hold up no other work.
        self._resolvers = ThreadPoolExecutor(_RESOLVERS, thread_name_prefix="resolve")

    async def fetch(self, url: str, deadline: float) -> bytes:
        """The bytes at `url`; whether they are a picture is for `images.decode` to say.

        `deadline` is on the clock of `time.monotonic`; `settings.seconds` may end it earlier.

        Raises FetchRefusedError if the URL, or one it redirects to, must not be fetched, and
        FetchError for whatever else goes wrong. The messages tell a client nothing about what
        a name resolves to.
        """
        if not self._settings.enabled:
            raise FetchRefusedError("URLs are not fetched here; send the picture itself")
        seconds = min(deadline - time.monotonic(), self._settings.seconds)
        if seconds <= 0:
            raise FetchError(_LATE)
        try:
            async with asyncio.timeout(seconds):
                return await self._fetch_following(parse_url(url))
        except TimeoutError as exc:
            raise FetchError(_LATE) from exc

    async def close(self) -> None:
        """Give the threads back; fetches under way should have ended."""
        self._resolvers.shutdown(wait=False, cancel_futures=True)

    async def _fetch_following(self, target: Target) -> bytes:
        for _ in range(self._settings.redirects + 1):
            answer = await self._get(target)
            if isinstance(answer, bytes):
                return answer
            target = follow(target, answer)
        raise FetchError(f"redirected more than {self._settings.redirects} times")

    async def _get(self, target: Target) -> bytes | str:
        """The body, or the location that the server redirects to."""
        addresses = await self._resolve(target)
        reader, writer = await self._connect(target, _worth_trying(addresses))
        try:
            return await _exchange(target, reader, writer, self._max_bytes)
        finally:
            writer.transport.abort()  # a polite TLS goodbye takes as long as the server likes

    async def _resolve(self, target: Target) -> list[IPAddress]:
        """The target's addresses, all of them checked."""
        if self._hosts and not is_listed(target.host, self._hosts):
            raise FetchRefusedError("the URL's host is not one that pictures are fetched from")
        found = [target.address] if target.address else await self._look_up(target)
        if not all(is_allowed(address, self._settings.private_addresses) for address in found):
            raise FetchRefusedError("the URL leads to an address that is not fetched from")
        return found

    async def _look_up(self, target: Target) -> list[IPAddress]:
        """Ask the system's resolver, which can only block, and so does in a thread."""
        ask = functools.partial(
            socket.getaddrinfo, target.host, target.port, type=socket.SOCK_STREAM
        )
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._resolvers, ask)
        except OSError as exc:
            raise FetchError(_UNREACHABLE) from exc
        return [ip_address(sockaddr[0]) for *_, sockaddr in found]

    async def _connect(
        self, target: Target, addresses: Sequence[IPAddress]
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the first address that answers, and to nothing but these."""
        failure: OSError | None = None
        for number, address in enumerate(addresses, start=1):
            try:
                async with asyncio.timeout(_SECONDS_A_TRY if number < len(addresses) else None):
                    return await self._open(target, address)
            except ssl.SSLError as exc:
                raise FetchError("no trusted TLS connection with the URL's host") from exc
            except OSError as exc:
                failure = exc
        raise FetchError(_UNREACHABLE) from failure

    async def _open(
        self, target: Target, address: IPAddress
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(
            str(address),
            target.port,
            flags=socket.AI_NUMERICHOST,  # never a name
            ssl=self._tls if target.is_secure else None,
            server_hostname=target.host if target.is_secure else None,
        )

    @functools.cached_property
    def _tls(self) -> ssl.SSLContext:
        """The system's trusted certificates, or SSL_CERT_FILE's; 40 ms, so only when needed."""
        context = ssl.create_default_context()
        context.set_alpn_protocols(["http/1.1"])
        return context


def _worth_trying(addresses: Sequence[IPAddress]) -> list[IPAddress]:
    """The first few of each family: a stranger's name server may list a thousand."""
    unique = list(dict.fromkeys(addresses))
    families = ([a for a in unique if a.version == version] for version in (4, 6))
    kept = {address for family in families for address in family[:_TRIES_A_FAMILY]}
    return [address for address in unique if address in kept]


async def _exchange(
    target: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, max_bytes: int
) -> bytes | str:
    """One GET over an open connection: the body, or the location that it redirects to."""
    import h11

    connection = h11.Connection(h11.CLIENT)
    try:
        writer.write(_request(connection, target))
        response = await _read_head(connection, reader)
        if response.status_code in _REDIRECTS and (location := _header(response, b"location")):
            return location
        _check_head(response, max_bytes)
        return await _read_body(connection, reader, max_bytes)
    except h11.RemoteProtocolError as exc:
        raise FetchError("the server's answer broke off, or is not HTTP") from exc
    except OSError as exc:
        raise FetchError("the connection broke off") from exc


def _request(connection: "h11.Connection", target: Target) -> bytes:
    import h11

    headers = {
        "Host": target.authority,
        "User-Agent": f"discern/{__version__}",
        "Accept": "image/*, */*;q=0.5",
        "Accept-Encoding": "identity",  # so that bytes counted are bytes of the picture
        "Connection": "close",
    }
    head = connection.send(
        h11.Request(method="GET", target=target.path, headers=[*headers.items()])
    )
    return (head or b"") + (connection.send(h11.EndOfMessage()) or b"")


async def _next_event(connection: "h11.Connection", reader: asyncio.StreamReader) -> object:
    import h11

    while (event := connection.next_event()) is h11.NEED_DATA:
        connection.receive_data(await reader.read(_CHUNK))
    return event


async def _read_head(connection: "h11.Connection", reader: asyncio.StreamReader) -> "h11.Response":
    import h11

    while not isinstance(event := await _next_event(connection, reader), h11.Response):
        pass  # 100 Continue, 103 Early Hints …
    return event


async def _read_body(
    connection: "h11.Connection", reader: asyncio.StreamReader, max_bytes: int
) -> bytes:
    import h11

    body = BytesIO()  # `getvalue` hands its buffer over; `bytes` of a bytearray would be a copy
    while isinstance(event := await _next_event(connection, reader), h11.Data):
        body.write(event.data)
        _check_size(body.tell(), max_bytes)
    return body.getvalue()


def _check_head(response: "h11.Response", max_bytes: int) -> None:
    """Refuse what cannot be a picture before any of it is read."""
    if response.status_code != 200:
        raise FetchError(f"the URL's host answered with HTTP status {response.status_code}")
    kind = _header(response, b"content-type").partition(";")[0].strip().lower()
    if not kind.startswith("image/") and kind not in _BYTES_OF_ANY_TYPE:
        raise FetchError("the URL leads to something other than a picture")
    if _header(response, b"content-encoding").lower() not in ("", "identity"):
        raise FetchError("the server sent the picture compressed, without being asked to")
    _check_size(int(_header(response, b"content-length") or 0), max_bytes)


def _check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise FetchError(f"the picture has more than the {max_bytes:,} bytes that are allowed")


def _header(response: "h11.Response", name: bytes) -> str:
    """The header's value, empty where there is none; a second one of the name is ignored."""
    values = (value for key, value in response.headers if key == name)
    return next(values, b"").decode("utf-8", "replace").strip()
