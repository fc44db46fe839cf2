"""The comparison as one page of HTML that needs nothing else, and as a table for other programs.

Its body and style are `comparison.html.template` and `comparison.css`; here is what fills it.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from importlib.resources import files
from io import StringIO
from string import Template

from discern.evaluation.comparison import (
    Candidate,
    Comparison,
    front,
    p_value,
    short_name,
    significant,
)
from discern.evaluation.comparison_chart import accuracy_over_latency
from discern.evaluation.frame import framed
from discern.evaluation.markup import count, percent, text
from discern.evaluation.metrics import Metrics

WIDE, NARROW = (760, 430), (350, 400)  # charts for a desk and for a phone, in SVG units
# Heading → what it is in full, for whoever points at it.
COLUMNS = {
    "Backbone": "",
    "Accuracy %": "of the held-out pictures, with its 95 % interval",
    "Macro F1 %": "mean over classes",
    "Log loss": "of calibrated probabilities, in nats",
    "McNemar p": "of being as accurate as the best",
    "Latency ms": "median, one picture at a time, from its bytes to its label",
    "Pictures/s": "with every core busy",
    "Embed s": "all pictures through the backbone once; ≈ is estimated, as most were cached",
    "Train s": "after that",
    "Parameters M": "backbone and head",
    "Size MB": "of the graph",
}


def render_comparison(comparison: Comparison, *, title: str, facts: Mapping[str, str]) -> str:
    """The page. `facts` (data, mode, seed, …) are listed as they come; all text is escaped."""
    here = files(__package__)
    body = Template((here / "comparison.html.template").read_text("utf-8")).substitute(
        title=text(title),
        name=_breakable(comparison.taken.backbone),
        reason=text(comparison.reason),
        score=_score(comparison),
        charts=_charts(comparison),
        basis=_basis(comparison),
        heads=_heads(),
        rows="\n".join(
            _row(c, taken=c is comparison.taken, best=c is comparison.candidates[0])
            for c in comparison.candidates
        ),
        failures=_failures(comparison.failures),
        facts=_pairs(facts),
    )
    style = (here / "comparison.css").read_text("utf-8")
    return framed(title=text(title), body=body, style=style)


def comparison_csv(comparison: Comparison) -> str:
    """A line for each backbone, failed ones included, shares in [0, 1]."""
    rows = [_csv_row(c, comparison) for c in comparison.candidates]
    rows += [{"backbone": name, "failure": why} for name, why in comparison.failures.items()]
    out = StringIO()
    writer = csv.DictWriter(out, [*rows[0], "failure"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _csv_row(c: Candidate, comparison: Comparison) -> dict[str, object]:
    costs, speed = c.costs, c.costs.speed
    return {
        "backbone": c.backbone,
        "accuracy": round(c.accuracy.value, 5),
        "accuracy_low": round(c.accuracy.low, 5),
        "accuracy_high": round(c.accuracy.high, 5),
        "macro_f1": round(c.macro_f1, 5),
        "log_loss": round(c.log_loss, 5),
        "mcnemar_p": float(f"{c.p:.3g}"),
        "latency_ms": round(speed.latency_ms, 3),
        "latency_p95_ms": round(speed.p95_ms, 3),
        "pictures_per_second": round(speed.pictures_per_second, 1),
        "engine": speed.engine,
        "precision": speed.precision,
        "embed_seconds": costs.embed_seconds,
        "embed_estimated": costs.embed_estimated,
        "train_seconds": costs.train_seconds,
        "parameters": costs.parameters,
        "megabytes": round(costs.megabytes, 3),
        "on_front": c in front(comparison.candidates),
        "taken": c is comparison.taken,
    }


def _score(comparison: Comparison) -> str:
    metrics = comparison.score
    if metrics is None:
        return '<p class="soft">There is no split to score it on: its worth is not proven.</p>'
    return (
        f"<p>What it scored on <strong>{text(comparison.split or '')}</strong>, "
        f"{count(metrics.n, 'picture')} of which none took part in the choice:</p>\n"
        f'<dl class="figures">{_pairs(_figures(metrics))}</dl>'
    )


def _figures(metrics: Metrics) -> dict[str, str]:
    accuracy = metrics.accuracy
    return {
        "Accuracy": f"{percent(accuracy.value)} %",
        "95 % interval": f"{percent(accuracy.low)}–{percent(accuracy.high)} %",
        "Macro F1": f"{percent(metrics.macro_f1)} %",
        "Log loss": f"{metrics.log_loss:.3f}",
        "Calibration error": f"{percent(metrics.calibration_error)} %",
    }


def _pairs(pairs: Mapping[str, str]) -> str:
    return "\n".join(
        f'<div><dt>{text(name)}</dt><dd dir="auto">{text(value)}</dd></div>'
        for name, value in pairs.items()
    )


def _charts(comparison: Comparison) -> str:
    return "\n".join(
        accuracy_over_latency(
            comparison.candidates, comparison.taken, width=width, height=height, kind=kind
        )
        for kind, (width, height) in (("wide-chart", WIDE), ("narrow-chart", NARROW))
    )


def _basis(comparison: Comparison) -> str:
    return (
        f"All answered the same {count(comparison.pictures, 'picture')}, none of which they had "
        "learned from. The choice was made on these figures, so those of the one taken are a "
        "little too good; its score above is not."
    )


def _heads() -> str:
    return "".join(
        f'<th scope="col" title="{text(meaning)}">{text(name)}</th>'
        for name, meaning in COLUMNS.items()
    )


def _row(c: Candidate, *, taken: bool, best: bool) -> str:
    costs, speed = c.costs, c.costs.speed
    low, high = percent(c.accuracy.low), percent(c.accuracy.high)
    mark = ' <span class="mark">taken</span>' if taken else ""
    p = "best" if best else p_value(c.p).removeprefix("p ").removeprefix("= ")
    embed = f"{'≈ ' if costs.embed_estimated else ''}{costs.embed_seconds:,.1f}"
    cells = (
        _cell(
            c.accuracy.value,
            f'{percent(c.accuracy.value)} <span class="soft">{low}–{high}</span>',
        ),
        _cell(c.macro_f1, percent(c.macro_f1)),
        _cell(c.log_loss, f"{c.log_loss:.3f}"),
        _cell(c.p, text(p)),
        _cell(speed.latency_ms, significant(speed.latency_ms)),
        _cell(speed.pictures_per_second, significant(speed.pictures_per_second)),
        _cell(costs.embed_seconds, embed),
        _cell(costs.train_seconds, f"{costs.train_seconds:,.1f}"),
        _cell(costs.parameters, f"{costs.parameters / 1e6:,.1f}"),
        _cell(costs.megabytes, f"{costs.megabytes:,.1f}"),
    )
    head = f'<th scope="row" title="{text(c.backbone)}">{_breakable(c.backbone)}{mark}</th>'
    return f'<tr class="{"taken" if taken else ""}">{head}{"".join(cells)}</tr>'


def _breakable(backbone: str) -> str:
    """The short name, which may go on in the next line where a word of it ends."""
    return text(short_name(backbone)).replace("_", "_<wbr/>")


def _cell(value: float, shown: str) -> str:
    return f'<td data-value="{value:.6g}">{shown}</td>'


def _failures(failures: Mapping[str, str]) -> str:
    """Rows that sorting leaves where they are: there is nothing to sort by."""
    rows = "\n".join(
        f'<tr><th scope="row" title="{text(name)}">{_breakable(name)}</th>'
        f'<td colspan="{len(COLUMNS) - 1}"><span>not compared: {text(why)}</span></td></tr>'
        for name, why in failures.items()
    )
    return f'<tbody class="failed">\n{rows}\n</tbody>' if rows else ""
