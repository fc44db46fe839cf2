"""Pickles that hold plain values and arrays of numbers, read without running what is in them.

A pickle is a program. Here it can make Python's plain types, which need no code, and arrays, for
which it gets classes of this file in place of NumPy's: those trust what a pickle says of types
and memory. Whatever else it asks for is refused.
"""

import pickle
import re
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt

from discern.errors import DatasetError

_NUMBERS = re.compile(r"[<>|=]?(?:b1|[iu][1248]|f[48])")


def read_plain(data: bytes, where: str) -> dict[str, Any]:
    """The dict that a pickle holds; bytes, which texts of Python 2 become, stay bytes inside.

    DatasetError where it is damaged, or asks for anything but plain values and arrays. `where`
    names it in messages.
    """
    try:
        found = _Plain(BytesIO(data), encoding="bytes").load()
        return {_text(key): _value(value) for key, value in found.items()}
    except _RefusedError as exc:
        raise DatasetError(
            f"{where}: asks for {exc} when it is read, which a file of pictures does not need.\n"
            "It was not run. Do not trust it; fetch the data from where it was published."
        ) from exc
    except Exception as exc:  # damaged pickles make the unpickler raise nearly anything
        raise DatasetError(
            f"{where}: is no pickle of plain values and arrays ({exc}). Fetch it again."
        ) from exc


class _RefusedError(Exception):
    """A name that a pickle may not use."""


class _Dtype:
    """What a pickle says of an array's numbers, believed only where it is a plain kind."""

    def __init__(self, kind: str | bytes, *_: object) -> None:
        self._kind, self._order = _text(kind), ""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._order = _text(state[1])

    @property
    def numpy(self) -> np.dtype[Any]:
        kind = self._order + self._kind.lstrip("<>|=")
        if not _NUMBERS.fullmatch(kind):
            raise ValueError(f"an array of {kind!r}, not of numbers")
        return np.dtype(kind)


class _Array:
    """What a pickle says of an array: its shape, type, order and bytes."""

    def __init__(self, *_: object) -> None:
        self._state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._state = state

    @property
    def numpy(self) -> npt.NDArray[Any]:
        _, shape, dtype, by_columns, content = self._state
        flat = np.frombuffer(content, dtype.numpy)
        return flat.reshape(shape, order="F" if by_columns else "C")


class _Bytes:
    """How Python 3 writes bytes for Python 2: as text to be encoded."""

    def __new__(cls, text: str = "", encoding: str = "latin1") -> Any:
        if encoding != "latin1":
            raise _RefusedError(f"the encoding {encoding!r}")
        return text.encode("latin1")

    def __setstate__(self, state: object) -> None:
        raise _RefusedError("a state of bytes")


# Only classes with `__setstate__`: a pickle could change others, or functions, for good.
_STAND_INS: dict[tuple[str, str], type] = {
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Array,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("_codecs", "encode"): _Bytes,
    ("__builtin__", "bytes"): _Bytes,  # none at all
}


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type:
        if (found := _STAND_INS.get((module, name))) is None:
            raise _RefusedError(f"{module}.{name}")
        return found


def _value(value: Any) -> Any:
    return value.numpy if isinstance(value, _Array) else value


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
