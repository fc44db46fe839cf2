"""Settings of the right type that still make no sense, refused before any work is done."""

from discern.config import DEVICES, TrainConfig
from discern.errors import ConfigError


def require_sensible(config: TrainConfig) -> None:
    """ConfigError names the first setting that no training can work with."""
    loop, head, size = config.finetune, config.head, config.image_size
    crop, magnitude, scale = loop.crop_scale, loop.randaugment, loop.train_size
    tau, erasing = config.logit_adjustment, loop.erasing
    rules = [
        ("seed", config.seed, config.seed >= 0, "0 or more"),
        ("split.seed", config.split.seed, config.split.seed >= 0, "0 or more"),
        ("device", config.device, config.device in DEVICES, ", ".join(DEVICES)),
        ("image_size", size, size is None or size >= 16, "16 or more"),
        ("budget", config.budget, config.budget is None or config.budget > 0, "above 0"),
        ("head.c", head.c, len(head.c) > 0 and min(head.c) > 0, "numbers above 0"),
        ("head.folds", head.folds, head.folds >= 2, "2 or more"),
        ("head.views", head.views, head.views >= 1, "1 or more"),
        ("logit_adjustment", tau, tau >= 0, "0 or more"),
        ("finetune.epochs", loop.epochs, loop.epochs >= 1, "1 or more"),
        ("finetune.batch_size", loop.batch_size, loop.batch_size >= 2, "2 or more"),
        ("finetune.learning_rate", loop.learning_rate, loop.learning_rate > 0, "above 0"),
        ("finetune.crop_scale", crop, crop is None or 0 < crop <= 1, "above 0, up to 1"),
        ("finetune.erasing", erasing, erasing is None or 0 <= erasing <= 1, "0 to 1"),
        (
            "finetune.unfreeze",
            loop.unfreeze,
            loop.unfreeze is None or loop.unfreeze >= 0,
            "0 or more",
        ),
        ("finetune.ema_decay", loop.ema_decay, 0 <= loop.ema_decay < 1, "0 to below 1"),
        ("finetune.patience", loop.patience, loop.patience >= 1, "1 or more"),
        (
            "finetune.randaugment",
            magnitude,
            magnitude is None or 0 <= magnitude <= 30,
            "0 to 30",
        ),
        ("finetune.train_size", scale, scale is None or 0 < scale <= 4, "above 0, up to 4"),
        ("finetune.mixup", loop.mixup, loop.mixup >= 0, "0 or more"),
    ]
    for name, value, holds, expected in rules:
        if not holds:
            raise ConfigError(f"{name} is {value!r}; expected {expected}.")
