"""What facts beside the picture add."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from discern.data.metadata import MetadataSpec
from discern.evaluation.markup import clipped, percent, text
from discern.evaluation.report.elements import Section, lead, listed, row, scrollable, table
from discern.model.info import ModelInfo

NAMED = 12
HEADS = {
    "with": "with the facts",
    "missing": "the same, facts missing",
    "alone": "trained on pictures alone",
}


def beside_the_picture(info: ModelInfo) -> Section | None:
    """The head with facts against one that never had any, and against facts missing."""
    gain = info.training.get("metadata")
    if not info.metadata or not gain:
        return None
    said = (
        f"Besides the picture, the model takes {listed(_columns(info.metadata), NAMED)}. "
        "Compared on held-out training pictures; differences with their 95 % intervals."
    )
    columns = ("Head", "Accuracy %", "over pictures alone", "Log loss", "over pictures alone")
    rows = [row(told, _cells(gain[head])) for head, told in HEADS.items()]
    shown = scrollable("What facts beside the picture add", table(columns, rows))
    return Section("Beside the picture", "Beside the picture", f"{lead(text(said))}\n{shown}")


def _columns(spec: Mapping[str, Any]) -> Sequence[str]:
    return [clipped(column) for column in MetadataSpec.from_dict(spec).columns]


def _cells(found: Mapping[str, Any]) -> tuple[str, ...]:
    over_accuracy, over_loss = (
        found.get(f"{measure}_over_alone") for measure in ("accuracy", "log_loss")
    )
    return (
        percent(found["accuracy"]),
        _difference(over_accuracy, 100, 1),
        f"{found['log_loss']:.3f}",
        _difference(over_loss, 1, 3),
    )


def _difference(found: Mapping[str, float] | None, factor: float, decimals: int) -> str:
    if found is None:
        return "–"
    value, low, high = (f"{factor * found[key]:+.{decimals}f}" for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})"
