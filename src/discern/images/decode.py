"""From a file's bytes to upright RGB pixels, within limits.

Pillow's plugins are called directly, picked by the file's first bytes, not through
`Image.open`: no other format's code can run, the limits are ours alone and hold from the header
on, and nothing global in Pillow is read or changed. Everything here may run in many threads;
Pillow frees the GIL while it decodes.
"""

import os
import stat
import struct
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

import numpy as np
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from discern.errors import PictureError, PictureFormatError, PictureLimitError, PictureReadError


@dataclass(frozen=True)
class PictureLimits:
    """What one picture may cost; all are checked before its pixels are decoded."""

    max_bytes: int = 64 * 1024 * 1024
    max_pixels: int = 100_000_000
    max_side: int = 30_000


DEFAULT_LIMITS = PictureLimits()


def read_bytes(path: str | os.PathLike[str], limits: PictureLimits = DEFAULT_LIMITS) -> bytes:
    """Read a picture's file.

    Raises PictureReadError if it cannot be read, PictureLimitError (before reading) if it is
    larger than `limits.max_bytes`, PictureFormatError if it is empty.
    """
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise PictureReadError("not a regular file")
            _check_bytes(status.st_size, limits)
            return file.read(status.st_size)
    except OSError as exc:
        raise PictureReadError(f"cannot be read: {(exc.strerror or str(exc)).lower()}") from exc
    except ValueError as exc:  # a null byte in the path
        raise PictureReadError(f"cannot be read: {exc}") from exc


def decode(
    data: bytes,
    *,
    at_least: tuple[int, int] | None = None,
    limits: PictureLimits = DEFAULT_LIMITS,
) -> Image.Image:
    """Decode a JPEG, PNG, WebP, GIF, TIFF, BMP or AVIF file to an upright RGB picture.

    EXIF orientation is applied, transparency is laid on white, 16 bits are scaled to 8, and of
    an animation the first frame is taken. Colour profiles are not applied, as in training.

    `at_least` is (height, width) in pixels: a JPEG may then be decoded at 1/2, 1/4 or 1/8 of
    its size (much faster), but never to less than this unless the picture itself is smaller.

    Raises PictureLimitError if it is larger than `limits` allow, and PictureFormatError for
    whatever else is wrong with the bytes.
    """
    _check_bytes(len(data), limits)
    name, plugin = recognise(data)
    try:
        image = plugin(BytesIO(data))
        _check_size(image, limits)
        if at_least is not None:
            _choose_scale(image, at_least)
        image.load()
        return upright(image)
    except PictureError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as exc:
        raise PictureLimitError(str(exc)) from exc
    except Exception as exc:  # hostile bytes make Pillow raise nearly anything
        raise PictureFormatError(_reason(name, exc)) from exc


@dataclass(frozen=True)
class PictureHeader:
    """What a file's beginning says of its picture: upright width and height in pixels.

    `mode` is Pillow's name for how colours are kept: "L" is grey, "P" a palette.
    """

    format: str
    mode: str
    width: int
    height: int


def read_header(data: bytes, limits: PictureLimits = DEFAULT_LIMITS) -> PictureHeader:
    """Format and upright size, without decoding any pixel; raises as `decode` does."""
    _check_bytes(len(data), limits)
    name, plugin = recognise(data)
    try:
        image = plugin(BytesIO(data))
        _check_size(image, limits)
    except PictureError:
        raise
    except Exception as exc:
        raise PictureFormatError(_reason(name, exc)) from exc
    # Pillow's TIFF reader gives the upright size already.
    turned = name != "TIFF" and _orientation(image.info.get("exif")) >= 5
    width, height = reversed(image.size) if turned else image.size
    return PictureHeader(name, image.mode, width, height)


def _open_without_waiting(path: str, flags: int) -> int:
    """Opening a pipe would otherwise hang until somebody writes to it."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _check_bytes(size: int, limits: PictureLimits) -> None:
    if size == 0:
        raise PictureFormatError("empty file")
    if size > limits.max_bytes:
        raise PictureLimitError(f"{size:,} bytes; at most {limits.max_bytes:,} are allowed")


class _JpegFile(JpegImagePlugin.JpegImageFile):
    def _read_dpi_from_exif(self) -> None:
        """Skipped: it parses all of EXIF, slowly and with warnings, for a value of no use here."""


_Plugin = Callable[[BinaryIO], ImageFile.ImageFile]

_TIFF_BEGINNINGS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_AVIF_BRANDS = (b"avif", b"avis", b"mif1", b"msf1")


def recognise(data: bytes) -> tuple[str, _Plugin]:
    """The format's name and Pillow's reader for it, by the file's first bytes."""
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG", _JpegFile
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG", PngImagePlugin.PngImageFile
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WebP", WebPImagePlugin.WebPImageFile
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "GIF", GifImagePlugin.GifImageFile
    if data.startswith(_TIFF_BEGINNINGS):
        return "TIFF", TiffImagePlugin.TiffImageFile
    if data.startswith(b"BM"):
        return "BMP", BmpImagePlugin.BmpImageFile
    if data[4:8] == b"ftyp" and data[8:12] in _AVIF_BRANDS:
        return "AVIF", AvifImagePlugin.AvifImageFile
    raise PictureFormatError("not a picture: unknown format")


