"""Freed memory back to the system, after a model is unloaded."""

import ctypes
import sys


def trim_memory() -> None:
    """Have the C library give back what is freed; nothing happens where it cannot (not glibc).

    An engine's buffers lie between those of others, and glibc keeps such holes: without this a
    process that reloads a 9 MB network goes from 130 MiB to 220 and stays there.
    """
    if sys.platform.startswith("linux"):
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
