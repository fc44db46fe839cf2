"""Small drawings of how values are spread, as inline SVG that takes its colours from the page."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from discern.evaluation.markup import count, text
from discern.evaluation.scale import Scale, even_scale, logarithmic_scale

Values = npt.NDArray[np.float64]
Told = Callable[[float], str]

WIDTH, HEIGHT = 320, 120  # of a histogram, in SVG units
SIDE, LEFT = 320, 44  # of the square scatter; room for numbers beside it
FLOOR = 24  # below the plot: room for numbers
BINS, CELLS = 32, 40
WIDEST = 9.0  # radius of a dot
LOGARITHMIC_FROM = 8.0  # times the least value
MOST_TICKS = 6


def histogram(
    values: Values, told: Told, label: str, *, ends: tuple[float, float] | None = None
) -> str:
    """How often `values` [n] occur, from `ends` or the least to the most, numbers as `told`.

    Where the most is many times the least, in equal ratios.
    """
    low, high = ends or _ends(values)
    scale = _scale(low, high, 0, WIDTH)
    places = np.array([scale.place(v) for v in values.tolist()])
    heights, edges = np.histogram(places.clip(0, WIDTH), BINS, (0, WIDTH))
    tallest = max(int(heights.max()), 1)
    bars = "".join(
        _bar(edges[k], edges[k + 1], n / tallest, n) for k, n in enumerate(heights.tolist()) if n
    )
    return f"""<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" \
aria-label="{text(label)}">
{bars}<path class="grid" d="M0 {HEIGHT - FLOOR}H{WIDTH}"/>{_along(scale, told, HEIGHT)}
</svg>"""


def size_scatter(width: Values, height: Values, label: str) -> str:
    """Height over width in pixels, a dot where pictures are, its area by how many.

    Both axes are alike, so that pictures as wide as high stand on the dashed line.
    """
    both = np.concatenate([width, height])
    low, high = _ends(both)
    x = _scale(low, high, LEFT + WIDEST, SIDE - WIDEST)
    y = _scale(low, high, SIDE - FLOOR - WIDEST, WIDEST)
    floor = SIDE - FLOOR
    down = "".join(
        f'<text x="{LEFT - 4}" y="{y.place(t) + 4:.1f}" text-anchor="end">{t:,.0f}</text>'
        for t in _thinned(y)
    )
    lines = f"M{LEFT} {floor}H{SIDE}M{LEFT} {floor}V0"
    square = f"M{x.place(low):.1f} {y.place(low):.1f}L{x.place(high):.1f} {y.place(high):.1f}"
    return f"""<svg class="chart" viewBox="0 0 {SIDE} {SIDE}" role="img" aria-label="{text(label)}">
<path class="grid" d="{lines}"/><path class="ideal" d="{square}"/>
{_dots(width, height, x, y)}
{down}{_along(x, lambda v: f"{v:,.0f}", SIDE)}
</svg>"""


def _dots(width: Values, height: Values, x: Scale, y: Scale) -> str:
    """Sizes that fall into one cell of a grid as one dot, at their mean."""
    px = np.array([x.place(v) for v in width.tolist()])
    py = np.array([y.place(v) for v in height.tolist()])
    cells = (px // (SIDE / CELLS)).astype(int) * 10_000 + (py // (SIDE / CELLS)).astype(int)
    _, cell, counts = np.unique(cells, return_inverse=True, return_counts=True)
    mx, my, mw, mh = (np.bincount(cell, v) / counts for v in (px, py, width, height))
    radius = np.maximum(2.0, WIDEST * np.sqrt(counts / counts.max()))
    return "".join(
        f'<circle class="dot" cx="{cx:.1f}" cy="{cy:.1f}" r="{r:.1f}"><title>'
        f"{count(int(n), 'picture')} of about {w:.0f} × {h:.0f}</title></circle>"
        for cx, cy, r, n, w, h in zip(mx, my, radius, counts, mw, mh, strict=True)
    )


def _bar(start: float, end: float, share: float, n: int) -> str:
    height = max(1.5, (HEIGHT - FLOOR - 4) * share)  # one picture among many is still seen
    return (
        f'<rect class="column" x="{start + 0.5:.1f}" y="{HEIGHT - FLOOR - height:.1f}" '
        f'width="{end - start - 1:.1f}" height="{height:.1f}"><title>{count(n, "picture")}</title>'
        "</rect>"
    )


def _along(scale: Scale, told: Told, height: float) -> str:
    """The numbers below the plot, none of them beyond its ends."""
    return "".join(
        f'<text x="{place:.1f}" y="{height - 6}" text-anchor="{_anchor(place)}">'
        f"{text(told(t))}</text>"
        for t in _thinned(scale)
        for place in [scale.place(t)]
    )


def _anchor(place: float) -> str:
    return "start" if place < 12 else "end" if place > WIDTH - 12 else "middle"


def _scale(low: float, high: float, start: float, end: float) -> Scale:
    if low > 0 and high >= LOGARITHMIC_FROM * low:
        return logarithmic_scale(low, high, start, end)
    return even_scale(low, high, start, end)


def _thinned(scale: Scale) -> tuple[float, ...]:
    """Its ticks; where they are too many, the powers of ten, and of those at most so many."""
    if len(scale.ticks) <= MOST_TICKS:
        return scale.ticks
    tens = [t for t in scale.ticks if np.log10(t).round(6).is_integer()]
    return tuple(tens[:: -(-len(tens) // MOST_TICKS)])


def _ends(values: Values) -> tuple[float, float]:
    """The least and the most, made to differ."""
    low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (0.9 * low, 1.1 * high or 1.0)
