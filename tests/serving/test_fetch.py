"""What is fetched from a stranger's URL and, more important, what is not."""

import asyncio
import contextlib
import ipaddress
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discern import __version__
from discern.errors import ConfigError, FetchError, FetchRefusedError
from discern.serving.addresses import follow, is_allowed, parse_url
from discern.serving.fetch import Fetcher, FetchSettings

PUBLIC, PUBLIC_6 = "93.184.216.34", "2606:2800:220:1::1"
PICTURE = b"bytes of a picture"
INTRANET = FetchSettings(private_addresses=True, seconds=5)
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Internet:
    """Names and addresses as a test wants them; nothing but loopback is connected to."""

    names: dict[str, list[list[str]]] = field(default_factory=dict)  # one list for each question
    routes: dict[tuple[str, int], int] = field(default_factory=dict)  # to a port on loopback
    connected: list[tuple[str, int]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def resolve(
        self,
        host: str,
        port: int,
        family: int = 0,
        type: int = 0,  # noqa: A002
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        """`socket.getaddrinfo`, which reads 0x7f.1 as C does, without a network."""
        self.asked.append(host)
        answers = self.names.get(host, [[host]])
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        flags |= socket.AI_NUMERICHOST
        found = [REAL_RESOLVE(a, port, family, type, proto, flags) for a in addresses]
        return [entry for entries in found for entry in entries]

    def connect(self, sock: socket.socket, address: tuple[Any, ...]) -> None:
        """`socket.socket.connect`, through the routes."""
        self.connected.append(address[:2])
        port = self.routes.get(address[:2])
        if port is None and address[0] not in ("127.0.0.1", "::1", "::ffff:7f00:1"):
            raise ConnectionRefusedError("no route in this test")
        loopback = "::1" if sock.family == socket.AF_INET6 else "127.0.0.1"
        REAL_CONNECT(sock, address if port is None else (loopback, port))


REAL_RESOLVE, REAL_CONNECT = socket.getaddrinfo, socket.socket.connect


def has_ipv6() -> bool:
    """Whether this machine has ::1; some containers do not."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.fixture
def internet(monkeypatch: pytest.MonkeyPatch) -> Internet:
    made = Internet()
    monkeypatch.setattr(socket, "getaddrinfo", made.resolve)
    monkeypatch.setattr(socket.socket, "connect", lambda s, address: made.connect(s, address))
    return made


@dataclass
class Server:
    """A server on loopback and the requests that it was sent."""

    port: int = 0
    requests: list[str] = field(default_factory=list)
    connections: int = 0
    left: asyncio.Event = field(default_factory=asyncio.Event)  # a client has closed

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.asynccontextmanager
async def serving(
    *answers: bytes | Talk,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Server]:
    """A server whose first connection gets the first answer, and so on; the last one repeats."""
    made = Server()
    talks: list[asyncio.Task[Any]] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.connections += 1
        talks.append(cast(asyncio.Task[Any], asyncio.current_task()))
        answer = answers[min(made.connections, len(answers)) - 1]
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                made.requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
                await answer(reader, writer) if callable(answer) else writer.write(answer)
                writer.write_eof() if writer.can_write_eof() else writer.close()
                await reader.read()
        finally:
            writer.transport.abort()
            made.left.set()

    listener = await asyncio.start_server(talk, host, port, ssl=tls)
    made.port = listener.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        listener.close()
        await asyncio.wait_for(asyncio.gather(*talks), 1)


def http(body: bytes = PICTURE, status: str = "200 OK", **headers: str | None) -> bytes:
    """An answer; `content_type=None` leaves that header out."""
    given = {"content_type": "image/png", "content_length": str(len(body))} | headers
    lines = [
        f"{key.replace('_', '-')}: {value}" for key, value in given.items() if value is not None
    ]
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode() + body


def redirect(location: str, status: str = "302 Found") -> bytes:
    return http(b"", status, location=location, set_cookie="id=1")


async def fetch(url: str, settings: FetchSettings = INTRANET, max_bytes: int = 1000) -> bytes:
    fetcher = Fetcher(settings, max_bytes)
    try:
        return await fetcher.fetch(url, time.monotonic() + 5)
    finally:
        await fetcher.close()


def fetch_from(
    *answers: bytes | Talk, settings: FetchSettings = INTRANET, max_bytes: int = 1000
) -> bytes:
    """What a client gets from a loopback server with these answers."""

    async def main() -> bytes:
        async with serving(*answers) as server:
            return await fetch(server.url + "/cat.png", settings, max_bytes)

    return asyncio.run(main())


# What is fetched


@pytest.mark.parametrize(
    "answer",
    [
        http(),
        http(content_type="IMAGE/JPEG; q=1"),
        http(content_type="application/octet-stream"),
        http(content_type="binary/octet-stream"),
        http(content_type=None),
        http(content_encoding="identity"),
        http(content_length=None),  # until the connection closes
        b"HTTP/1.0 200 OK\r\n\r\n" + PICTURE,
        b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + http(),
        http(
            b"12\r\n" + PICTURE + b"\r\n0\r\n\r\n", content_length=None, transfer_encoding="chunked"
        ),
    ],
)
def test_a_picture_comes_as_it_is(answer: bytes) -> None:
    assert fetch_from(answer, max_bytes=len(PICTURE)) == PICTURE


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See", "307 Temp", "308 Perm"])
def test_redirects_are_followed(status: str) -> None:
    assert fetch_from(redirect("../other?x=1", status), http()) == PICTURE


def test_a_request_tells_nothing_but_the_url(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with (
            serving(http()) as proxy,
            serving(redirect("/bü cher?q=ä#part"), http()) as server,
        ):
            for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
                monkeypatch.setenv(name, proxy.url)
            await fetch(f"{server.url}/a/../cat.png?size=1&b#part")
            assert proxy.connections == 0
            first, second = (request.split("\r\n") for request in server.requests)
            assert first[0] == "GET /a/../cat.png?size=1&b HTTP/1.1"
            assert second[0] == "GET /b%C3%BC%20cher?q=%C3%A4 HTTP/1.1"
            for head in (first, second):
                sent = dict(line.split(": ", 1) for line in head[1:] if line)
                assert sent.pop("Host") == f"127.0.0.1:{server.port}"
                assert sent.pop("User-Agent") == f"discern/{__version__}"
                assert sent.pop("Accept-Encoding") == "identity"
                assert sent.keys() == {"Accept", "Connection"}

    asyncio.run(main())


# What is too much, too slow, or no picture


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (http(status="404 Not Found"), "status 404"),
        (http(status="500 Oops"), "status 500"),
        (http(status="206 Partial Content"), "status 206"),
        (http(b"", status="204 No Content"), "status 204"),
        (http(status="302 Found"), "status 302"),  # to where?
        (http(content_type="text/html; charset=utf-8"), "other than a picture"),
        (http(content_type="application/json"), "other than a picture"),
        (http(content_encoding="gzip"), "compressed"),
        (http(content_length="100"), "broke off"),
        (http(content_length="-1"), "not HTTP"),
        (http(content_length="1" * 5000), "not HTTP"),
        (http(b"ff\r\nabc", content_length=None, transfer_encoding="chunked"), "broke off"),
        (http(b"zz\r\nabc", content_length=None, transfer_encoding="chunked"), "not HTTP"),
        (http(transfer_encoding="gzip"), "not HTTP"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "not HTTP"),
        (b"", "broke off"),
        (b"HTTP/1.1 200 OK\r\ncontent-ty", "broke off"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 100_000, "not HTTP"),
        (b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n", "not HTTP"),
    ],
)
def test_an_answer_that_is_no_picture(answer: bytes, reason: str) -> None:
    with pytest.raises(FetchError, match=reason) as raised:
        fetch_from(answer)
    assert not isinstance(raised.value, FetchRefusedError)


async def head_of_a_large_one(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(http(b"", content_length="1001"))
    await asyncio.sleep(0.2)


async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(http(b"", content_length=None))
    while not writer.is_closing():
        writer.write(bytes(10_000))
        await writer.drain()


@pytest.mark.parametrize("answer", [head_of_a_large_one, endless, http(bytes(1001))])
def test_a_picture_that_is_too_large(answer: bytes | Talk) -> None:
    started = time.monotonic()
    with pytest.raises(FetchError, match="more than the 1,000 bytes"):
        fetch_from(answer)
    assert time.monotonic() - started < 2


def dripping(*beginning: bytes) -> Talk:
    """A byte every hundredth of a second, for ever: each read succeeds, the whole never does."""

    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.writelines(beginning)
        while not writer.is_closing():
            writer.write(b"1")
            await asyncio.sleep(0.01)

    return drip


@pytest.mark.parametrize(
    "answers",
    [
        [dripping()],
        [dripping(b"HTTP/1.1 200 OK\r\nx: ")],
        [dripping(http(b"", content_length=None))],
        [redirect("/"), redirect("/"), dripping()],
    ],
)
def test_a_slow_server_ends_at_the_limit(answers: list[bytes | Talk]) -> None:
    started = time.monotonic()
    with pytest.raises(FetchError, match="in time"):
        fetch_from(*answers, settings=FetchSettings(private_addresses=True, seconds=0.1))
    assert 0.09 < time.monotonic() - started < 0.5


def test_the_request_s_deadline_counts_too() -> None:
    async def main() -> None:
        async with serving(dripping()) as server:
            fetcher = Fetcher(INTRANET, 1000)
            started = time.monotonic()
            for seconds in (0.1, -1):
                with pytest.raises(FetchError, match="in time"):
                    await fetcher.fetch(server.url, started + seconds)
            assert time.monotonic() - started < 0.5
            assert server.connections == 1  # too late to begin
            await fetcher.close()

    asyncio.run(main())


def test_too_many_redirects() -> None:
    with pytest.raises(FetchError, match="more than 3 times"):
        fetch_from(*[redirect("/next")] * 4, http())
    assert fetch_from(*[redirect("/next")] * 3, http()) == PICTURE
    with pytest.raises(FetchError, match="more than 0 times"):
        fetch_from(redirect("/"), settings=FetchSettings(private_addresses=True, redirects=0))


def test_nobody_there(internet: Internet) -> None:
    internet.names = {"gone.example": [[PUBLIC]]}
    messages = set()
    for host in ("gone.example", "unknown.example"):
        with pytest.raises(FetchError) as raised:
            asyncio.run(fetch(f"http://{host}/"))
        messages.add(str(raised.value))
    assert messages == {"the URL's host cannot be reached"}


def test_the_next_address_is_tried(internet: Internet) -> None:
    async def main() -> None:
        async with serving(http()) as server:
            internet.names = {"two.example": [["93.184.216.1", PUBLIC]]}
            internet.routes = {(PUBLIC, 80): server.port}
            assert await fetch("http://two.example/", FetchSettings()) == PICTURE

    asyncio.run(main())
    assert internet.connected == [("93.184.216.1", 80), (PUBLIC, 80)]


def test_few_of_many_addresses_are_tried(internet: Internet) -> None:
    internet.names = {"many.example": [[f"93.184.216.{i}" for i in range(200)] + [PUBLIC_6]]}
    with pytest.raises(FetchError, match="cannot be reached"):
        asyncio.run(fetch("http://many.example/", FetchSettings()))
    assert [host for host, _ in internet.connected] == ["93.184.216.0", "93.184.216.1", PUBLIC_6]


def test_slow_names_hold_up_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()

    def resolve(*_: Any, **__: Any) -> list[Any]:
        answered.wait(2)
        raise socket.gaierror("too late")

    async def main() -> None:
        started = time.monotonic()
        slow = asyncio.create_task(fetch("http://slow.example/", FetchSettings(seconds=0.1)))
        await asyncio.sleep(0.01)
        assert time.monotonic() - started < 0.09  # the loop went on
        with pytest.raises(FetchError, match="in time"):
            await slow
        assert time.monotonic() - started < 0.5

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    try:
        asyncio.run(main())
    finally:
        answered.set()


def test_a_cancelled_fetch_hangs_up() -> None:
    async def main() -> None:
        async with serving(dripping(http(b"", content_length=None))) as server:
            task = asyncio.create_task(fetch(server.url))
            while not server.requests:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.wait_for(server.left.wait(), 1)

    asyncio.run(main())


# What is refused

# Each means an address that is not public, is no http URL, or could be read in two ways.
FORMS = """
http://127.0.0.1:{port}/            http://127.1.2.3:{port}/            http://127.0.0.1.:{port}/
http://127.1:{port}/                http://127.0.1:{port}/              http://2130706433:{port}/
http://0177.0.0.1:{port}/           http://017700000001:{port}/         http://0x7f.1:{port}/
http://0x7f000001:{port}/           http://0X7F.0.0.0x1:{port}/         http://127.0.0.0x1:{port}/
http://00127.0.0.1:{port}/          http://127.0.0.01:{port}/           http://4294967297:{port}/
http://6425673729:{port}/           http://127.0.0.1.1:{port}/          http://0x:{port}/
http://１２７.0.0.1:{port}/         http://127。0。0。1:{port}/         http://①②⑦.⓪.⓪.①:{port}/
http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:{port}/             http://l\u00adocalhost:{port}/       http://localhost:{port}/
http://LOCALHOST.:{port}/           http://%31%32%37.0.0.1:{port}/      http://127.0.0.1%00:{port}/
http://127.0.0.1%2f@e.org:{port}/   http://a.example\\@127.0.0.1:{port}/ http://0:{port}/
http://0.0.0.0:{port}/              http://[::1]:{port}/                http://[::]:{port}/
http://[0:0:0:0:0:0:0:1]:{port}/    http://[::ffff:127.0.0.1]:{port}/   http://[::ffff:7f00:1]:{port}/
http://[::127.0.0.1]:{port}/        http://[::1%25lo]:{port}/           http://[::1%lo]:{port}/
http://[64:ff9b::127.0.0.1]/        http://[64:ff9b::a9fe:a9fe]/        http://[64:ff9b:1::7f00:1]/
http://[2002:7f00:1::]/             http://[2001:0:7f00:1::1]/          http://[::ffff:0:127.0.0.1]/
http://[fe80::1]/                   http://[fc00::1]/                   http://[fd00:ec2::254]/
http://[ff02::1]/                   http://[fec0::1]/                   http://[2001:db8::1]/
http://[100::1]/                    http://[5f00::1]/                   http://[v1.a]/
http://10.0.0.1/                    http://172.31.255.255/              http://192.168.1.1/
http://169.254.169.254/latest       http://100.100.100.200/             http://168.63.129.16/
http://100.64.0.1/                  http://192.0.0.192/                 http://192.0.2.1/
http://198.18.0.1/                  http://203.0.113.9/                 http://224.0.0.1/
http://240.0.0.1/                   http://255.255.255.255/             http://192.88.99.1/
http://user@127.0.0.1:{port}/       http://user:pass@e.example/         http://@e.example/
http://e.example@127.0.0.1:{port}/  http://127.0.0.1:{port}@e.example/  http://[::1]e.example/
http://loop.example:{port}/         http://mixed.example:{port}/        http://mixed6.example:{port}/
http://mapped.example:{port}/       http://meta.example/                http://bücher.example/
http://e.example:22/                http://e.example:0/                 http://e.example:1023/
http://e.example:65536/             http://e.example:٤٤٣/               http://e.example:+80/
http:///x                           http:127.0.0.1:{port}               http://:{port}/
http://..example/                   http://e..example/                  http://[::1:{port}/
file:///etc/passwd                  ftp://e.example/a.png               gopher://127.0.0.1:{port}/_x
data:image/png;base64,AAAA          //127.0.0.1:{port}/                 127.0.0.1:{port}
javascript:alert(1)                 unix:///run/docker.sock             http+unix://x/
"""
REFUSED = [
    *FORMS.split(),
    "",
    " ",
    "http://127.0.0.1\t:{port}/",
    "http://e.exam\nple/",
    "\x00http://127.0.0.1:{port}/",
    "http://127.0.0.1 :{port}/",
    "http://127.0.0.1:{port}\\@e.example/",
    "http://e.example/\r\nHost: x",
    "http://e.example/" + "a" * 9000,
    "http://" + "a" * 64 + ".example/",
    "http://" + "a." * 127 + "example/",
]
NAMES = {
    "localhost": [["127.0.0.1", "::1"]],
    "loop.example": [["127.0.0.1"]],
    "mixed.example": [[PUBLIC, "127.0.0.1"]],
    "mixed6.example": [[PUBLIC, "::1"]],
    "mapped.example": [["::ffff:127.0.0.1"]],
    "meta.example": [["169.254.169.254"]],
    "e.example": [[PUBLIC]],
}


@contextlib.asynccontextmanager
async def traps() -> AsyncIterator[list[Server]]:
    """Servers on one port of 127.0.0.1 and, where there is IPv6, ::1, that nobody should reach."""
    async with contextlib.AsyncExitStack() as stack:
        four = await stack.enter_async_context(serving(http()))
        made = [four]
        with contextlib.suppress(OSError):
            six = serving(http(), host="::1", port=four.port)
            made.append(await stack.enter_async_context(six))
        yield made


def test_no_spelling_reaches_an_inner_address(internet: Internet) -> None:
    async def main() -> dict[str, str]:
        messages = {}
        async with traps() as servers:
            fetcher = Fetcher(FetchSettings(seconds=1), 1000)
            for form in REFUSED:
                url = form.replace("{port}", str(servers[0].port))
                with pytest.raises(FetchError) as raised:
                    await fetcher.fetch(url, time.monotonic() + 1)
                assert isinstance(raised.value, FetchRefusedError), (url, raised.value)
                messages[form] = str(raised.value)
            await fetcher.close()
            assert [server.connections for server in servers] == [0] * len(servers)
        return messages

    internet.names = NAMES
    messages = asyncio.run(main())
    assert internet.connected == []
    assert len(messages) >= 100
    addresses = [form for form, message in messages.items() if "leads to an address" in message]
    assert len(addresses) > 45
    assert len({messages[form] for form in addresses}) == 1  # and tells nothing about which


def test_the_traps_would_have_noticed(internet: Internet) -> None:
    async def main() -> None:
        async with traps() as servers:
            for host in ("127.0.0.1", "loop.example", "[::ffff:127.0.0.1]"):
                assert await fetch(f"http://{host}:{servers[0].port}/") == PICTURE
            assert servers[0].connections == 3
            if len(servers) > 1:
                assert await fetch(f"http://[::1]:{servers[0].port}/") == PICTURE
                assert servers[1].requests[0].startswith("GET / HTTP/1.1\r\nHost: [::1]:")

    internet.names = NAMES
    asyncio.run(main())


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "100.100.100.200",
        "168.63.129.16",
        "[fd00:ec2::254]",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::169.254.169.254]",
        "[64:ff9b:1::169.254.169.254]",
        "[2002:a9fe:a9fe::1]",
        "[2001:0:a9fe:a9fe::1]",
    ],
)
def test_a_cloud_s_credentials_are_never_fetched(internet: Internet, address: str) -> None:
    with pytest.raises(FetchRefusedError):
        asyncio.run(fetch(f"http://{address}/latest/meta-data", INTRANET))
    assert not internet.connected


def test_fetching_can_be_switched_off(internet: Internet) -> None:
    internet.names = NAMES
    with pytest.raises(FetchRefusedError, match="not fetched here"):
        asyncio.run(fetch("http://e.example/", FetchSettings(enabled=False)))
    assert not internet.asked


def test_a_name_is_not_resolved_again_to_connect(internet: Internet) -> None:
    async def main() -> None:
        async with serving(http()) as server, traps() as inner:
            port = inner[0].port
            internet.names = {"rebind.example": [[PUBLIC], ["127.0.0.1"]]}
            internet.routes = {(PUBLIC, port): server.port}
            url = f"http://rebind.example:{port}/"
            assert await fetch(url, FetchSettings()) == PICTURE
            assert internet.asked == ["rebind.example"]
            assert internet.connected == [(PUBLIC, port)]
            assert f"Host: rebind.example:{port}\r\n" in server.requests[0]
            with pytest.raises(FetchRefusedError):
                await fetch(url, FetchSettings())
            assert inner[0].connections == 0

    asyncio.run(main())


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:{port}/",
        "//127.0.0.1:{port}/",
        "http://[::1]:{port}/",
        "http://2130706433:{port}/",
        "http://loop.example:{port}/",
        "http://user:pass@e.example/",
        "http://e.example:25/",
        "file:///etc/passwd",
        "http://[",
        "/again",  # the name leads inside the second time
    ],
)
def test_each_redirect_is_checked(internet: Internet, location: str) -> None:
    async def main() -> None:
        async with traps() as inner:
            there = redirect(location.format(port=inner[0].port))
            async with serving(there) as server:
                internet.names = NAMES | {"rebind.example": [[PUBLIC], ["127.0.0.1"]]}
                internet.routes = {(PUBLIC, 80): server.port}
                with pytest.raises(FetchRefusedError):
                    await fetch("http://rebind.example/", FetchSettings())
                assert server.connections == 1
            assert [server.connections for server in inner] == [0] * len(inner)

    asyncio.run(main())


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6")
def test_ipv6_and_nat64_are_reached(internet: Internet) -> None:
    async def main() -> None:
        async with serving(http(), host="::1") as server:
            nat64 = "64:ff9b::5db8:d822"  # 93.184.216.34
            internet.names = {"six.example": [[PUBLIC_6]], "nat64.example": [[nat64]]}
            internet.routes = {(PUBLIC_6, 80): server.port, (nat64, 80): server.port}
            for name in internet.names:
                assert await fetch(f"http://{name}/", FetchSettings()) == PICTURE

    asyncio.run(main())


# The list of allowed hosts


@pytest.mark.parametrize(
    ("entry", "host", "allowed"),
    [
        ("e.example", "e.example", True),
        ("E.Example.", "e.EXAMPLE.", True),
        ("e.example", "a.e.example", False),
        ("e.example", "e.example.org", False),
        ("e.example", "ee.example", False),
        ("*.e.example", "a.e.example", True),
        ("*.e.example", "a.b.e.example", True),
        ("*.e.example", "e.example", False),
        ("*.e.example", "ae.example", False),
        (PUBLIC, PUBLIC, True),
        (PUBLIC, "e.example", False),
        ("[2606:2800:220:1:0::1]", f"[{PUBLIC_6}]", True),
        ("localhost", "localhost", False),  # listed, but its address is not public
    ],
)
def test_only_listed_hosts(internet: Internet, entry: str, host: str, allowed: bool) -> None:
    internet.names = {name: [[PUBLIC]] for name in ("e.example", "a.e.example", "a.b.e.example")}
    internet.names["localhost"] = [["127.0.0.1"]]
    with pytest.raises(FetchError) as raised:  # there is no route: at best unreachable
        asyncio.run(fetch(f"http://{host}/", FetchSettings(hosts=("other.example", entry))))
    assert isinstance(raised.value, FetchRefusedError) is not allowed
    assert bool(internet.connected) is allowed


def test_a_redirect_must_stay_on_the_list(internet: Internet) -> None:
    async def main() -> None:
        async with serving(redirect("http://b.example/")) as server:
            internet.names = {name: [[PUBLIC]] for name in ("a.example", "b.example")}
            internet.routes = {(PUBLIC, 80): server.port}
            with pytest.raises(FetchRefusedError, match="not one that pictures are fetched from"):
                await fetch("http://a.example/", FetchSettings(hosts=("a.example",)))
            assert internet.asked == ["a.example"]

    asyncio.run(main())


@pytest.mark.parametrize(
    "entry",
    ["", "*", "*.", "*example.org", "a.*.org", "https://a.org", "a.org:80", "a.org/x", "127.1"],
)
def test_a_wrong_entry_in_the_list(entry: str) -> None:
    with pytest.raises(ConfigError, match="hosts: "):
        Fetcher(FetchSettings(hosts=(entry,)), 1000)


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for pictures.example that signs itself, and its key, in one file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = [openssl, "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt"]
    command += ["ec_paramgen_curve:P-256", "-subj", "/CN=test", "-addext"]
    command += ["subjectAltName=DNS:pictures.example", "-keyout", str(path), "-out", f"{path}.crt"]
    subprocess.run(command, check=True, capture_output=True)
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


@pytest.fixture
def tls(certificate: Path, internet: Internet) -> Iterator[ssl.SSLContext]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    internet.names = {name: [[PUBLIC]] for name in ("pictures.example", "other.example")}
    yield context


def over_tls(
    internet: Internet, tls: ssl.SSLContext, url: str, answer: bytes
) -> Coroutine[Any, Any, Server]:
    async def main() -> Server:
        async with serving(answer, tls=tls) as server:
            internet.routes = {(PUBLIC, 443): server.port}
            assert await fetch(url, FetchSettings()) == PICTURE
        return server

    return main()


def test_tls_goes_by_the_name(
    internet: Internet, tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    tls.sni_callback = lambda _socket, name, _context: asked.append(name)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    server = asyncio.run(over_tls(internet, tls, "https://pictures.example/", http()))
    assert asked == ["pictures.example"]
    assert "Host: pictures.example\r\n" in server.requests[0]
    assert internet.connected == [(PUBLIC, 443)]


@pytest.mark.parametrize(
    ("url", "trusted"),
    [
        ("https://other.example/", True),
        (f"https://{PUBLIC}/", True),
        ("https://pictures.example/", False),
    ],
)
def test_tls_that_proves_nothing(
    internet: Internet,
    tls: ssl.SSLContext,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    trusted: bool,
) -> None:
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with pytest.raises(FetchError, match="no trusted TLS connection"):
        asyncio.run(over_tls(internet, tls, url, http()))


def test_no_way_back_to_http(
    internet: Internet, tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    there = redirect("http://pictures.example/")
    with pytest.raises(FetchRefusedError, match="from https to http"):
        asyncio.run(over_tls(internet, tls, "https://pictures.example/", there))
    assert len(internet.connected) == 1


def test_a_server_that_never_shakes_hands(internet: Internet) -> None:
    async def main() -> None:
        async with serving(dripping()) as server:  # waits for a plain request
            internet.routes = {(PUBLIC, 443): server.port}
            with pytest.raises(FetchError, match="in time"):
                await fetch(f"https://{PUBLIC}/", FetchSettings(seconds=0.2))
            await asyncio.wait_for(server.left.wait(), 1)  # hung up, not left to hang

    asyncio.run(main())


def test_importing_loads_no_http_library() -> None:
    report = (
        "import sys, discern.serving.fetch; print({'h11', 'httpx', 'aiohttp'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr


# Laws


@given(st.ip_addresses())
def test_what_is_allowed_is_global(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if is_allowed(address, private=False) and not str(address).startswith(("::ffff:", "64:ff9b:")):
        assert address.is_global


URL_PARTS = st.text("htps:/@[]%.?#\\ 0127axé\n１", max_size=20)


@given(URL_PARTS | st.text(), URL_PARTS | st.text())
def test_a_url_is_a_valid_request_or_refused(rest: str, location: str) -> None:
    h11 = pytest.importorskip("h11")
    with contextlib.suppress(FetchRefusedError):
        target = parse_url("http://" + rest)
        for step in (target, follow(target, location)):
            h11.Request(method="GET", target=step.path, headers=[("Host", step.authority)])
            assert parse_url(f"{step.scheme}://{step.authority}{step.path}") == step
