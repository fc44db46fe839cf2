"""The other end of `remote`: a process in another Python that is asked one thing at a time.

It runs where discern is not installed, so this file imports nothing of discern. It is given a
script whose COMMANDS are what this worker can do. A message, either way, is a line of JSON and
then the raw bytes of the arrays that it announces under "arrays", one after the other.
"""

import json
import math
import os
import runpy
import sys
from collections.abc import Callable, Mapping
from typing import IO, Any

import numpy as np

Arrays = Mapping[str, "np.ndarray[Any, Any]"]
Message = tuple[dict[str, Any], Arrays]
Command = Callable[[dict[str, Any], Arrays], Message]

KINDS = ("uint8", "float32")  # what arrays may be of


def write_message(pipe: IO[bytes], values: Mapping[str, Any], arrays: Arrays) -> None:
    """Send plain values and arrays of uint8 or float32."""
    described = [[name, array.dtype.name, array.shape] for name, array in arrays.items()]
    pipe.write(json.dumps({**values, "arrays": described}).encode() + b"\n")
    for array in arrays.values():
        pipe.write(array.tobytes())
    pipe.flush()


def read_message(pipe: IO[bytes]) -> Message:
    """What the other end sent; EOFError where it has ended, ValueError if it is no message."""
    line = pipe.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    values: dict[str, Any] = json.loads(line)
    return values, {name: _array(pipe, kind, shape) for name, kind, shape in values.pop("arrays")}


def _array(pipe: IO[bytes], kind: str, shape: list[int]) -> "np.ndarray[Any, Any]":
    if kind not in KINDS:
        raise ValueError(f"an array of {kind}")
    size = math.prod(shape) * np.dtype(kind).itemsize
    data = pipe.read(size)
    if len(data) < size:
        raise EOFError
    return np.frombuffer(data, kind).reshape(shape)


def serve(commands: Mapping[str, Command]) -> None:
    """Do what is asked until the pipe is closed; a failure is told, and the next thing done."""
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not get between the messages
    while True:
        try:
            values, arrays = read_message(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer = commands[values["command"]](values, arrays)
        except Exception as exc:  # of any library: it is told, with its kind
            answer = {"error": f"{type(exc).__name__}: {exc}"}, {}
        write_message(pipe, *answer)


if __name__ == "__main__":
    serve(runpy.run_path(sys.argv[1])["COMMANDS"])
