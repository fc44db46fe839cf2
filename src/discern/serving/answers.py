"""A model's prediction as the JSON that `POST /predict` answers."""

import base64
from typing import Any

from discern.runtime import Prediction
from discern.serving.catalog import Servable


def answer(servable: Servable, prediction: Prediction, top_k: int | None) -> dict[str, Any]:
    """One picture's answer, without a heat map; what the model does not carry is null."""
    return {
        "label": prediction.label,
        "probability": prediction.probability,
        "unknown": prediction.unknown,
        "set": None if prediction.set is None else list(prediction.set),
        "scores": prediction.top(top_k) if top_k else prediction.scores,
        "heatmap": None,
        "model": {"name": servable.name, "version": servable.version},
    }


def data_url(png: bytes) -> str:
    """A picture as a page can show it (RFC 2397)."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def flat(answer: dict[str, Any]) -> dict[str, Any]:
    """Just {label: probability, …}, the shape that many existing clients read."""
    return answer if "error" in answer else dict(answer["scores"])
