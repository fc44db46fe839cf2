"""Tensors of pictures as protocols carry them: checked, and not copied where that can be.

A client sends either prepared pixels, uint8 [N, H, W, 3], or N encoded pictures. Every
function raises RequestError for what does not fit, in words that name what would have.
"""

import base64
import binascii
import math
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from discern.errors import RequestError
from discern.runtime.engine import Images, Metadata

Buffer = bytes | memoryview
Values = npt.NDArray[np.float32] | list[bytes]  # [N, …], or N strings

PREFIX = 4  # bytes that say, little-endian, how long the string behind them is
SHOWN = 40  # characters of a client's own words that an error repeats
ITEMS_SHOWN = 6


def batch_shape(
    name: str, shape: Sequence[Any], each: tuple[int, ...], at_most: int
) -> tuple[int, ...]:
    """`shape` if it is [N, *each], 1 ≤ N ≤ `at_most`; nothing is read by one that is not."""
    fits = len(shape) == 1 + len(each) and all(type(size) is int for size in shape)
    if not fits or tuple(shape[1:]) != each:
        expected = ", ".join(["N", *map(str, each)])
        raise RequestError(f"{name} has the shape {shown(shape)}; expected [{expected}].")
    if shape[0] < 1:
        raise RequestError(f"{name} has the shape {shown(shape)}; send at least one picture.")
    if shape[0] > at_most:
        raise RequestError(
            f"{name} has {shown(shape[0])} pictures; at most {at_most} are allowed a request."
        )
    return tuple(shape)


def pixels_from_bytes(name: str, data: Buffer, shape: tuple[int, ...]) -> Images:
    """uint8 pixels over the very bytes they came in."""
    _check_count(name, len(data), "bytes", shape)
    return np.frombuffer(data, np.uint8).reshape(shape)


def pixels_from_values(name: str, values: Iterable[Any], shape: tuple[int, ...]) -> Images:
    """uint8 pixels of numbers, in a flat list or nested ones."""
    try:
        data = bytes(_flat(values))  # the one C loop that takes whole numbers from 0 to 255 only
    except (TypeError, ValueError, OverflowError) as exc:
        raise RequestError(f"{name} must hold whole numbers from 0 to 255.") from exc
    _check_count(name, len(data), "values", shape)
    return np.frombuffer(data, np.uint8).reshape(shape)


def floats_from_bytes(name: str, data: Buffer, shape: tuple[int, ...]) -> Metadata:
    """float32 values of their bytes, little-endian."""
    _check_count(name, len(data), "bytes", (*shape, 4))
    return np.frombuffer(data, "<f4").reshape(shape).astype(np.float32, copy=False)


def floats_from_values(name: str, values: Iterable[Any], shape: tuple[int, ...]) -> Metadata:
    """float32 values of numbers, in a flat list or nested ones."""
    flat = _flat(values)
    if not set(map(type, flat)) <= {int, float}:  # true is no number
        raise RequestError(f"{name} must hold numbers.")
    _check_count(name, len(flat), "values", shape)
    with np.errstate(over="ignore"):  # what is too large is refused where it is used
        return np.array(flat, np.float64).astype(np.float32).reshape(shape)


def _flat(values: Iterable[Any]) -> list[Any]:
    flat = list(values)
    while flat and isinstance(flat[0], list):
        flat = list(chain.from_iterable(flat))
    return flat


def _check_count(name: str, count: int, of: str, shape: tuple[int, ...]) -> None:
    if count != (expected := math.prod(shape)):
        raise RequestError(
            f"{name} has {count:,} {of}; its shape {list(shape)} needs {expected:,}."
        )


def strings_from_bytes(name: str, data: Buffer, count: int) -> list[bytes]:
    """`count` byte strings, each behind 4 bytes with its length."""
    view, strings, start = memoryview(data), list[bytes](), 0
    for index in range(count):
        stop = start + PREFIX + int.from_bytes(view[start : start + PREFIX], "little")
        if not start + PREFIX <= stop <= len(view):
            raise RequestError(
                f"{name} ends within string {index}; expected {count}, each behind its length "
                "in 4 bytes."
            )
        strings.append(bytes(view[start + PREFIX : stop]))
        start = stop
    if start != len(view):
        raise RequestError(f"{name} has {len(view) - start:,} bytes after its {count} strings.")
    return strings


def strings_from_values(name: str, values: Sequence[bytes], count: int) -> list[bytes]:
    """Byte strings that are separate already."""
    if len(values) != count:
        raise RequestError(f"{name} has {len(values):,} strings; its shape [{count}] says {count}.")
    return list(values)


def strings_from_base64(name: str, values: Sequence[Any], count: int) -> list[bytes]:
    """Byte strings that JSON carries as base64."""
    return [
        _decoded(name, index, value)
        for index, value in enumerate(strings_from_values(name, values, count))
    ]


def _decoded(name: str, index: int, value: Any) -> bytes:
    try:
        if isinstance(value, str):
            return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise RequestError(f"{name}: string {index} is not base64 ({exc}).") from exc
    raise RequestError(f"{name}: element {index} is not a string of base64.")


def to_bytes(values: Values) -> bytes:
    """Values as protocols carry them raw; strings behind their lengths."""
    if isinstance(values, np.ndarray):
        return values.astype("<f4", copy=False).tobytes()
    return b"".join(part for s in values for part in (len(s).to_bytes(PREFIX, "little"), s))


def shown(value: object) -> str:
    """What a client sent as an error repeats it: a little of it, however much or deep it is."""
    if isinstance(value, str):
        return _clipped(repr(value[: SHOWN + 1]))
    if isinstance(value, Sequence):
        few = [shown(item) if isinstance(item, int | str) else "…" for item in value[:ITEMS_SHOWN]]
        return f"[{', '.join(few)}{', …' if len(value) > len(few) else ''}]"
    return _clipped(repr(value)) if isinstance(value, int | float | None) else "…"


def _clipped(text: str) -> str:
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
