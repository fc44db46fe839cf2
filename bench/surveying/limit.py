"""What a survey cannot be faster than: every core reading and decoding, and nothing else."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from discern.images import decode, read_bytes
from discern.images.decode import read_header
from discern.images.statistics import WORKING_SIDE
from discern.runtime.machine import cores
from material import seconds


def decoding_seconds(files: Sequence[Path]) -> float:
    with ThreadPoolExecutor(cores()) as pool:
        return seconds(lambda: list(pool.map(_decoded, files)))


def _decoded(path: Path) -> None:
    """No larger than a survey needs it, as JPEGs can be decoded at half their size."""
    data = read_bytes(path)
    header = read_header(data)
    scale = WORKING_SIDE / max(header.height, header.width)
    decode(data, at_least=(round(header.height * scale), round(header.width * scale)))
