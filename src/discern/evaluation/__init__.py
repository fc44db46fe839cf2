"""What a model is worth: scores with their uncertainty, and the pages that show them."""

from discern.evaluation.evaluate import Evaluation, evaluate
from discern.evaluation.find import find
from discern.evaluation.findings import Findings
from discern.evaluation.metrics import (
    ClassScore,
    Confusion,
    Interval,
    Metrics,
    ReliabilityBin,
    score,
    wilson_interval,
)
from discern.evaluation.model_card import render_model_card
from discern.evaluation.report import render_report

__all__ = [
    "ClassScore",
    "Confusion",
    "Evaluation",
    "Findings",
    "Interval",
    "Metrics",
    "ReliabilityBin",
    "evaluate",
    "find",
    "render_model_card",
    "render_report",
    "score",
    "wilson_interval",
]
