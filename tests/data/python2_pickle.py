"""Pickles as Python 2 wrote them: texts are bytes, arrays in NumPy's old modules."""

import struct

import numpy as np


def python2_pickle(value: object) -> bytes:
    """Protocol 2, as cPickle wrote the CIFAR files."""
    return b"\x80\x02" + _written(value) + b"."


def _written(value: object) -> bytes:
    match value:
        case bytes():
            return b"T" + struct.pack("<i", len(value)) + value  # BINSTRING
        case int():
            return b"J" + struct.pack("<i", value)
        case list():
            return b"](" + b"".join(map(_written, value)) + b"e"
        case dict():
            pairs = (_written(part) for pair in value.items() for part in pair)
            return b"}(" + b"".join(pairs) + b"u"
        case np.ndarray():
            return _array(value)
    raise TypeError(type(value))


def _array(array: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]") -> bytes:
    made = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + b"K\x00\x85" + _written(b"b")
    )
    kind = b"cnumpy\ndtype\n" + _written(b"u1") + b"K\x00K\x01\x87R"
    state = b"(K\x03" + _written(b"|") + b"NNN" + 2 * _written(-1) + b"K\x00tb"
    shape = b"(" + b"".join(map(_written, array.shape)) + b"t"
    return (
        made
        + b"\x87R"
        + b"(K\x01"
        + shape
        + kind
        + state
        + b"\x89"
        + _written(array.tobytes())
        + b"tb"
    )
