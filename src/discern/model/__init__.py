"""The model folder: what it holds, how it is written, read and verified."""

from discern.model.folder import check_output, save_folder
from discern.model.info import ModelInfo
from discern.model.model import Model, load
from discern.model.verify import Verification, verify

__all__ = [
    "Model",
    "ModelInfo",
    "Verification",
    "check_output",
    "load",
    "save_folder",
    "verify",
]
