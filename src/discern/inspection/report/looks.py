"""What the pictures are like: sizes, formats, colours, light, sharpness."""

from __future__ import annotations

from collections import Counter

import numpy as np

from discern.evaluation.markup import count, text
from discern.evaluation.report.elements import Section, bar, lead, row, table
from discern.inspection.inspection import Inspection, Looks
from discern.inspection.report.charts import Told, Values, histogram, size_scatter
from discern.inspection.report.sizes import in_bytes, in_pixels

MOST_ROWS = 8
LEAST_SHARPNESS = 0.1  # that is shown: a picture of one colour has 0, which has no logarithm
MODES = {
    "1": "black and white",
    "L": "grey",
    "LA": "grey, transparent",
    "P": "palette",
    "RGB": "colour",
    "RGBA": "colour, transparent",
    "CMYK": "print colours",
    "I;16": "grey, 16 bits",
}


def looks(inspection: Inspection) -> Section:
    """Charts of what can be measured, tables of what can be counted."""
    found, heading = inspection.looks, "What the pictures are like"
    if not len(found.samples):
        return Section("Pictures", heading, lead("None can be decoded."))
    why = (
        "Look for what sets a part of them apart: another camera, another size, night instead of "
        "day. Where it goes with a class, a model learns that instead of the class."
    )
    body = f'{lead(why)}\n<div class="looks">\n{_charts(found)}\n</div>\n{_tables(found)}'
    return Section("Pictures", heading, body)


def _charts(found: Looks) -> str:
    width, height = found.width.astype(float), found.height.astype(float)
    sharpness = np.maximum(found.sharpness.astype(float), LEAST_SHARPNESS)
    return "\n".join(
        (
            _sizes(width, height),
            _spread("Mean brightness", found.brightness.astype(float), _percent, (0.0, 1.0)),
            _spread("Sharpness", sharpness, _short),
            _spread("Width ÷ height", width / height, lambda value: f"{value:.3g}"),
            _spread("File size", found.bytes.astype(float), in_bytes),
        )
    )


def _sizes(width: Values, height: Values) -> str:
    said = f"{_range(width, _whole)} wide, {_range(height, _whole)} high, in pixels"
    chart = size_scatter(width, height, f"Height over width: {said}")
    return _captioned("Height over width", said, chart)


def _spread(name: str, values: Values, told: Told, ends: tuple[float, float] | None = None) -> str:
    """A histogram with its quartiles in words; numbers as `told`."""
    low, middle, high = (told(v) for v in np.quantile(values, (0.25, 0.5, 0.75)).tolist())
    said = f"median {middle}" + f", half between {low} and {high}" * (low != high)
    label = f"{name}: {said}; all are {_range(values, told)}"
    return _captioned(name, said, histogram(values, told, label, ends=ends))


def _captioned(name: str, said: str, chart: str) -> str:
    return (
        f"<figure>\n<figcaption><b>{text(name)}</b> {text(said)}</figcaption>\n{chart}\n</figure>"
    )


def _tables(found: Looks) -> str:
    sizes = Counter(zip(found.width.tolist(), found.height.tolist(), strict=True))
    modes = Counter(found.mode.tolist())
    return f"""<div class="thirds">
{_shares("Size", Counter({in_pixels(*size): n for size, n in sizes.items()}))}
{_shares("Format", Counter(found.format.tolist()))}
{_shares("Colours", Counter({_mode(mode): n for mode, n in modes.items()}))}
</div>"""


def _shares(column: str, counts: Counter[str]) -> str:
    """The commonest values with their shares of the pictures."""
    n = counts.total()
    rows = [
        row(value, (f"{times:,}", bar(times / n))) for value, times in counts.most_common(MOST_ROWS)
    ]
    more = len(counts) - len(rows)
    note = f'<p class="soft">and {count(more, "other")}</p>' if more else ""
    return f"<div>{table((column, 'Pictures', '%'), rows)}{note}</div>"


def _mode(mode: str) -> str:
    return f"{MODES[mode]} ({mode})" if mode in MODES else mode


def _range(values: Values, told: Told) -> str:
    low, high = told(float(values.min())), told(float(values.max()))
    return low if low == high else f"{low} to {high}"


def _whole(value: float) -> str:
    return f"{value:,.0f}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _short(value: float) -> str:
    """Two digits, without an exponent: 0.25, 3.4, 1,200."""
    return f"{value:.2g}" if value < 10 else f"{float(f'{value:.2g}'):,.0f}"
