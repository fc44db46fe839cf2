"""Accuracy over latency as inline SVG: each candidate with its interval, and the front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from discern.evaluation.comparison import Candidate, front, milliseconds, short_name
from discern.evaluation.markup import percent, text
from discern.evaluation.scale import Scale, even_scale, logarithmic_scale

Floats = npt.NDArray[np.float64]
Box = tuple[float, float, float, float]  # left, top, right, bottom

LEFT, RIGHT, TOP, BOTTOM = 44, 12, 26, 46  # around the plot: room for numbers and names
FONT = 12.0  # of names beside points, in SVG units
LETTER = 7.2  # width of its widest usual letters, so that no name is longer than thought
LINE = 16.0  # its height
RADIUS, GAP = 5.0, 12.0  # of a point; from its middle to its name
LOGARITHMIC_FROM = 3.0  # times the least latency; below it equal steps read better
LONGEST_NAME = 24
CROSSING = 24.0  # how many units further away a name is put rather than upon a line


@dataclass(frozen=True)
class Label:
    """A candidate's name, where it stands, and whether a line must lead to it."""

    candidate: Candidate
    box: Box
    led: bool


def accuracy_over_latency(
    candidates: Sequence[Candidate], taken: Candidate, *, width: int, height: int, kind: str
) -> str:
    """The chart in SVG units of `width` by `height`; `kind` is a class name for the page."""
    x, logarithmic = _latency_scale(candidates, LEFT, width - RIGHT)
    y = _accuracy_scale(candidates, height - BOTTOM, TOP)
    best = front(candidates)
    labels = place_labels(candidates, best, taken, x, y, (LEFT, TOP, width, height - BOTTOM))
    parts = [
        _axes(x, y, width, height, logarithmic),
        _front_line(best, x, y, width - RIGHT),
        *(_leader(label, x, y) for label in labels if label.led),
        *(_point(c, c in best, c is taken, x, y) for c in candidates),
        *(_name(label, label.candidate is taken, x) for label in labels),
    ]
    body = "\n".join(parts)
    return f"""<svg class="chart {kind}" viewBox="0 0 {width} {height}" role="img" \
aria-label="Accuracy over latency; its numbers are in the table below">
{body}
</svg>"""


def place_labels(
    candidates: Sequence[Candidate],
    best: Sequence[Candidate],
    taken: Candidate,
    x: Scale,
    y: Scale,
    plot: Box,
) -> list[Label]:
    """A place for each name, near its point and over no other name or point.

    The taken one's comes first, then the front's. A name for which no place is left is not
    drawn; the table has it.
    """
    order = sorted(candidates, key=lambda c: (c is not taken, c not in best, c.latency_ms))
    taboo = [_around(*_spot(c, x, y)) for c in candidates]
    lines = [*_whiskers(candidates, x, y), *_front_boxes(best, x, y, plot[2])]
    labels = []
    for c in order:
        found = _free_place(_spot(c, x, y), len(_shown(c)) * LETTER, plot, taboo, lines)
        if found is not None:
            box, distance = found
            taboo.append(box)
            labels.append(Label(c, box, distance > 1.5 * GAP))
    return labels


def _free_place(
    spot: tuple[float, float], length: float, plot: Box, taboo: list[Box], lines: list[Box]
) -> tuple[Box, float] | None:
    """The nearest box of this length that overlaps nothing taboo, and how far off it is."""
    boxes = _boxes_around(spot, length, plot)
    boxes = boxes[~_overlaps(boxes, taboo).any(1)]
    if not len(boxes):
        return None
    away = np.hypot(_outside(boxes, 0, spot[0]), _outside(boxes, 1, spot[1]))
    cost = away + CROSSING * _overlaps(boxes, lines).any(1)
    k = int(cost.argmin())
    left, top, right, bottom = boxes[k].tolist()
    return (left, top, right, bottom), float(away[k])


def _boxes_around(spot: tuple[float, float], length: float, plot: Box) -> Floats:
    """Boxes [n, 4] for a name: right of the point, left of it, above and below, ever further."""
    px, py = spot
    reach = np.arange(0, plot[2], 6.0)
    lefts = np.concatenate([px + GAP + reach, px - GAP - length - reach, [px - length / 2]])
    shifts = np.arange(0, plot[3], LINE / 4)
    tops = py - LINE / 2 + np.concatenate([-shifts, shifts[1:]])
    left, top = (grid.ravel() for grid in np.meshgrid(lefts, tops, indexing="ij"))
    boxes = np.stack([left, top, left + length, top + LINE], axis=1)
    inside = (left >= plot[0]) & (top >= plot[1])
    inside &= (boxes[:, 2] <= plot[2]) & (boxes[:, 3] <= plot[3])
    kept: Floats = boxes[inside]
    return kept


def _overlaps(boxes: Floats, others: list[Box]) -> npt.NDArray[np.bool_]:
    """Whether boxes [n, 4] overlap others, [n, m]."""
    a, b = boxes[:, None], np.asarray(others, float).reshape(1, -1, 4)
    apart = (a[..., :2] >= b[..., 2:]) | (b[..., :2] >= a[..., 2:])
    overlaps: npt.NDArray[np.bool_] = np.logical_not(apart.any(axis=2))
    return overlaps


def _outside(boxes: Floats, axis: int, at: float) -> Floats:
    """How far [n] a place lies outside boxes [n, 4] along an axis; 0 within."""
    return np.maximum(0, np.maximum(boxes[:, axis] - at, at - boxes[:, axis + 2]))


