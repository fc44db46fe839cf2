"""What `model.json` holds: everything about a model that is not in its graph."""

import json
from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from pathlib import Path, PurePosixPath
from typing import Any

from discern.errors import ConfigError, ModelDamagedError, ModelFormatError
from discern.images import PreprocessSpec

FORMAT = 1  # raised when an older discern could no longer read what is written
RESTORE = "Copy the folder again, or train anew."


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
    calibration: Mapping[str, Any] = field(default_factory=dict)  # the method, and its errors
    prediction_sets: Mapping[str, Any] | None = None  # what PredictionSets is read from
    unknown: Mapping[str, Any] | None = None  # how "none of these" was chosen; unknown.npz has it
    metadata: Mapping[str, Any] | None = None  # what MetadataSpec is read from
    features: str | None = None  # the graph's tensor that heat maps are made from
    inputs: tuple[str, ...] = ("images",)
    outputs: tuple[str, ...] = ("probabilities", "embedding")
    task: str = "classification"
    format: int = FORMAT
    files: Mapping[str, str] = field(default_factory=dict)  # sha256 of every other file

    def to_json(self) -> str:
        """The text of `model.json`."""
        return json.dumps(asdict(self) | {"preprocess": self.preprocess.to_dict()}, indent=1)


def read_info(path: Path) -> ModelInfo:
    """Read `model.json`; says whether the folder is no model, newer than us, or damaged."""
    try:
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise ModelFormatError(
            f"{path.parent}: is not a model folder (it has no model.json). "
            "Make one with: discern train DATA -o MODEL"
        ) from exc
    except OSError as exc:
        raise ModelFormatError(f"{path}: cannot be read ({exc.strerror}).") from exc
    return info_from_json(text, path)


def info_from_json(text: bytes, where: Path | str) -> ModelInfo:
    """The info that the text of a `model.json` holds; `where` is what errors call it."""
    try:
        values = json.loads(text.decode("utf-8"))
    except ValueError as exc:
        raise ModelDamagedError(f"{where}: is not JSON ({exc}). {RESTORE}") from exc
    return _info(values, where)


def _info(values: Any, where: Path | str) -> ModelInfo:
    version = values.get("format") if isinstance(values, dict) else None
    if not isinstance(version, int):
        raise ModelFormatError(f"{where}: is not discern's (it has no format number).")
    if version > FORMAT:
        raise ModelFormatError(
            f"{where}: has format {version}; this discern reads up to {FORMAT}. "
            "Upgrade: pip install --upgrade discern"
        )
    try:
        return _from_plain(values)
    except KeyError as exc:
        raise ModelDamagedError(f"{where}: {exc.args[0]} is missing. {RESTORE}") from exc
    except (ConfigError, TypeError, ValueError) as exc:
        raise ModelDamagedError(f"{where}: {str(exc).rstrip('.')}. {RESTORE}") from exc


def _from_plain(values: Mapping[str, Any]) -> ModelInfo:
    """The info of what JSON gave; keys unknown here are passed over."""
    known = {f.name: values[f.name] for f in fields(ModelInfo) if f.name in values or _required(f)}
    for key in ("labels", "inputs", "outputs"):
        if key in known:
            known[key] = _names(key, known[key])
    if not isinstance(known["preprocess"], dict):
        raise TypeError("preprocess is not a table of settings")
    known["preprocess"] = PreprocessSpec.from_dict(known["preprocess"])
    check_names(known.get("files", {}))
    return ModelInfo(**known)


def _required(setting: Field[Any]) -> bool:
    return setting.default is MISSING and setting.default_factory is MISSING


def _names(key: str, value: Any) -> tuple[str, ...]:
    named = isinstance(value, list) and value and all(isinstance(name, str) for name in value)
    if not named or len(set(value)) < len(value):
        raise ValueError(f"{key} is not a list of different names")
    return tuple(value)


def check_names(files: Any) -> None:
    """Refuse names that lead out of the folder; the file may come from anywhere."""
    if not isinstance(files, dict):
        raise TypeError("files is not a table of names and hashes")
    for name, digest in files.items():
        path = PurePosixPath(name)
        outside = path.is_absolute() or not path.parts or {"..", "\0", "\\"} & {*path.parts, *name}
        if outside or not isinstance(digest, str):
            raise ValueError(f"files names {name!r}, which is no file of this folder")
