"""Pixels: from a picture's bytes to what a model sees, the same everywhere."""

from discern.images.decode import PictureLimits, decode, read_bytes
from discern.images.preprocess import PreprocessSpec, picture_to_input, to_input

__all__ = [
    "PictureLimits",
    "PreprocessSpec",
    "decode",
    "picture_to_input",
    "read_bytes",
    "to_input",
]
