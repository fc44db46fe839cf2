"""Where values stand along a chart's axis."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

TICKS = 5
STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True)
class Scale:
    """How values become places along an axis, and which of them are marked."""

    place: Callable[[float], float]
    ticks: tuple[float, ...]


def logarithmic_scale(low: float, high: float, start: float, end: float) -> Scale:
    """From `low` at `start` to `high` at `end`, both positive, in equal ratios."""
    first, last = math.log10(low), math.log10(high)

    def place(value: float) -> float:
        return start + (end - start) * (math.log10(value) - first) / (last - first)

    decades = range(math.floor(first), math.ceil(last) + 1)
    ticks = [k * 10.0**d for d in decades for k in (1, 2, 5)]
    return Scale(place, tuple(t for t in ticks if first <= math.log10(t) <= last))


def even_scale(low: float, high: float, start: float, end: float) -> Scale:
    """From `low` at `start` to `high` at `end`, in equal steps."""

    def place(value: float) -> float:
        return start + (end - start) * (value - low) / (high - low)

    step = _round_step((high - low) / TICKS)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return Scale(place, tuple(k * step for k in range(first, last + 1)))


def _round_step(rough: float) -> float:
    """The least of 1, 2, 2.5 and 5 times a power of ten that is no smaller."""
    power: float = 10.0 ** math.floor(math.log10(rough))
    return next(k * power for k in STEPS if k * power >= rough * (1 - 1e-9))
