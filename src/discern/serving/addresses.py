"""Where a URL leads, and whether this machine may go there because a stranger said so.

A URL is taken apart once, strictly, and whatever is connected to, named in `Host` and verified
by TLS is that one reading of it: no two parsers can disagree. A name proves nothing; the
addresses it resolves to are judged, by the tables below and not by `ipaddress.is_global`, whose
answers change between Python's patch releases.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final
from urllib.parse import quote, urljoin, urlsplit

from discern.errors import ConfigError, FetchRefusedError

IPAddress = IPv4Address | IPv6Address
_Networks = tuple[IPv4Network | IPv6Network, ...]

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_LONGEST_URL: Final = 8192
_LONGEST_NAME: Final = 253
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_AUTHORITY: Final = re.compile(
    r"(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:(?P<port>[0-9]{0,5}))?", re.IGNORECASE | re.ASCII
)
_NAME: Final = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_KEPT_IN_PATHS: Final = "!$%&'()*+,/:;=?@[]~"


def _networks(*texts: str) -> _Networks:
    return tuple(ip_network(text) for text in texts)


# Refused even where private addresses are allowed: what answers here gives away a cloud
# machine's credentials, or leads out of a tunnel to an IPv4 address that nobody checked.
_NEVER: Final = _networks(
    "169.254.169.254/32",  # AWS, Azure, Google, OpenStack, DigitalOcean, Oracle
    "169.254.170.2/32",  # AWS ECS
    "169.254.170.23/32",  # AWS EKS
    "169.254.0.23/32",  # Tencent
    "100.100.100.200/32",  # Alibaba
    "168.63.129.16/32",  # Azure's wire server, at what looks like a public address
    "192.0.0.192/32",  # Oracle
    "fd00:ec2::/64",  # AWS
    "fd20:ce::254/128",  # Google
    "fe80::a9fe:a9fe/128",  # OpenStack
    "64:ff9b:1::/48",  # local NAT64: where in it the IPv4 address stands, only its owner knows
    "2001::/32",  # Teredo
    "2002::/16",  # 6to4
)
# https://www.iana.org/assignments/iana-ipv4-special-registry, and multicast
_NOT_PUBLIC_4: Final = _networks(
    "0.0.0.0/8",  # this host
    "10.0.0.0/8",
    "100.64.0.0/10",  # carrier-grade NAT
    "127.0.0.0/8",
    "169.254.0.0/16",  # link-local
    "172.16.0.0/12",
    "192.0.0.0/24",  # protocol assignments
    "192.0.2.0/24",  # documentation
    "192.31.196.0/24",  # AS112
    "192.52.193.0/24",  # AMT
    "192.88.99.0/24",  # 6to4 relays
    "192.168.0.0/16",
    "192.175.48.0/24",  # AS112
    "198.18.0.0/15",  # benchmarks
    "198.51.100.0/24",  # documentation
    "203.0.113.0/24",  # documentation
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, broadcast
)
# The only part of IPv6 where public addresses are given out: loopback, unique local, link-local,
# site-local, multicast, IPv4-compatible and discard addresses lie outside.
_GLOBAL_6: Final = IPv6Network("2000::/3")
# https://www.iana.org/assignments/iana-ipv6-special-registry
_NOT_PUBLIC_6: Final = _networks(
    "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID …
    "2001:db8::/32",  # documentation
    "2002::/16",  # 6to4
    "2620:4f:8000::/48",  # AS112
    "3fff::/20",  # documentation
)
# What connects to one of these connects to the IPv4 address in its last 32 bits: the first by
# the system itself, the second by the NAT64 that IPv6-only networks reach the world through.
_CARRIERS: Final = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))


@dataclass(frozen=True)
class Target:
    """An http or https URL taken apart; made by `parse_url` only."""

    scheme: str
    host: str  # a name in lower case, or an address as `ipaddress` writes it
    port: int
    path: str  # with the query, percent-encoded, printable ASCII

    @property
    def is_secure(self) -> bool:
        """Whether the connection is encrypted and the server proves its name."""
        return self.scheme == "https"

    @property
    def address(self) -> IPAddress | None:
        """The address that the host is, or None where it is a name."""
        try:
            return ip_address(self.host)
        except ValueError:
            return None

    @property
    def authority(self) -> str:
        """What the `Host` header says: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def parse_url(url: str) -> Target:
    """Take an http or https URL apart.

    An IPv4 address must be written as four decimal numbers: the octal, hexadecimal, short and
    one-number spellings, which C libraries still read, are refused. So are names that are not
    ASCII: each library maps them in its own way, and browsers send `xn--…` already.

    Raises FetchRefusedError for any other scheme, a user name or password, a host or port that
    is not allowed, and whatever is no URL.
    """
    if len(url) > _LONGEST_URL or _CONTROL.search(url):
        raise FetchRefusedError("not a URL that can be fetched: too long, or control characters")
    try:
        parts = urlsplit(url)
    except ValueError as exc:
        raise FetchRefusedError("not a valid URL") from exc
    if parts.scheme not in _DEFAULT_PORTS:
        raise FetchRefusedError("only http:// and https:// URLs are fetched")
    host, port = _parse_authority(parts.netloc)
    path = quote(parts.path or "/", safe=_KEPT_IN_PATHS, errors="replace")
    query = quote(parts.query, safe=_KEPT_IN_PATHS, errors="replace")
    return Target(
        parts.scheme,
        host,
        _DEFAULT_PORTS[parts.scheme] if port is None else _checked_port(port),
        f"{path}?{query}" if query else path,
    )


