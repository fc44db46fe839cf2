"""What is behind the gateway, as the command line names it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from discern.errors import ConfigError

DialectName = Literal["open-inference", "tensorflow"]

_SCHEMES: dict[str, tuple[DialectName, bool]] = {  # and whether by TLS
    "grpc": ("open-inference", False),
    "grpcs": ("open-inference", True),
    "tf-serving": ("tensorflow", False),
}
_EXPECTED = "Expected grpc://HOST:PORT, grpcs://HOST:PORT (TLS) or tf-serving://HOST:PORT."


@dataclass(frozen=True)
class Upstream:
    """A host with model servers; its name may lead to several addresses."""

    host: str
    port: int
    is_secure: bool
    key: str | None = field(default=None, repr=False)  # what it asks for; not to be shown


def parse_upstreams(
    texts: Sequence[str], key: str | None = None
) -> tuple[DialectName, tuple[Upstream, ...]]:
    """The dialect that all of them speak, and the hosts; ConfigError for what is no upstream."""
    if not texts:
        raise ConfigError(f"A gateway needs an upstream. {_EXPECTED}")
    parsed = [_parse(text, key) for text in texts]
    dialects = {dialect for dialect, _ in parsed}
    if len(dialects) > 1:
        raise ConfigError(
            f"The upstreams speak different protocols ({', '.join(texts)}). Run a gateway for each."
        )
    return dialects.pop(), tuple(dict.fromkeys(upstream for _, upstream in parsed))


def _parse(text: str, key: str | None) -> tuple[DialectName, Upstream]:
    try:
        url = urlsplit(text)
        host, port = url.hostname, url.port
    except ValueError as exc:
        raise ConfigError(f"Upstream {text!r}: {exc}. {_EXPECTED}") from exc
    rest = url.path.strip("/") or url.query or url.fragment or url.username is not None
    if url.scheme not in _SCHEMES or not host or not port or rest:
        raise ConfigError(f"Upstream {text!r} cannot be used. {_EXPECTED}")
    dialect, secure = _SCHEMES[url.scheme]
    return dialect, Upstream(host, port, secure, key)
