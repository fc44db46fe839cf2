"""What `tune` may change: settings by their dotted names, each with a range or some choices."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from discern.config import TrainConfig, read_toml, settings_from
from discern.errors import ConfigError
from discern.training.sensible import require_sensible

RANGE_KEYS = {"low", "high", "log"}
LAYERED = (  # settings of a head with inner layers, of no meaning without them
    "head.dropout",
    "head.learning_rate",
    "head.weight_decay",
    "head.batch_size",
    "head.epochs",
    "head.label_smoothing",
    "head.mixup",
)


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; whole ones if both are written so."""

    low: float
    high: float
    log: bool = False


Choices = tuple[Any, ...]
Space = Mapping[str, Range | Choices]

FROZEN: Space = {
    "head.layers": ((), (128,), (256,), (256, 128)),
    "head.c": Range(1e-3, 0.1, log=True),
    "head.dropout": Range(0.0, 0.7),
    "head.learning_rate": Range(1e-4, 5e-3, log=True),
    "head.weight_decay": Range(1e-3, 1.0, log=True),
    "head.batch_size": (128, 256),
    "head.epochs": Range(4, 16),
    "head.label_smoothing": (0.0, 0.05, 0.1),
    "head.mixup": (0.0, 0.2, 0.5),
}
FINETUNE: Space = {
    "finetune.learning_rate": Range(2e-4, 5e-3, log=True),
    "finetune.layer_decay": Range(0.6, 1.0),
    "finetune.weight_decay": Range(0.005, 0.3, log=True),
    "finetune.batch_size": (16, 32, 64),
    "finetune.label_smoothing": (0.0, 0.1),
    "finetune.mixup": (0.0, 0.2),
    "finetune.augment": ("none", "light", "strong"),
    "finetune.unfreeze": (None, 1, 2),
}


class Suggests(Protocol):
    """The part of an Optuna trial that is used here."""

    def suggest_categorical(self, name: str, choices: Sequence[str]) -> str: ...
    def suggest_int(self, name: str, low: int, high: int, *, log: bool) -> int: ...
    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float: ...


def default_space(config: TrainConfig, backbones: Sequence[str] = ()) -> Space:
    """What is worth trying for this way of training, with several backbones where given."""
    space = dict(FROZEN if config.mode == "frozen" else FINETUNE)
    return space | ({"backbone": tuple(backbones)} if len(backbones) > 1 else {})


def read_space(path: Path, config: TrainConfig) -> Space:
    """The space that a TOML file describes; ConfigError for what no training could work with."""
    space = {name: _described(name, value, path) for name, value in _flat(read_toml(path))}
    if not space:
        raise ConfigError(f"{path}: names no setting to tune.")
    check_space(space, config, str(path))
    return space


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and not (value and value.keys() <= RANGE_KEYS):
            yield from _flat(value, f"{name}.")
        else:
            yield name, value


def _described(name: str, value: Any, path: Path) -> Range | Choices:
    if isinstance(value, list) and value:
        return tuple(tuple(v) if isinstance(v, list) else v for v in value)
    if isinstance(value, dict) and {"low", "high"} <= value.keys():
        found = Range(value["low"], value["high"], value.get("log", False))
        if _makes_sense(found):
            return found
    raise ConfigError(
        f"{path}: {name} is {value!r}; expected a list of choices, or "
        "{ low = …, high = …, log = true } with low below high, and above 0 where log is true."
    )


def _makes_sense(found: Range) -> bool:
    """Whether what TOML gave are the ends of a range."""
    ends = (found.low, found.high)
    if not all(type(end) in (int, float) for end in ends) or type(found.log) is not bool:
        return False
    return found.low < found.high and (found.low > 0 or not found.log)


def check_space(space: Space, config: TrainConfig, where: str) -> None:
    """Refuse, before any trial, a setting that is unknown or a value that it cannot have."""
    for name, values in space.items():
        ends = (values.low, values.high) if isinstance(values, Range) else values
        for value in ends:
            require_sensible(configured(config, {name: value}, where))


def configured(config: TrainConfig, values: Mapping[str, Any], where: str = "trial") -> TrainConfig:
    """The settings with these, by dotted name, put over them."""
    nested: dict[str, Any] = {}
    for name, value in values.items():
        *groups, key = name.split(".")
        inner = nested
        for group in groups:
            inner = inner.setdefault(group, {})
        inner[key] = [value] if name == "head.c" and not isinstance(value, tuple) else value
    return settings_from(TrainConfig, nested, where, config)


def suggested(trial: Suggests, space: Space) -> dict[str, Any]:
    """One point of the space; settings that mean nothing beside the others are left out."""
    order = sorted(space, key=lambda name: name != "head.layers")
    values: dict[str, Any] = {}
    for name in order:
        layered = bool(values.get("head.layers"))
        if (name in LAYERED and "head.layers" in space and not layered) or (
            name == "head.c" and layered
        ):
            continue
        values[name] = _suggested(trial, name, space[name])
    return values


def _suggested(trial: Suggests, name: str, values: Range | Choices) -> Any:
    if not isinstance(values, Range):
        return _choice(trial.suggest_categorical(name, [json.dumps(v) for v in values]))
    if isinstance(values.low, int) and isinstance(values.high, int):
        return trial.suggest_int(name, values.low, values.high, log=values.log)
    return trial.suggest_float(name, values.low, values.high, log=values.log)


def _choice(text: str) -> Any:
    value = json.loads(text)
    return tuple(value) if isinstance(value, list) else value


def read_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """A finished trial's parameters as values of settings."""
    return {name: _choice(v) if isinstance(v, str) else v for name, v in params.items()}
