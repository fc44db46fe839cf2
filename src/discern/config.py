"""Typed settings: their defaults, and how they are read from TOML without letting a typo pass."""

import contextlib
import difflib
import os
import tomllib
import types
import typing
from collections.abc import Collection, Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal

from discern.errors import ConfigError

Mode = Literal["frozen", "finetune", "scratch"]
ClassWeights = Literal["balanced", "none"]
Sampling = Literal["natural", "balanced", "square-root"]
Augment = Literal["none", "light", "strong"]
Weights = Literal["pretrained", "none"]
CalibrationMethod = Literal["auto", "temperature", "vector", "none"]
T = typing.TypeVar("T")
ENGINES = ("onnxruntime", "openvino")
PRECISIONS = ("f32", "bf16")
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class SplitConfig:
    """How samples without a split are divided; fractions of all samples."""

    validation: float = 0.1
    test: float = 0.1
    seed: int = 0


@dataclass(frozen=True)
class HeadConfig:
    """The head on frozen embeddings: logistic regression, or with inner layers a small network."""

    c: tuple[float, ...] = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)  # 1 / strength of the L2 penalty
    folds: int = 5
    class_weights: ClassWeights = "none"
    views: int = 1  # forms of each training picture that are embedded: itself, mirrored, crops
    layers: tuple[int, ...] = ()  # sizes of inner layers; C does not count where there are any
    dropout: float = 0.2
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    batch_size: int = 128
    epochs: int = 20
    label_smoothing: float = 0.05
    mixup: float = 0.0  # alpha of the Beta distribution; 0 switches it off


@dataclass(frozen=True)
class FinetuneConfig:
    """The training loop shared by `finetune` and `scratch`."""

    epochs: int = 20
    batch_size: int = 32
    learning_rate: float = 1e-3  # of the head; deeper layers learn slower by `layer_decay`
    layer_decay: float = 0.8
    weight_decay: float = 0.05
    warmup: float = 0.1  # fraction of all steps
    label_smoothing: float = 0.1
    mixup: float = 0.0  # alpha of the Beta distribution; 0 switches it off
    unfreeze: int | None = None  # how many of the last stages are trained; None: all
    class_weights: ClassWeights = "none"
    sampling: Sampling = "natural"  # how often an epoch shows each class
    augment: Augment = "light"  # a preset of the next five, which are None unless given
    randaugment: int | None = None  # magnitude, 0 to 30; 0 switches it off
    crop_scale: float | None = None  # smallest area of a random crop; 1: as evaluated
    flip: bool | None = None  # left-right; wrong for digits, text and whatever has a handedness
    erasing: float | None = None  # how often a part is painted grey
    train_size: float | None = None  # side of what is trained on over side of what is evaluated
    ema_decay: float = 0.998
    patience: int = 5  # epochs without a better validation loss before it stops


@dataclass(frozen=True)
class ProofConfig:
    """What a model promises, and keeps on held-out pictures."""

    calibration: CalibrationMethod = "auto"
    coverage: float = 0.9  # share of pictures whose truth is in the prediction set
    keep: float = 0.95  # share of true pictures that "none of these" must let pass


@dataclass(frozen=True)
class TrainConfig:
    """All settings of `train`."""

    mode: Mode = "frozen"
    backbone: str | None = None  # None: the default of the mode
    weights: Weights = "pretrained"
    image_size: int | None = None  # None: as the backbone was trained
    budget: float | None = None  # seconds
    seed: int = 0
    device: str = "auto"
    engine: str = "auto"
    precision: str = "auto"
    split: SplitConfig = SplitConfig()
    leak_check: bool = True  # look for copies of pictures: one split for each, and told of scores
    metadata: tuple[str, ...] = ()  # facts beside the picture: columns, or "exif"
    logit_adjustment: float = 0.0  # 0: classes as often as in train; 1: all equally often
    head: HeadConfig = HeadConfig()
    finetune: FinetuneConfig = FinetuneConfig()
    proof: ProofConfig = ProofConfig()


def read_settings(cls: type[T], path: Path) -> T:
    """Read a TOML file into the settings dataclass `cls`; ConfigError names what is wrong."""
    return settings_from(cls, read_toml(path), where=str(path))


def read_toml(path: Path) -> dict[str, Any]:
    """The values of a TOML file; ConfigError where there are none to be had."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read ({exc.strerror}).") from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{path}: is not valid TOML: {exc}") from exc


def settings_from(
    cls: type[T], values: Mapping[str, Any], where: str = "settings", base: T | None = None
) -> T:
    """The dataclass `cls` with plain `values` put over `base`, or over its defaults.

    Strict: an unknown key, a wrong type, or a setting without a default that is not given is a
    ConfigError that says where.
    """
    settings = {field.name: field for field in fields(typing.cast(Any, cls))}
    _refuse_unknown(values, settings, where)
    kinds = typing.get_type_hints(cls)
    changed = {
        key: _typed(kinds[key], value, f"{where}: {key}", getattr(base, key, None))
        for key, value in values.items()
    }
    if base is not None:
        return typing.cast(T, replace(typing.cast(Any, base), **changed))
    if missing := [key for key, s in settings.items() if _is_required(s) and key not in changed]:
        raise ConfigError(f"{where}: {' and '.join(missing)} not given.")
    return cls(**changed)


def _refuse_unknown(keys: Iterable[str], known: Collection[str], where: str) -> None:
    for key in keys:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(sorted(known))}."
            raise ConfigError(f"{where}: unknown setting {key!r}. {hint}")


def _is_required(setting: Field[Any]) -> bool:
    return setting.default is MISSING and setting.default_factory is MISSING


def _typed(kind: Any, value: Any, where: str, base: Any = None) -> Any:
    """`value` as the annotated type `kind`; whole numbers pass for floats, lists for tuples."""
    origin, options = typing.get_origin(kind), typing.get_args(kind)
    if is_dataclass(kind) and isinstance(value, Mapping):
        return settings_from(typing.cast(type, kind), value, where, base)
    if origin is Literal and value in options:
        return value
    if origin in (types.UnionType, typing.Union):
        return _one_of(options, value, where)
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_typed(options[0], item, where) for item in value)
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(kind, type) and type(value) is kind:
        return value
    raise ConfigError(f"{where} is {value!r}; expected {_in_words(kind)}.")


def _one_of(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    """`value` as the first of these types that it fits."""
    if value is None and type(None) in kinds:
        return None
    choices = [kind for kind in kinds if kind is not type(None)]
    if len(choices) == 1:  # what it says is wrong is more exact than what is said below
        return _typed(choices[0], value, where)
    for kind in choices:
        with contextlib.suppress(ConfigError):
            return _typed(kind, value, where)
    raise ConfigError(f"{where} is {value!r}; expected {' or '.join(map(_in_words, choices))}.")


def _in_words(kind: Any) -> str:
    if typing.get_origin(kind) is Literal:
        return ", ".join(map(repr, typing.get_args(kind)))
    return str(getattr(kind, "__name__", kind))


def cache_dir() -> Path:
    """Where backbones, embeddings and timings are kept: DISCERN_CACHE, or in the user's cache."""
    if named := os.environ.get("DISCERN_CACHE"):
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "discern"
