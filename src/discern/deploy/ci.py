"""CI for a repository of pictures: it trains, judges, exports and builds, on GitHub or GitLab."""

import json
import math
import shlex
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any

from discern.config import TrainConfig
from discern.deploy.pins import constraints
from discern.deploy.rendering import Files, rendered
from discern.deploy.subject import Subject
from discern.errors import ConfigError
from discern.model import ModelInfo

FOLDER = "discern-ci"  # in the user's repository: what the two CI files need beside them
_EXTRAS = "train,deploy"
_OF_THE_MACHINE = ("budget", "device", "engine", "precision")  # no settings of the model
_BESIDE_TRAINING = 30 * 60  # seconds for installing, scoring and exporting


def ci_files(
    subject: Subject, data: str, budget: float, at_least: float | None, wheel: Path | None = None
) -> Files:
    """The files to copy into a repository that has its pictures at `data`, relative to its root.

    `budget` is training's, in seconds. `at_least` is what the lower end of the accuracy's interval
    must reach; None takes the model's own, so that no worse one passes than there is. ConfigError
    for data outside the repository, or a model without a score.
    """
    bar = _own_bar(subject.model.info) if at_least is None else at_least
    values = {
        "name": subject.name,
        "python": subject.python,
        "discern": subject.discern,
        "data": _inside(data),
        "quoted_data": shlex.quote(_inside(data)),
        "at_least": f"{bar:g}",
        "budget": f"{budget:g}s",
        "timeout_minutes": math.ceil((budget + _BESIDE_TRAINING) / 60),
        "requirement": _requirement(subject, wheel),
        "wheel_option": f" --wheel {shlex.quote(_place(wheel))}" if wheel else "",
    }
    return {
        **rendered("ci", **values),
        f"{FOLDER}/train.toml": settings_of(subject.model.info),
        f"{FOLDER}/constraints.txt": constraints((f"discern[{_EXTRAS}]",)),
        **({_place(wheel): wheel} if wheel else {}),
    }


def settings_of(info: ModelInfo) -> str:
    """The TOML of the settings that a model was trained with, where they are not the defaults."""
    defaults = asdict(TrainConfig())
    given = {k: v for k, v in info.training.get("config", {}).items() if k not in _OF_THE_MACHINE}
    return "# How the model was trained, as far as it differs from the defaults.\n" + _toml(
        _differing(given, defaults)
    )


def _differing(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """What is not the default; None, which TOML cannot say, is always the default."""
    pairs = ((key, value, defaults.get(key)) for key, value in given.items() if key in defaults)
    found = {
        key: _differing(value, default) if isinstance(default, dict) else value
        for key, value, default in pairs
        if value is not None and _plain(value) != _plain(default)
    }
    return {key: value for key, value in found.items() if value != {}}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _toml(values: Mapping[str, Any]) -> str:
    """Flat values first, then a table each."""
    lines = [f"{k} = {_value(v)}\n" for k, v in values.items() if not isinstance(v, dict)]
    tables = [f"\n[{k}]\n{_toml(v)}" for k, v in values.items() if isinstance(v, dict)]
    return "".join([*lines, *tables])


def _value(value: Any) -> str:
    """As JSON writes it, but for what TOML wants otherwise: no surrogates, no bare DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _own_bar(info: ModelInfo) -> float:
    """The lower end of the model's accuracy, rounded down to a whole percent."""
    scores = info.metrics.get("test") or info.metrics.get("validation") or {}
    accuracy = scores.get("accuracy")
    if not isinstance(accuracy, Mapping):
        raise ConfigError("The model has no score to take the bar from. Give one: --at-least 0.85")
    return math.floor(100 * float(accuracy["low"])) / 100


def _inside(data: str) -> str:
    path = PurePosixPath(data)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ConfigError(
            f"--data {data}: leads out of the repository. "
            "Give the pictures' place relative to its root, such as photos."
        )
    return str(path)


def _requirement(subject: Subject, wheel: Path | None) -> str:
    package = _place(wheel) if wheel else "discern"
    return f"{package}[{_EXTRAS}]" + ("" if wheel else f"=={subject.discern}")


def _place(wheel: Path) -> str:
    return f"{FOLDER}/wheels/{wheel.name}"