def follow(target: Target, location: str) -> Target:
    """Where a redirect from `target` leads; checked as strictly as the first URL.

    Raises FetchRefusedError as `parse_url` does, and for a step from https to http: whoever
    asked for a protected picture must not get one that anybody on the way can replace.
    """
    try:
        url = urljoin(f"{target.scheme}://{target.authority}{target.path}", location)
    except ValueError as exc:
        raise FetchRefusedError("redirected to what is not a valid URL") from exc
    step = parse_url(url)
    if target.is_secure and not step.is_secure:
        raise FetchRefusedError("redirected from https to http; such redirects are not followed")
    return step


def is_allowed(address: IPAddress, private: bool) -> bool:
    """Whether one may connect to `address`; `private` allows what is not public as well."""
    address = _unwrapped(address)
    if _is_in(address, _NEVER):
        return False
    return private or _is_public(address)


def is_listed(host: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns, as `host_pattern` returns them, matches the host.

    `images.example.org` matches itself; `*.example.org` matches every name below example.org,
    however deep, and not example.org.
    """
    return any(
        host == pattern or (pattern.startswith("*.") and host.endswith(pattern[1:]))
        for pattern in patterns
    )


def host_pattern(text: str) -> str:
    """An entry of the list of allowed hosts as `is_listed` compares it; ConfigError if wrong."""
    wildcard, name = ("*.", text[2:]) if text.startswith("*.") else ("", text)
    try:
        host = _canonical_host(name)
    except ValueError as exc:
        raise ConfigError(
            f"hosts: {text!r} is no host. Give names or addresses without scheme, port or path, "
            "such as images.example.org, or *.example.org for all names below."
        ) from exc
    return wildcard + host


def _parse_authority(authority: str) -> tuple[str, int | None]:
    if "@" in authority:
        raise FetchRefusedError("URLs with a user name or password are not fetched")
    match = _AUTHORITY.fullmatch(authority)
    try:
        host = _canonical_host(match["host"] if match else "")
    except ValueError as exc:
        raise FetchRefusedError(
            "the URL's host is not written as a name in ASCII (xn--… for others), "
            "as four decimal numbers, or as [IPv6]"
        ) from exc
    port = match["port"] if match else None
    return host, int(port) if port else None


def _canonical_host(host: str) -> str:
    """The one spelling of a host; ValueError where it is none.

    Like browsers (https://url.spec.whatwg.org/#ends-in-a-number-checker), a host whose last
    part is a number is meant as an IPv4 address, never looked up as a name.
    """
    if host.startswith("["):
        return str(IPv6Address(host[1:-1]))
    name = host.lower().removesuffix(".")
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        return str(IPv4Address(name))
    if len(name) > _LONGEST_NAME or not _NAME.fullmatch(name):
        raise ValueError(f"{host!r} is no host name")
    return name


def _checked_port(port: int) -> int:
    """Below 1024 live mail, shells, file and name servers, which a GET could disturb or probe.

    Pictures come from 80 and 443, or from where an ordinary user's server listens.
    """
    if port not in _DEFAULT_PORTS.values() and not 1024 <= port <= 65535:
        raise FetchRefusedError("the URL's port is not allowed: use 80, 443, or 1024 and above")
    return port


def _unwrapped(address: IPAddress) -> IPAddress:
    if any(address in carrier for carrier in _CARRIERS):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _is_public(address: IPAddress) -> bool:
    if isinstance(address, IPv4Address):
        return not _is_in(address, _NOT_PUBLIC_4)
    return address in _GLOBAL_6 and not _is_in(address, _NOT_PUBLIC_6)


def _is_in(address: IPAddress, networks: _Networks) -> bool:
    return any(address in network for network in networks)
