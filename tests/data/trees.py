"""The type of the `tree` fixture."""

from collections.abc import Callable
from pathlib import Path

Tree = Callable[..., Path]
