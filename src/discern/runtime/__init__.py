"""Running graphs: engines, which of them is fastest, and predictors."""

from discern.runtime.predictor import Prediction, Predictor

__all__ = ["Prediction", "Predictor"]
