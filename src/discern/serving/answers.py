"""A model's outputs as the JSON that `POST /predict` answers."""

from typing import Any

from discern.runtime import Prediction
from discern.runtime.engine import Outputs
from discern.serving.catalog import Servable


def answer(servable: Servable, outputs: Outputs, top_k: int | None) -> dict[str, Any]:
    """One picture's answer; what the model does not carry is null."""
    prediction = Prediction.of(servable.info.labels, outputs["probabilities"])
    return {
        "label": prediction.label,
        "probability": prediction.probability,
        "unknown": None,
        "set": None,
        "scores": prediction.top(top_k) if top_k else prediction.scores,
        "heatmap": None,
        "model": {"name": servable.name, "version": servable.version},
    }


def flat(answer: dict[str, Any]) -> dict[str, Any]:
    """Just {label: probability, …}, the shape that many existing clients read."""
    return answer if "error" in answer else dict(answer["scores"])
