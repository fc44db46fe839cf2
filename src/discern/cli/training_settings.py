"""From the options of a command that trains, and its TOML file, to settings."""

from pathlib import Path
from typing import Any

from discern.cli import options
from discern.config import TrainConfig, read_settings, settings_from

AUTO = ("engine", "precision", "device")  # options whose "auto" leaves the file's setting as it is


def training_settings(config: Path | None, flags: dict[str, Any]) -> TrainConfig:
    """The settings of the file `config`, or the defaults, with the options given put over them.

    `flags` are options by the setting's name, as they were typed; None for those not given. The
    seed is that of the splits too.
    """
    read = dict(flags)
    for name in AUTO:
        read[name] = None if flags[name] == "auto" else flags[name]
    read["metadata"] = options.names(flags["metadata"]) or None
    if (budget := flags.get("budget")) is not None:
        read["budget"] = options.duration(budget)
    read["split"] = {"seed": flags["seed"]}
    base = read_settings(TrainConfig, config) if config else TrainConfig()
    return settings_from(TrainConfig, options.given(read), "options", base)
