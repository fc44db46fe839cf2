"""Who may ask: API keys, of which the server keeps hashes only."""

import hashlib
import hmac
import logging
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from discern.errors import ConfigError, UnauthorisedError
from discern.images.digest import stamp

log = logging.getLogger("discern.serving")

VARIABLE: Final = "DISCERN_API_KEYS"
LOOK_SECONDS: Final = 1.0  # how often, at most, the file's stamp is looked at

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)  # it stands in logs
_HASH: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_KEY: Final = re.compile(r"dk_[A-Za-z0-9_-]{43}", re.ASCII)


def new_key() -> str:
    """A key that nobody guesses: `dk_` and 32 random bytes in URL-safe base64."""
    return "dk_" + secrets.token_urlsafe(32)


def is_name(name: str) -> bool:
    """Whether a key may go by this name: up to 64 letters, digits, dots, hyphens, underscores."""
    return _NAME.fullmatch(name) is not None


def hashed(key: str) -> str:
    """A key's SHA-256, 64 hexadecimal digits.

    A slow, salted hash protects what people think up. These keys are 256 random bits: there is
    no list to try, so a plain hash is enough, and costs a request a microsecond.
    """
    return hashlib.sha256(key.encode()).hexdigest()


class Keys:
    """The keys that are known. False where there are none, so that anybody may ask."""

    def __init__(self, file: Path | None, given: str | None, clock: Callable[[], float]) -> None:
        self._file, self._given, self._clock = file, given, clock
        self._look_at = clock() + LOOK_SECONDS
        self._load()

    @classmethod
    def read(
        cls,
        file: Path | None,
        environment: Mapping[str, str],
        clock: Callable[[], float] = time.monotonic,
    ) -> "Keys":
        """The keys in a file and in DISCERN_API_KEYS: `NAME:SHA256` on lines, or between commas.

        What follows a `#` on a line is a comment. Raises ConfigError for a line that is
        something else, a name or key that is there twice, and for a source without any key: a
        secret that was mounted empty must not open the server to everybody.
        """
        return cls(file, environment.get(VARIABLE), clock)

    def __bool__(self) -> bool:
        return bool(self._hashes)

    def owner(self, key: str | None) -> str:
        """The name that the key is known under; UnauthorisedError without a known key."""
        self._follow()
        if key is None:
            raise UnauthorisedError(
                "This server asks for an API key. Send it as `X-API-Key: KEY` or "
                "`Authorization: Bearer KEY`."
            )
        asking, owner = hashed(key), None
        for name, known in self._hashes.items():  # to the end: the time taken tells nothing
            if hmac.compare_digest(asking, known):
                owner = name
        if owner is None:
            raise UnauthorisedError("This API key is not known here.")
        return owner

    def _load(self) -> None:
        # Before reading: a change in between is then seen at the next look.
        self._stamp = stamp(self._file) if self._file else None
        hashes: dict[str, str] = {}
        if self._file is not None:
            _add(hashes, str(self._file), _text(self._file))
        if self._given is not None:
            _add(hashes, VARIABLE, self._given)
        self._hashes = hashes

    def _follow(self) -> None:
        """Read the file again if it has changed; a broken one changes nothing."""
        now = self._clock()
        if self._file is None or now < self._look_at:
            return
        self._look_at = now + LOOK_SECONDS
        if stamp(self._file) == self._stamp:
            return
        try:
            self._load()
        except ConfigError as exc:
            log.warning("%s The keys read before stay valid.", exc)
        else:
            log.info("%s has changed; %d keys are valid now", self._file, len(self._hashes))


def key_in(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The key in a request's headers, ASGI's: from X-API-Key, or Authorization: Bearer."""
    found = {n: v.decode("latin-1") for n, v in headers if n in (b"x-api-key", b"authorization")}
    return _key(found.get(b"x-api-key"), found.get(b"authorization"))


def key_in_metadata(metadata: Mapping[str, str]) -> str | None:
    """The key in a gRPC call's metadata, under the same names."""
    return _key(metadata.get("x-api-key"), metadata.get("authorization"))


def _key(own: str | None, authorization: str | None) -> str | None:
    scheme, _, credentials = (authorization or "").strip().partition(" ")
    bearer = credentials if scheme.lower() == "bearer" else ""
    return (own or "").strip() or bearer.strip() or None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as exc:
        raise ConfigError(f"{file}: the API keys cannot be read ({exc.strerror}).") from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{file}: not a text file; expected lines NAME:SHA256.") from exc


def _add(hashes: dict[str, str], source: str, text: str) -> None:
    """Put a source's entries to those of the sources before."""
    before = len(hashes)
    for place, entry in _entries(text):
        name, _, digest = (part.strip() for part in entry.partition(":"))
        digest = digest.lower()
        if fault := _fault(name, digest) or _repetition(name, digest, hashes):
            raise ConfigError(f"{source}, {place}: {fault}")
        hashes[name] = digest
    if len(hashes) == before:
        raise ConfigError(
            f"{source} holds no API key; expected NAME:SHA256. "
            "If anybody may ask, leave it out altogether."
        )


def _entries(text: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        for k, entry in enumerate(line.partition("#")[0].split(","), 1):
            if entry.strip():
                yield f"line {number}" + (f", entry {k}" if k > 1 else ""), entry


def _fault(name: str, digest: str) -> str | None:
    """What is wrong with an entry; it is never repeated, since it may hold a key."""
    if _KEY.search(name) or _KEY.search(digest):
        return (
            "a key in clear (not shown here). Put its hash there instead: printf %s KEY | sha256sum"
        )
    if not _HASH.fullmatch(digest):
        return (
            "expected NAME:SHA256, as `discern api-key NAME` prints it (what is there is not "
            "shown, it may be a key)."
        )
    if not is_name(name):
        return "the name must be 1 to 64 letters, digits, dots, hyphens or underscores."
    return None


def _repetition(name: str, digest: str, hashes: Mapping[str, str]) -> str | None:
    if name in hashes:
        return f"the name {name} is taken already; give each key its own."
    if digest in hashes.values():
        return f"{name} has the same key as another name; give each its own."
    return None
