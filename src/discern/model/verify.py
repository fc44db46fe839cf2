"""Does a model still give the answers it was saved with? From file to answer, on its references."""

from dataclasses import dataclass

from discern.model.model import Model
from discern.runtime.choose import PROBABILITY_TOLERANCE
from discern.runtime.predictor import Prediction, Predictor

F32_TOLERANCE = 1e-3  # |Δp| between two f32 engines or processors


@dataclass(frozen=True)
class Check:
    """One reference picture: the label expected, the label given, and the largest |Δp|."""

    picture: str
    expected: str
    actual: str | None
    difference: float
    passed: bool


@dataclass(frozen=True)
class Verification:
    """All checks of one model in one engine."""

    engine: str
    precision: str
    tolerance: float
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        return bool(self.checks) and all(check.passed for check in self.checks)


def verify(model: Model, *, engine: str = "auto", precision: str = "f32") -> Verification:
    """Run the reference pictures and compare; the hashes were checked when `model` was loaded."""
    return check_answers(model, model.predictor(engine=engine, precision=precision, device="cpu"))


def check_answers(model: Model, predictor: Predictor, pictures: int | None = None) -> Verification:
    """Run the reference pictures, or the first few, through this very predictor, and compare."""
    kind = predictor.engine.precision
    tolerance = F32_TOLERANCE if kind == "f32" else PROBABILITY_TOLERANCE
    references = model.references[:pictures]
    predictions = predictor.predict([reference.data for reference in references])
    checks = [
        _check(reference.name, dict(reference.probabilities), prediction, tolerance)
        for reference, prediction in zip(references, predictions, strict=True)
    ]
    return Verification(predictor.engine.name, kind, tolerance, tuple(checks))


def _check(
    picture: str, expected: dict[str, float], prediction: Prediction, tolerance: float
) -> Check:
    label = max(expected, key=lambda name: expected[name])
    if prediction.error or prediction.scores.keys() != expected.keys():
        return Check(picture, label, prediction.label, 1.0, False)
    worst = max(abs(prediction.scores[name] - p) for name, p in expected.items())
    return Check(
        picture, label, prediction.label, worst, prediction.label == label and worst <= tolerance
    )
