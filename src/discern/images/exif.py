"""When, where and with what a picture was taken, as its EXIF says; no pixel is decoded.

The few tags are read one by one (Exif 2.32, CIPA DC-008-2019; TIFF 6.0, pages 13 to 16):
`Image.getexif` would parse all of them, and warn about damaged ones.
"""

import contextlib
import os
import struct
from collections.abc import Iterator
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

from discern.images.decode import recognise

FACTS = ("taken_at", "lat", "lon", "device")

_MODEL, _PHOTO, _GPS = 0x0110, 0x8769, 0x8825
_TAKEN, _DIGITISED = 0x9003, 0x9004  # not 0x0132: editing changes that
_LAT_SIDE, _LAT, _LON_SIDE, _LON = 1, 2, 3, 4
_LONGEST = 256  # bytes of a text that are read
_BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}


def exif_facts(picture: bytes | str | os.PathLike[str]) -> dict[str, str]:
    """The facts that a picture's bytes or file carry, of "taken_at", "lat", "lon" and "device".

    The time is ISO 8601 in the camera's local time, the place in degrees north and east, the
    device its model. What is absent, damaged or impossible is left out; so is all of a file that
    cannot be read. Never raises.
    """
    facts: dict[str, str] = {}
    with contextlib.suppress(Exception), _opened(picture) as file:  # as in `decode`
        tiff = _Tiff(_exif(file))
        for read in (_taken_at, _place, _device):
            with contextlib.suppress(LookupError, ValueError, ArithmeticError, struct.error):
                facts |= read(tiff)
    return {name: facts[name] for name in FACTS if name in facts}


def _opened(picture: bytes | str | os.PathLike[str]) -> BinaryIO:
    if isinstance(picture, bytes):
        return BytesIO(picture)
    path = Path(picture)
    return path.open("rb") if path.is_file() else BytesIO()  # a pipe would be waited for


def _exif(file: BinaryIO) -> BinaryIO:
    """The part of a picture's file that has the form of a TIFF, which a TIFF itself has."""
    start = file.read(32)
    file.seek(0)
    if start[:4] in _BYTE_ORDERS:
        return file
    _, plugin = recognise(start)
    exif: bytes = plugin(file).info.get("exif", b"")  # from the header alone
    return BytesIO(exif.removeprefix(b"Exif\0\0"))


class _Entry(NamedTuple):
    """A tag's value, or where it lies if it has more than four bytes."""

    length: int
    value: bytes


class _Tiff:
    """A TIFF's tags; struct.error where it ends too early, KeyError where a tag is missing."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._order = _BYTE_ORDERS[file.read(4)]
        self.main = self.directory(file.read(4))

    def directory(self, offset: bytes) -> dict[int, _Entry]:
        """The tags of the directory that lies where these four bytes say."""
        self._file.seek(self._long(offset))
        (count,) = struct.unpack(f"{self._order}H", self._file.read(2))
        entries = self._file.read(12 * count)
        whole = entries[: len(entries) // 12 * 12]
        return {
            tag: _Entry(values, value)
            for tag, values, value in struct.iter_unpack(f"{self._order}H2xI4s", whole)
        }

    def text(self, entry: _Entry) -> str:
        """A text up to its first null, without what cannot be printed."""
        raw = self._bytes(entry, min(entry.length, _LONGEST)).partition(b"\0")[0]
        return "".join(filter(str.isprintable, raw.decode("utf-8", "replace"))).strip()

    def fractions(self, entry: _Entry) -> Iterator[float]:
        """Three fractions, as degrees, minutes and seconds are written; ValueError if not three."""
        if entry.length != 3:
            raise ValueError(f"{entry.length} fractions")
        parts = struct.unpack(f"{self._order}6I", self._bytes(entry, 24))
        for above, below in zip(parts[::2], parts[1::2], strict=True):
            yield above / below

    def _bytes(self, entry: _Entry, size: int) -> bytes:
        if size <= 4:
            return entry.value[:size]
        self._file.seek(self._long(entry.value))
        return self._file.read(size)

    def _long(self, value: bytes) -> int:
        (number,) = struct.unpack(f"{self._order}I", value)
        return int(number)


def _taken_at(tiff: _Tiff) -> dict[str, str]:
    photo = tiff.directory(tiff.main[_PHOTO].value)
    written = tiff.text(photo[_TAKEN if _TAKEN in photo else _DIGITISED])
    return {"taken_at": datetime.strptime(written, "%Y:%m:%d %H:%M:%S").isoformat()}


def _place(tiff: _Tiff) -> dict[str, str]:
    gps = tiff.directory(tiff.main[_GPS].value)
    lat = _degrees(tiff, gps[_LAT], {"N": 1, "S": -1}[tiff.text(gps[_LAT_SIDE])])
    lon = _degrees(tiff, gps[_LON], {"E": 1, "W": -1}[tiff.text(gps[_LON_SIDE])])
    # Devices that do not know where they are write zeros: a place in the ocean.
    if abs(lat) > 90 or abs(lon) > 180 or lat == lon == 0:
        return {}
    return {"lat": f"{lat:.6f}", "lon": f"{lon:.6f}"}  # to a decimetre


def _degrees(tiff: _Tiff, entry: _Entry, sign: int) -> float:
    degrees, minutes, seconds = tiff.fractions(entry)
    return sign * (degrees + minutes / 60 + seconds / 3600)


def _device(tiff: _Tiff) -> dict[str, str]:
    model = tiff.text(tiff.main[_MODEL])
    return {"device": model} if model else {}
