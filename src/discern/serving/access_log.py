"""What the server writes down: a JSON line for each request, and for each message of its own."""

import contextlib
import json
import logging
import re
import secrets
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from discern.serving.door import Visit

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_LONGEST_PATH: Final = 500
_LONGEST_AGENT: Final = 200
# ASCII only: no control character, line separator or lone surrogate can break a line.
_encode: Final = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), default=str).encode


def request_id(headers: Mapping[bytes, bytes]) -> str:
    """The client's own X-Request-ID if it is harmless in a log, or a new one of 128 bits."""
    given = headers.get(b"x-request-id", b"")
    return given.decode() if _REQUEST_ID.fullmatch(given) else secrets.token_hex(16)


class AccessLog:
    """One JSON line for each request, on standard output unless another stream is given.

    A full disk or a closed pipe loses lines, never requests.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout

    def write(self, visit: "Visit", seconds: float) -> None:
        """A request over HTTP, when its answer is out.

        The query is left out: people put keys and private addresses there. `model` is what a
        route has put into the scope under that name.
        """
        scope = visit.scope
        client = scope.get("client")
        agent = visit.headers.get(b"user-agent", b"")
        self.line(
            {
                "request_id": visit.id,
                "method": scope["method"],
                "path": visit.path[:_LONGEST_PATH],
                "status": visit.status or None,
                "ms": round(seconds * 1000, 2),
                "bytes_in": visit.bytes_in,
                "bytes_out": visit.bytes_out,
                "client": client[0] if client else None,
                "key": visit.owner,
                "user_agent": agent[:_LONGEST_AGENT].decode("latin-1") or None,
                "model": scope.get("model"),
                "error": visit.error,
            }
        )

    def line(self, fields: Mapping[str, object]) -> None:
        """The fields that are known, after the time."""
        known = {name: value for name, value in fields.items() if value is not None}
        with contextlib.suppress(OSError, ValueError):  # ValueError: the stream is closed
            self._stream.write(_encode({"time": _iso(time.time()), **known}) + "\n")
            self._stream.flush()


class JsonFormatter(logging.Formatter):
    """The server's own messages as JSON lines too, a traceback inside of one field."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": _iso(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return _encode(fields)


def _iso(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
