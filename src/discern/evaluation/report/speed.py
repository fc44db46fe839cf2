"""How fast it answers."""

from __future__ import annotations

from discern.evaluation.markup import count
from discern.evaluation.report.elements import Section, figures, lead
from discern.runtime.speed import Speed


def speed(found: Speed | None) -> Section | None:
    """Latency and throughput on the machine that wrote the report."""
    if found is None:
        return None
    values = {
        "One picture (median)": f"{significant(found.latency_ms)} ms",
        "95 % within": f"{significant(found.p95_ms)} ms",
        "Every core busy": f"{significant(found.pictures_per_second)}/s",
        "Engine": found.engine,
        "Precision": found.precision,
    }
    why = (
        f"Measured where this report was written, on {count(found.cores, 'core')}: "
        "from a picture's bytes to its answer, decoding counted in."
    )
    return Section("Speed", "Speed", f"{lead(why)}\n{figures(values)}")


def significant(value: float) -> str:
    """Three digits, as times are not worth more: 4.27, 42.7, 427, 4,270."""
    decimals = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{decimals}f}"
