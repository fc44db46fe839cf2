"""Files in a multipart/form-data body (RFC 7578), which is in memory already.

The framework's own form parser writes larger files to disk, which a read-only or full one
does not allow; here the body's size is bounded before it is read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from discern.errors import RequestError


@dataclass(frozen=True)
class Part:
    """One field of the form; a file if it has a `filename`."""

    name: str
    filename: str | None
    data: bytes


@dataclass
class _Collector:
    """Hears the parser, gathers the parts."""

    parts: list[Part] = field(default_factory=list)
    ended: bool = False
    _headers: dict[bytes, bytes] = field(default_factory=dict)
    _field: bytes = b""
    _value: bytes = b""
    _pieces: list[bytes] = field(default_factory=list)

    def on_part_begin(self) -> None:
        self._headers, self._pieces = {}, []

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        self._headers[self._field.lower()] = self._value
        self._field = self._value = b""

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._pieces.append(data[start:end])

    def on_part_end(self) -> None:
        self.parts.append(_part(self._headers, b"".join(self._pieces)))

    def on_end(self) -> None:
        self.ended = True


def _part(headers: Mapping[bytes, bytes], data: bytes) -> Part:
    _, options = parse_options_header(headers.get(b"content-disposition"))
    name, filename = options.get(b"name", b""), options.get(b"filename")
    return Part(_text(name), None if filename is None else _text(filename), data)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def parse_multipart(content_type: str, body: bytes, at_most: int) -> list[Part]:
    """The parts of a body, no more than `at_most`; RequestError for one that is malformed."""
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise RequestError("Content-Type: multipart/form-data has no boundary.")
    collector = _Collector()
    hooks = {name: getattr(collector, name) for name in dir(collector) if name.startswith("on_")}
    try:
        parser = MultipartParser(boundary, hooks, max_size=len(body) + 1)  # type: ignore[arg-type]
        parser.write(body)
        parser.finalize()
    except MultipartParseError as exc:
        raise RequestError(f"The multipart body is malformed: {exc}") from exc
    if not collector.ended:
        raise RequestError("The multipart body ends before its closing boundary.")
    if len(collector.parts) > at_most:
        raise RequestError(f"{len(collector.parts)} parts; at most {at_most} are allowed.")
    return collector.parts