def _spot(c: Candidate, x: Scale, y: Scale) -> tuple[float, float]:
    return x.place(c.latency_ms), y.place(c.accuracy.value)


def _around(px: float, py: float) -> Box:
    reach = RADIUS + 6  # the taken one has a ring
    return px - reach, py - reach, px + reach, py + reach


def _whiskers(candidates: Sequence[Candidate], x: Scale, y: Scale) -> list[Box]:
    return [
        (
            x.place(c.latency_ms) - 2,
            y.place(c.accuracy.high),
            x.place(c.latency_ms) + 2,
            y.place(c.accuracy.low),
        )
        for c in candidates
    ]


def _front_boxes(best: Sequence[Candidate], x: Scale, y: Scale, end: float) -> list[Box]:
    """The front's level stretches and the steps between them, as thin boxes."""
    spots = [_spot(c, x, y) for c in best]
    ends = [*(px for px, _ in spots[1:]), end]
    level = [(px, py - 1, to, py + 1) for (px, py), to in zip(spots, ends, strict=True)]
    steps = [(px - 1, py, px + 1, before) for (_, before), (px, py) in pairwise(spots)]
    return [*level, *steps]


def _latency_scale(candidates: Sequence[Candidate], start: float, end: float) -> tuple[Scale, bool]:
    times = [c.latency_ms for c in candidates]
    least, most = min(times), max(times)
    if most < LOGARITHMIC_FROM * least:
        room = max(0.15 * (most - least), 0.1 * most)
        return even_scale(max(0.0, least - room), most + room, start, end), False
    return logarithmic_scale(least / 1.4, most * 1.4, start, end), True


def _accuracy_scale(candidates: Sequence[Candidate], start: float, end: float) -> Scale:
    low = min(c.accuracy.low for c in candidates)
    high = max(c.accuracy.high for c in candidates)
    room = 0.06 * (high - low)
    return even_scale(max(0.0, low - room), min(1.0, high + room), start, end)


def _axes(x: Scale, y: Scale, width: int, height: int, logarithmic: bool) -> str:
    floor, end = height - BOTTOM, width - RIGHT
    lines = "".join(f"M{LEFT} {y.place(t):.1f}H{end}" for t in y.ticks)
    marks = "".join(f"M{x.place(t):.1f} {floor}v5" for t in x.ticks)
    down = "".join(
        f'<text x="{LEFT - 8}" y="{y.place(t) + 4:.1f}" text-anchor="end">{100 * t:g}</text>'
        for t in y.ticks
    )
    along = "".join(
        f'<text x="{x.place(t):.1f}" y="{floor + 20}" text-anchor="middle">{t:g}</text>'
        for t in x.ticks
    )
    scale = ", log scale" if logarithmic else ""
    names = (
        f'<text x="{(LEFT + end) / 2}" y="{height - 8}" text-anchor="middle">'
        f"latency of one picture, ms{scale}</text>"
        f'<text x="0" y="12">accuracy, %</text>'
    )
    grid = f'<path class="grid" d="{lines}"/><path class="grid" d="M{LEFT} {floor}H{end}{marks}"/>'
    return f"{grid}{down}{along}{names}"


def _front_line(best: Sequence[Candidate], x: Scale, y: Scale, end: float) -> str:
    """What accuracy is to be had at most, at each latency."""
    (px, py), *others = (_spot(c, x, y) for c in best)
    steps = "".join(f"H{ox:.1f}V{oy:.1f}" for ox, oy in others)
    return f'<path class="front" d="M{px:.1f} {py:.1f}{steps}H{end}"/>'


def _point(c: Candidate, on_front: bool, taken: bool, x: Scale, y: Scale) -> str:
    px, py = _spot(c, x, y)
    shape = "point" if on_front else "point behind"
    ring = f'<circle class="ring" cx="{px:.1f}" cy="{py:.1f}" r="{RADIUS + 4}"/>' if taken else ""
    low, high = (percent(share) for share in (c.accuracy.low, c.accuracy.high))
    return (
        f"<g><title>{text(c.backbone)}: {percent(c.accuracy.value)} % ({low}–{high}), "
        f"{milliseconds(c)}</title>"
        f'<path class="whisker" d="M{px:.1f} {y.place(c.accuracy.low):.1f}'
        f'V{y.place(c.accuracy.high):.1f}"/>{ring}'
        f'<circle class="{shape}" cx="{px:.1f}" cy="{py:.1f}" r="{RADIUS}"/></g>'
    )


def _leader(label: Label, x: Scale, y: Scale) -> str:
    px, py = _spot(label.candidate, x, y)
    left, top, right, bottom = label.box
    to = min(max(px, left), right), min(max(py, top), bottom)
    return f'<path class="leader" d="M{px:.1f} {py:.1f}L{to[0]:.1f} {to[1]:.1f}"/>'


def _name(label: Label, taken: bool, x: Scale) -> str:
    left, top, right, _ = label.box
    px = x.place(label.candidate.latency_ms)
    at, anchor = (left, "start") if left > px else (right, "end") if right < px else (px, "middle")
    return (
        f'<text class="{"name taken" if taken else "name"}" x="{at:.1f}" '
        f'y="{top + 0.75 * LINE:.1f}" text-anchor="{anchor}">{text(_shown(label.candidate))}</text>'
    )


def _shown(c: Candidate) -> str:
    name = short_name(c.backbone)
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
