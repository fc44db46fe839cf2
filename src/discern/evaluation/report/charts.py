"""The report's drawings, as inline SVG that takes its colours from the page."""

from __future__ import annotations

from collections.abc import Sequence

from discern.evaluation.markup import count, percent, text
from discern.evaluation.metrics import Interval, ReliabilityBin, wilson_interval

SIDE = 300  # of the square plot, in SVG units
LEFT, TOP = 40, 8  # where the plot begins: room for the numbers of the vertical axis
TRACK = 400  # length of the interval's rail


def interval_track(interval: Interval, beside: float, note: str) -> str:
    """A rail from 0 to 100 % with the interval, its value, and another share with a note on it."""
    low, high, value, other = (
        round(TRACK * share, 1) for share in (interval.low, interval.high, interval.value, beside)
    )
    anchor = "start" if beside < 0.5 else "end"
    return f"""<svg class="track" viewBox="0 0 {TRACK} 36" aria-hidden="true">
<path class="rail" d="M0 9H{TRACK}M0 4V14M{TRACK} 4V14M{other} 4V14"/>
<path class="span" d="M{low} 9H{high}"/>
<path class="mark" d="M{value} 2V16"/>
<text x="{other}" y="31" text-anchor="{anchor}">{text(note)}</text>
</svg>"""


def reliability_diagram(bins: Sequence[ReliabilityBin]) -> str:
    """Share right over claimed probability, a point a bin, with each point's 95 % interval."""
    largest = max(b.count for b in bins)
    points = "\n".join(_point(b, largest) for b in bins)
    return f"""<svg class="chart" viewBox="0 0 348 350" role="img" \
aria-label="Reliability diagram; its numbers are in the table beside it">
{_axes()}
<path class="ideal" d="M{_x(0)} {_y(0)}L{_x(1)} {_y(1)}"/>
{points}
</svg>"""


def _x(share: float) -> float:
    return round(LEFT + SIDE * share, 1)


def _y(share: float) -> float:
    return round(TOP + SIDE * (1 - share), 1)


def _axes() -> str:
    ticks = [k / 4 for k in range(5)]
    lines = "".join(f"M{_x(0)} {_y(t)}H{_x(1)}" for t in ticks)
    down = "".join(
        f'<text x="{LEFT - 8}" y="{_y(t) + 4}" text-anchor="end">{100 * t:.0f}</text>'
        for t in ticks
    )
    along = "".join(
        f'<text x="{_x(t)}" y="{_y(0) + 18}" text-anchor="middle">{100 * t:.0f}</text>'
        for t in ticks
    )
    names = (
        f'<text x="{_x(0.5)}" y="{_y(0) + 38}" text-anchor="middle">claimed probability, %</text>'
        f'<text x="{_x(0) + 8}" y="{_y(1) + 16}">share right, %</text>'
    )
    return f'<path class="grid" d="{lines}"/>{down}{along}{names}'


def _point(b: ReliabilityBin, largest: int) -> str:
    x, y = _x(b.confidence), _y(b.accuracy)
    sure = wilson_interval(round(b.accuracy * b.count), b.count)
    radius = max(3.0, round(6 * (b.count / largest) ** 0.5, 1))  # area follows the count
    return (
        f"<g><title>{count(b.count, 'picture')}: claimed {percent(b.confidence)} %, "
        f"right {percent(b.accuracy)} %</title>"
        f'<path class="whisker" d="M{x} {_y(sure.low)}V{_y(sure.high)}"/>'
        f'<circle class="point" cx="{x}" cy="{y}" r="{radius}"/></g>'
    )
