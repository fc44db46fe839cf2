"""What is told of a model in words and pictures: its report, and its card for model hubs."""

from collections.abc import Callable
from pathlib import Path

from PIL import Image

from discern.evaluation.evaluate import Evaluation
from discern.evaluation.findings import Findings
from discern.evaluation.model_card import render_model_card
from discern.evaluation.report import render_report
from discern.images import decode, read_bytes
from discern.images.overlay import overlay
from discern.model import Model
from discern.model.explain import Explainer
from discern.progress import Progress
from discern.runtime.speed import Speed, measure_speed

REPORT, CARD = "report.html", "README.md"
SPEED_SECONDS = 0.3
THUMBNAIL = 256  # pixels a side that heat is drawn on


def described(
    model: Model,
    evaluation: Evaluation,
    findings: Findings,
    *,
    name: str,
    data: str,
    progress: Progress,
) -> dict[str, bytes]:
    """The report and the model card of an evaluation on `data`, by the names of their files."""
    with progress.stage("Report", None):
        report = render_report(
            evaluation,
            model.info,
            findings,
            title=f"{name} · {data}",
            speed=_speed(model),
            heat=_heat(model),
        )
        card = render_model_card(evaluation, model.info, findings, name=name, data=data)
    return {REPORT: report.encode(), CARD: card.encode()}


def _speed(model: Model) -> Speed | None:
    pictures = [reference.data for reference in model.references]
    if not pictures:
        return None
    return measure_speed(model.graph, model.info.preprocess, pictures, seconds=SPEED_SECONDS)


def _heat(model: Model) -> Callable[[Path, str], Image.Image | None] | None:
    """Draws where a label came from; None where it would take too long."""
    if model.info.features is None:
        return None
    explainer = Explainer.of(model)

    def draw(file: Path, label: str) -> Image.Image | None:
        data = read_bytes(file)
        picture = decode(data, at_least=(THUMBNAIL, THUMBNAIL))
        picture.thumbnail((THUMBNAIL, THUMBNAIL))
        return overlay(picture, explainer.explain(data, label).heat)

    return draw
