"""What `model.json` holds: everything about a model that is not in its graph."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from discern.errors import ModelDamagedError, ModelFormatError
from discern.images import PreprocessSpec

FORMAT = 1  # raised when an older discern could no longer read what is written


@dataclass(frozen=True)
class ModelInfo:
    """The meaning of a model. Probability columns are in the order of `labels`."""

    labels: tuple[str, ...]
    preprocess: PreprocessSpec
    backbone: Mapping[str, Any]  # name, architecture, weights' hash, licence, embedding size
    temperature: float
    training: Mapping[str, Any]  # mode, settings, what was chosen, seconds
    dataset: Mapping[str, Any]  # source, fingerprint, counts by split, split settings
    seed: int
    versions: Mapping[str, str]
    created: str  # ISO 8601, UTC
    metrics: Mapping[str, Any] = field(default_factory=dict)  # by split, with intervals
    unknown_threshold: float | None = None
    prediction_set_threshold: float | None = None
    inputs: tuple[str, ...] = ("images",)
    outputs: tuple[str, ...] = ("probabilities", "embedding")
    task: str = "classification"
    format: int = FORMAT
    files: Mapping[str, str] = field(default_factory=dict)  # sha256 of every other file

    def to_json(self) -> str:
        return json.dumps(asdict(self) | {"preprocess": self.preprocess.to_dict()}, indent=1)


def read_info(path: Path) -> ModelInfo:
    """Read `model.json`; says whether the folder is no model, newer than us, or damaged."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise ModelFormatError(
            f"{path.parent}: is not a model folder (it has no model.json). "
            "Make one with: discern train DATA -o MODEL"
        ) from exc
    except OSError as exc:
        raise ModelFormatError(f"{path}: cannot be read ({exc.strerror}).") from exc
    except ValueError as exc:
        raise ModelDamagedError(f"{path}: is not JSON ({exc}). {RESTORE}") from exc
    return _info(values, path)


RESTORE = "Copy the folder again, or train anew."


def _info(values: Any, path: Path) -> ModelInfo:
    version = values.get("format") if isinstance(values, dict) else None
    if not isinstance(version, int):
        raise ModelFormatError(f"{path}: is not discern's (it has no format number).")
    if version > FORMAT:
        raise ModelFormatError(
            f"{path}: has format {version}; this discern reads up to {FORMAT}. "
            "Upgrade: pip install --upgrade discern"
        )
    known = {f.name for f in fields(ModelInfo)}
    values = {key: value for key, value in values.items() if key in known}
    try:
        for name in ("labels", "inputs", "outputs"):
            values[name] = tuple(values[name])
        values["preprocess"] = PreprocessSpec.from_dict(values["preprocess"])
        return ModelInfo(**values)
    except (KeyError, TypeError, ValueError) as exc:
        raise ModelDamagedError(f"{path}: {exc} is missing or wrong. {RESTORE}") from exc
