"""Small generated pictures, more and more of them: time, memory, and what is found.

Each size is looked at by two fresh processes with one cache between them: one that has seen
nothing, one that has seen every file. Memory at a million is drawn on the line through the two
largest sizes: what stays for each picture is what grows.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from material import fresh_cache
from serving.table import Figure
from surveying.generated import generate, sources
from surveying.limit import decoding_seconds
from surveying.process import Looked, look
from surveying.score import group_of, mixed

MILLION, MB_ALLOWED, RATIO_ALLOWED = 1_000_000, 4096, 12


@dataclass(frozen=True)
class Size:
    """One number of pictures: both processes, and what decoding alone takes."""

    n: int
    cold: Looked
    warm: Looked
    decoding: float  # seconds

    @property
    def mb(self) -> float:
        return max(self.cold.mb, self.warm.mb)


def scale(sizes: Sequence[int]) -> list[Figure]:
    """A few lines for each size, then how they grow."""
    with TemporaryDirectory() as folder:
        files = generate(Path(folder), max(sizes))
        looked = [_looked_at(files[:n]) for n in sorted(sizes)]
    return [
        *(figure for size in looked for figure in _figures(size)),
        *(_growth(looked[0], looked[-1]) if len(looked) > 1 else ()),
        *(_memory(looked[-2:]) if len(looked) > 1 else ()),
    ]


def _looked_at(files: Sequence[Path]) -> Size:
    with fresh_cache():
        return Size(len(files), look(files), look(files), decoding_seconds(files))


def _figures(size: Size) -> list[Figure]:
    source = sources(size.n)
    group = group_of(size.cold.groups, size.n)
    copies = np.flatnonzero(source != np.arange(size.n))
    hit = (group[copies] >= 0) & (group[copies] == group[source[copies]])
    wrong = {member for members in mixed(size.cold.groups, source) for member in members}
    ratio = size.cold.survey / size.decoding
    return [
        Figure(f"{size.n:,} pictures:"),
        Figure("survey, cold, s (limit: decoding)", size.cold.survey, size.decoding, ratio=ratio),
        Figure("survey, warm, s", size.warm.survey),
        Figure("duplicates, cold, s", size.cold.find),
        Figure("duplicates, warm, s", size.warm.find),
        Figure("peak memory, MB", size.mb),
        Figure("… after the survey alone, MB", size.warm.survey_mb),
        Figure(f"planted duplicates found, of {len(copies)}", float(hit.mean())),
        Figure("pictures grouped with another one", len(wrong) / size.n),
    ]


def _growth(small: Size, large: Size) -> list[Figure]:
    """Times of the largest over those of the smallest; 12 is asked of ten times as many."""
    factor = large.n / small.n
    # As a power of the number: 12 times for 10 times as many, 144 times for 100 times as many.
    allowed = factor ** math.log10(RATIO_ALLOWED)
    parts: dict[str, Callable[[Size], float]] = {
        "survey, cold": lambda size: size.cold.survey,
        "survey, warm": lambda size: size.warm.survey,
        "duplicates, cold": lambda size: size.cold.find,
        "all of it, cold": lambda size: size.cold.survey + size.cold.find,
        "all of it, warm": lambda size: size.warm.survey + size.warm.find,
    }
    target = f"≤ {allowed:.1f}"
    return [
        Figure(f"{factor:.0f} times as many pictures take, times as long:"),
        *(_ratio(name, part(large), part(small), target) for name, part in parts.items()),
    ]


def _ratio(name: str, large: float, small: float, target: str) -> Figure:
    return Figure(name, large, peer=small, ratio=large / small, target=target)


def _memory(last: Sequence[Size]) -> list[Figure]:
    small, large = last
    each = (large.mb - small.mb) / (large.n - small.n)
    million = large.mb + each * (MILLION - large.n)
    return [
        Figure("memory for each picture more, kB", each * 1024),
        Figure("memory at 1,000,000, MB, extrapolated", million, target=f"< {MB_ALLOWED}"),
    ]
