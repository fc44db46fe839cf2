"""How a server behaves: what a request may cost, who may ask, which URLs are fetched."""

from dataclasses import dataclass
from ipaddress import ip_network

from discern.errors import ConfigError
from discern.images import PictureLimits
from discern.runtime.machine import cores
from discern.serving.fetch import FetchSettings

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class RequestLimits:
    """What one request may cost."""

    picture_bytes: int = 32 * MEBIBYTE
    picture_pixels: int = 50_000_000
    pictures: int = 32
    body_bytes: int = 64 * MEBIBYTE
    json_bytes: int = 16 * MEBIBYTE  # a JSON body; lists take twenty times their text in memory
    seconds: float = 30.0  # from the first byte of the request to its answer
    body_seconds: float = 20.0  # for sending the body

    def of_pictures(self) -> PictureLimits:
        """The limits that decoding goes by."""
        return PictureLimits(max_bytes=self.picture_bytes, max_pixels=self.picture_pixels)


@dataclass(frozen=True)
class QueueSettings:
    """How much may wait. Beyond it, requests are refused at once."""

    pictures_per_core: int = 12  # waiting or being worked on
    body_bytes: int = 512 * MEBIBYTE  # of all requests being read at the same time
    batch_seconds: float = 0.005  # how long a batch may wait to be filled, where batches pay

    def capacity(self) -> int:
        """How many pictures this machine takes on at the same time."""
        return self.pictures_per_core * cores()


@dataclass(frozen=True)
class AccessSettings:
    """Who may ask, and how often."""

    keys_file: str | None = None  # a line for each key, NAME:SHA256; as well as DISCERN_API_KEYS
    rate: float | None = None  # requests a second, for each key, or each address without keys
    burst: int = 20  # requests that may come at once before the rate counts
    origins: tuple[str, ...] = ()  # web pages of other hosts that may call from a browser (CORS)
    proxies: tuple[str, ...] = ("127.0.0.1",)  # addresses and networks whose X-Forwarded-For counts

    def __post_init__(self) -> None:
        for proxy in self.proxies:
            try:
                ip_network(proxy)
            except ValueError as exc:
                raise ConfigError(
                    f"access.proxies: {proxy!r} is no address and no network ({exc}). "
                    'Write "10.0.0.7" or "10.0.0.0/8".'
                ) from exc


@dataclass(frozen=True)
class ServeSettings:
    """All settings of the servers."""

    limits: RequestLimits = RequestLimits()
    queue: QueueSettings = QueueSettings()
    access: AccessSettings = AccessSettings()
    fetch: FetchSettings = FetchSettings()
    linger_seconds: float = 1.0  # after SIGTERM: not ready, but answering, until that is noticed
    drain_seconds: float = 20.0  # after that: how long requests under way may take
