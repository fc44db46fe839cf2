"""Whether probabilities mean what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from discern.evaluation.markup import count, percent, text
from discern.evaluation.metrics import Metrics, ReliabilityBin
from discern.evaluation.report.charts import reliability_diagram
from discern.evaluation.report.elements import Section, folded, lead, row, table
from discern.model.info import ModelInfo

METHODS = {
    "none": "none",
    "temperature": "temperature scaling",
    "vector": "vector scaling",
}


def calibration(metrics: Metrics, info: ModelInfo) -> Section:
    """The reliability diagram, and what calibrating the model has changed."""
    body = f"""{
        lead(
            "A probability of 80 % should be right 8 times in 10. Points on the dashed line keep "
            "that promise; below it, the model claims too much."
        )
    }
<figure class="calibration">
{reliability_diagram(metrics.reliability)}
<figcaption>
<p>{_verdict(metrics)}</p>
{_before_and_after(info)}
<p>Each point is a group of pictures with like probabilities, groups as equal in number as can be. \
The line through it is its 95 % interval.</p>
{folded("The numbers", _bins(metrics.reliability))}
</figcaption>
</figure>"""
    return Section("Calibration", "Calibration", body)


def mean_claim(metrics: Metrics) -> float:
    """How often the model claims to be right, on average."""
    return sum(b.count * b.confidence for b in metrics.reliability) / metrics.n


def _verdict(metrics: Metrics) -> str:
    claimed, accuracy = mean_claim(metrics), metrics.accuracy
    if claimed > accuracy.high:
        judged = "It claims too much."
    elif claimed < accuracy.low:
        judged = "It claims too little."
    else:
        judged = f"The gap is no larger than chance makes it over {count(metrics.n, 'picture')}."
    return (
        f"On average the model claims <strong>{percent(claimed)} %</strong> and is right "
        f"<strong>{percent(accuracy.value)} %</strong> of the time. {judged}"
    )


def _before_and_after(info: ModelInfo) -> str:
    found = info.calibration
    if not found:
        return ""
    if "error_after" not in found:
        return (
            "<p>Rare classes were given more weight than they have: probabilities are for pictures "
            "in which classes are more alike in number than in these.</p>"
        )
    method = METHODS.get(found["method"], found["method"])
    return (
        f"<p>Calibrated by <strong>{text(method)}</strong> on "
        f"{count(found['pictures'], 'held-out picture')}. There the calibration error went from "
        f"<strong>{percent(found['error_before'])} %</strong> to "
        f"<strong>{percent(found['error_after'])} %</strong>{_losses(found['log_loss'])}.</p>"
    )


def _losses(by_method: Mapping[str, Any]) -> str:
    tried = [f"{METHODS.get(name, name)} {loss:.4f}" for name, loss in by_method.items()]
    return f" (cross-validated log loss: {text(', '.join(tried))})" if len(tried) > 1 else ""


def _bins(bins: Sequence[ReliabilityBin]) -> str:
    rows = [
        row(
            f"{percent(b.low)}–{percent(b.high)}",
            (f"{b.count:,}", percent(b.confidence), percent(b.accuracy)),
        )
        for b in bins
    ]
    return table(("Probability %", "Pictures", "Claimed", "Right"), rows)
