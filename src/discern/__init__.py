"""discern: from a folder of labelled pictures to an image classifier in production.

    dataset = discern.load_dataset("photos/")
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
    from discern.config import FinetuneConfig, HeadConfig, SplitConfig, TrainConfig
    from discern.data import Dataset, Sample, load_dataset, split_dataset
    from discern.errors import DiscernError
    from discern.evaluation import Evaluation, Metrics, evaluate
    from discern.images import PictureLimits, PreprocessSpec
    from discern.model import Model, Verification, load, verify
    from discern.runtime import Prediction, Predictor
    from discern.serving.app import create_app
    from discern.serving.settings import ServeSettings
    from discern.training.train import train

__all__ = [
    "Dataset",
    "DiscernError",
    "Evaluation",
    "FinetuneConfig",
    "HeadConfig",
    "Metrics",
    "Model",
    "PictureLimits",
    "Prediction",
    "Predictor",
    "PreprocessSpec",
    "Sample",
    "ServeSettings",
    "SplitConfig",
    "TrainConfig",
    "Verification",
    "__version__",
    "create_app",
    "evaluate",
    "load",
    "load_dataset",
    "split_dataset",
    "train",
    "verify",
]

_HOMES = {
    "config": ("FinetuneConfig", "HeadConfig", "SplitConfig", "TrainConfig"),
    "data": ("Dataset", "Sample", "load_dataset", "split_dataset"),
    "errors": ("DiscernError",),
    "evaluation": ("Evaluation", "Metrics", "evaluate"),
    "images": ("PictureLimits", "PreprocessSpec"),
    "model": ("Model", "Verification", "load", "verify"),
    "runtime": ("Prediction", "Predictor"),
    "serving.app": ("create_app",),
    "serving.settings": ("ServeSettings",),
    "training.train": ("train",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'discern' has no attribute {name!r}")
    return getattr(importlib.import_module(f"discern.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
