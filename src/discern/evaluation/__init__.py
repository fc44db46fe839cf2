"""What a model is worth: scores with their uncertainty, and the page that shows them."""

from discern.evaluation.evaluate import Evaluation, evaluate
from discern.evaluation.metrics import (
    ClassScore,
    Confusion,
    Interval,
    Metrics,
    ReliabilityBin,
    score,
    wilson_interval,
)
from discern.evaluation.report import render_report

__all__ = [
    "ClassScore",
    "Confusion",
    "Evaluation",
    "Interval",
    "Metrics",
    "ReliabilityBin",
    "evaluate",
    "render_report",
    "score",
    "wilson_interval",
]
