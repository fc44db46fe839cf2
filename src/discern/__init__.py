"""discern: from a folder of labelled pictures to an image classifier in production.

    dataset = discern.load_dataset("photos/")
    print(discern.inspect(dataset).leaks)
    model = discern.train(dataset, "my-model")
    print(discern.evaluate(model, dataset).metrics.accuracy)
    model.predict(["new/a.jpg", "new/b.jpg"])

Everything public is listed below. A name is imported when it is first used, so that
`import discern` costs nothing and nothing but training ever loads torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from discern.config import FinetuneConfig, HeadConfig, ProofConfig, SplitConfig, TrainConfig
    from discern.data import Dataset, Sample, load_dataset, split_dataset
    from discern.errors import DiscernError
    from discern.evaluation import Evaluation, Findings, Metrics, evaluate, find
    from discern.evaluation.comparison import Comparison
    from discern.export.export import Exported, export_model, verify_export
    from discern.export.folder import Export, load_export
    from discern.export.parity import Parity
    from discern.images import PictureLimits, PreprocessSpec
    from discern.inspection.inspect import inspect
    from discern.inspection.inspection import Inspection
    from discern.model import Model, Verification, load, verify
    from discern.model.explain import Explainer, HeatMap
    from discern.runtime import Prediction, Predictor
    from discern.serving.app import create_app
    from discern.serving.settings import ServeSettings
    from discern.training.compare import compare
    from discern.training.train import train
    from discern.training.tune import Tuning, tune

__all__ = [
    "Comparison",
    "Dataset",
    "DiscernError",
    "Evaluation",
    "Explainer",
    "Export",
    "Exported",
    "Findings",
    "FinetuneConfig",
    "HeadConfig",
    "HeatMap",
    "Inspection",
    "Metrics",
    "Model",
    "Parity",
    "PictureLimits",
    "Prediction",
    "Predictor",
    "PreprocessSpec",
    "ProofConfig",
    "Sample",
    "ServeSettings",
    "SplitConfig",
    "TrainConfig",
    "Tuning",
    "Verification",
    "__version__",
    "compare",
    "create_app",
    "evaluate",
    "export_model",
    "find",
    "inspect",
    "load",
    "load_dataset",
    "load_export",
    "split_dataset",
    "train",
    "tune",
    "verify",
    "verify_export",
]

_HOMES = {
    "config": ("FinetuneConfig", "HeadConfig", "ProofConfig", "SplitConfig", "TrainConfig"),
    "data": ("Dataset", "Sample", "load_dataset", "split_dataset"),
    "errors": ("DiscernError",),
    "evaluation": ("Evaluation", "Findings", "Metrics", "evaluate", "find"),
    "evaluation.comparison": ("Comparison",),
    "export.export": ("Exported", "export_model", "verify_export"),
    "export.folder": ("Export", "load_export"),
    "export.parity": ("Parity",),
    "images": ("PictureLimits", "PreprocessSpec"),
    "inspection.inspect": ("inspect",),
    "inspection.inspection": ("Inspection",),
    "model": ("Model", "Verification", "load", "verify"),
    "model.explain": ("Explainer", "HeatMap"),
    "runtime": ("Prediction", "Predictor"),
    "serving.app": ("create_app",),
    "serving.settings": ("ServeSettings",),
    "training.compare": ("compare",),
    "training.train": ("train",),
    "training.tune": ("Tuning", "tune"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'discern' has no attribute {name!r}")
    return getattr(importlib.import_module(f"discern.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