def _check_size(image: Image.Image, limits: PictureLimits) -> None:
    width, height = image.size
    if max(width, height) > limits.max_side:
        raise PictureLimitError(
            f"{width} × {height} pixels; a side may have at most {limits.max_side:,}"
        )
    if width * height > limits.max_pixels:
        raise PictureLimitError(
            f"{width} × {height} pixels; at most {limits.max_pixels:,} are allowed"
        )


def _choose_scale(image: ImageFile.ImageFile, at_least: tuple[int, int]) -> None:
    """Have a JPEG decoded at the smallest scale that keeps `at_least`; others ignore it.

    Pillow picks the largest of 8, 4, 2, 1 by which both sides can be divided without getting
    smaller than asked, rounding down, so that the outcome, rounded up, cannot be smaller.
    """
    height, width = (max(1, side) for side in at_least)
    stored_on_its_side = _orientation(image.info.get("exif")) >= 5
    image.draft(None, (height, width) if stored_on_its_side else (width, height))


# What turns a stored picture upright, by its EXIF orientation.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def upright(image: Image.Image) -> Image.Image:
    """The loaded picture in RGB, upright. (Pillow's TIFF reader has turned it already.)"""
    turn = _TURNS.get(_orientation(image.info.get("exif")))
    image = _to_rgb(image)
    if turn is not None:
        image = image.transpose(turn)
    image.info = {}  # an orientation or a transparent colour left there would be applied again
    return image


_ORIENTATION_TAG = 0x0112
_BYTE_ORDERS = {b"II": "<", b"MM": ">"}
_INTEGERS = {3: "H", 4: "I"}  # EXIF types SHORT and LONG


def _orientation(exif: bytes | None) -> int:
    """The EXIF orientation, 1 to 8; 1 where there is none or it cannot be read.

    `Image.getexif` would parse every tag and warn about damaged ones; this reads one.
    """
    if not exif:
        return 1
    tiff = exif.removeprefix(b"Exif\0\0")
    order = _BYTE_ORDERS.get(tiff[:2])
    try:
        return _find_orientation(tiff, order) if order else 1
    except struct.error:  # it ends early
        return 1


def _find_orientation(tiff: bytes, order: str) -> int:
    (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
    (entries,) = struct.unpack_from(f"{order}H", tiff, directory)
    for entry in range(directory + 2, directory + 2 + 12 * entries, 12):
        tag, kind = struct.unpack_from(f"{order}HH", tiff, entry)
        if tag == _ORIENTATION_TAG and kind in _INTEGERS:
            (value,) = struct.unpack_from(order + _INTEGERS[kind], tiff, entry + 8)
            return int(value)
    return 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # "I", "I;16", "I;16B": `convert` would clip, not scale
        return _from_deep_grey(image)
    if image.mode == "F":
        raise PictureFormatError("floating-point pixels have no agreed white; save it as 16 bit")
    if image.mode == "LAB":
        raise PictureFormatError("LAB colours cannot be read; save it as RGB")
    if image.has_transparency_data:
        return _on_white(image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _from_deep_grey(image: Image.Image) -> Image.Image:
    """16-bit grey to 8 bits: 65535 is white, so divide by 257 and round."""
    grey = np.asarray(image).astype(np.int64)
    if grey.min() < 0 or grey.max() > 65535:
        raise PictureFormatError("grey values outside 0 to 65535; save it as 8 or 16 bit")
    return Image.fromarray(((grey + 128) // 257).astype(np.uint8)).convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    image = image if image.mode == "RGBA" else image.convert("RGBA")
    if image.getchannel("A").getextrema() == (255, 255):  # nothing shines through
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def _reason(name: str, exc: Exception) -> str:
    """What to tell about an exception of Pillow's, whose own words are for its developers."""
    if isinstance(exc, EOFError) or "truncated" in str(exc).lower():
        return f"truncated {name}"
    if isinstance(exc, MemoryError):
        return f"not enough memory for this {name}"
    return f"damaged {name}, or a kind of {name} that is not supported"
