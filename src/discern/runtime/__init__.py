"""Running graphs: engines, which of them is fastest, and predictors."""

import os

# ONNX Runtime from 1.29 on reports what it runs to its makers, and reads this when it is loaded.
# discern asks nobody's users for that; whoever wants it sets the variable to 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from discern.runtime.predictor import Prediction, Predictor

__all__ = ["Prediction", "Predictor"]
