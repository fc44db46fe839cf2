"""The training loop of `finetune` and `scratch`, from first step to best weights."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from timm.models import group_parameters
from timm.optim import create_optimizer_v2
from timm.utils import ModelEmaV3

from discern.config import FinetuneConfig
from discern.errors import DatasetError, PictureError, TrainingError
from discern.progress import Progress
from discern.training.augment import (
    EvaluatedPictures,
    TrainingPictures,
    evaluation_batches,
    training_batches,
)
from discern.training.backbone_export import Network
from discern.training.backbones import Backbone
from discern.training.checkpoint import Checkpoints, Position, State
from discern.training.class_mix import ClassMix
from discern.training.head import Head, Layer, Told

Codes = npt.NDArray[np.intp]
# uint8 [N, 3, H, W], columns [N], facts beside the pictures [N, M]
Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Pictures:
    """Files and their classes' columns."""

    files: Sequence[Path]
    truth: Codes


@dataclass(frozen=True)
class Schedule:
    """How long the loop runs: planned once, kept for a resumed run."""

    epochs: int
    seconds: float | None  # the loop stops at the step after which this would be exceeded


class Loop:
    """A network in training, with its optimizer and moving average."""

    def __init__(
        self,
        network: Network,
        backbone: Backbone,
        config: FinetuneConfig,
        device: torch.device,
        seed: int,
        mix: ClassMix,
    ) -> None:
        self.config, self.device, self.seed, self.mix = config, device, seed, mix
        if config.unfreeze is not None:
            freeze_stages(network, config.unfreeze)
        self.network = network.to(device, memory_format=torch.channels_last)
        self.ema = ModelEmaV3(self.network, decay=config.ema_decay, use_warmup=True)
        self.optimizer = create_optimizer_v2(
            self.network,
            "adamw",
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            layer_decay=config.layer_decay,
        )
        self.amp = _autocast(device)
        mean, std = torch.tensor(backbone.mean), torch.tensor(backbone.std)
        self.scale = (1 / (255 * std)).view(1, 3, 1, 1).to(device)
        self.shift = (-mean / std).view(1, 3, 1, 1).to(device)
        weighted = config.class_weights == "balanced"
        self.class_weights = _floats(mix.weights, device) if weighted else None
        self.to_trained = _floats(-mix.shift, device)  # from logits asked for to those trained

    def step(self, batch: Batch, step: int, total: int) -> float:
        """One optimizer step on a batch; the loss."""
        self._set_learning_rate(step, total)
        images, truth, facts = batch
        x, truth, facts = self._pixels(images), truth.to(self.device), facts.to(self.device)
        share = self._mixup_share(step)
        if share < 1:
            x, facts = (share * part + (1 - share) * part.flip(0) for part in (x, facts))
        with self.amp():
            logits = classified(self.network, x, facts)
        loss = share * self._loss(logits, truth) + (1 - share) * self._loss(logits, truth.flip(0))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        self.ema.update(self.network, step)
        return float(loss.detach())

    def _loss(self, logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(
            logits.float() + self.to_trained,
            truth,
            self.class_weights,
            label_smoothing=self.config.label_smoothing,
        )

    def _mixup_share(self, step: int) -> float:
        alpha = self.config.mixup
        return float(np.random.default_rng((self.seed, step)).beta(alpha, alpha)) if alpha else 1.0

    def _pixels(self, images: torch.Tensor) -> torch.Tensor:
        x = images.to(self.device, non_blocking=True).float()
        return (x * self.scale + self.shift).to(memory_format=torch.channels_last)

    def _set_learning_rate(self, step: int, total: int) -> None:
        """Linear warm-up, then a cosine to zero; deeper layers by their own scale."""
        warmup = max(1, round(total * self.config.warmup))
        done = (step - warmup) / max(1, total - warmup)
        factor = (step + 1) / warmup if step < warmup else 0.5 * (1 + math.cos(math.pi * done))
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * group.get("lr_scale", 1.0) * factor

    @torch.inference_mode()
    def evaluate(self, pictures: EvaluatedPictures) -> tuple[float, float]:
        """Log loss, in the mix of classes that answers are for, and accuracy; of the average."""
        self.ema.module.eval()
        counted = self.mix.judged(pictures.truth, np.ones(len(pictures)))
        weights = iter(torch.split(torch.from_numpy(counted).float(), self.config.batch_size))
        losses, hits = 0.0, 0
        for images, truth, facts in _read(evaluation_batches(pictures, self.config.batch_size)):
            with self.amp():
                x, facts = self._pixels(images), facts.to(self.device)
                logits = classified(self.ema.module, x, facts).float().cpu()
            losses += float(F.cross_entropy(logits, truth, reduction="none") @ next(weights))
            hits += int((logits.argmax(1) == truth).sum())
        return losses / len(pictures), hits / len(pictures)

    def state(self) -> State:
        """Everything that the next epoch depends on, as named tensors."""
        state = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        state |= {f"ema.{k}": v for k, v in self.ema.module.state_dict().items()}
        for i, values in self.optimizer.state_dict()["state"].items():
            state |= {f"optimizer.{i}.{k}": torch.as_tensor(v) for k, v in values.items()}
        return state

    def restore(self, state: State) -> None:
        self.network.load_state_dict(_under("network.", state))
        self.ema.module.load_state_dict(_under("ema.", state))
        slots: dict[int, State] = {}
        for key, value in _under("optimizer.", state).items():
            i, name = key.split(".", 1)
            slots.setdefault(int(i), {})[name] = value
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": slots})


def freeze_stages(network: Network, last: int) -> None:
    """Keep the weights of all but the last stages, as timm groups them; the classifier learns.

    Running statistics of batch norms go on following the pictures.
    """
    stages = group_parameters(network, network.group_matcher(coarse=True), reverse=True)
    head = max(stages.values())
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(stages[name] >= head - last)


def classified(network: Network, x: torch.Tensor, facts: torch.Tensor) -> torch.Tensor:
    """Logits [N, C] of prepared pictures, with the facts beside them [N, M] in the classifier."""
    if not facts.shape[1]:
        logits: torch.Tensor = network(x)
        return logits
    embedding = network.forward_head(network.forward_features(x), pre_logits=True)
    joined = torch.cat([embedding, facts.to(embedding.dtype)], dim=1)
    return network.get_classifier()(joined)  # type: ignore[no-any-return]


def set_classifier(network: Network, classes: int, head: Head | None, facts: int = 0) -> None:
    """Give a timm network a classifier, started from a frozen head if there is one.

    Its last `facts` inputs are the encoded facts beside the picture.
    """
    network.reset_classifier(classes)
    if facts:
        _widen_classifier(network, facts)
    linear = network.get_classifier()
    if not isinstance(linear, torch.nn.Linear):
        raise TrainingError(
            f"{type(network).__name__} has no single linear classifier and cannot be fine-tuned. "
            "Use --mode frozen, or another backbone."
        )
    with torch.no_grad():
        if head is not None:
            (layer,) = head.layers
            linear.weight.copy_(torch.from_numpy(layer.weight.T.copy()))
            linear.bias.copy_(torch.from_numpy(layer.bias))


def _widen_classifier(network: Network, facts: int) -> None:
    name = network.pretrained_cfg["classifier"]
    narrow = network.get_classifier()
    if not isinstance(name, str) or not isinstance(narrow, torch.nn.Linear):
        return  # `set_classifier` says so
    parent = network.get_submodule(name.rpartition(".")[0])
    wide = torch.nn.Linear(narrow.in_features + facts, narrow.out_features)
    setattr(parent, name.rpartition(".")[2], wide)


def take_classifier(network: Network, facts: int = 0) -> Head:
    """Remove the classifier, as a head; the network then gives embeddings."""
    linear = network.get_classifier()
    layer = Layer(
        linear.weight.detach().float().cpu().numpy().T.copy(),
        linear.bias.detach().float().cpu().numpy().copy(),
    )
    head = Head((layer,), power=False, metadata=facts)
    network.reset_classifier(0)
    return head


def run_loop(
    loop: Loop,
    training: TrainingPictures,
    selection: EvaluatedPictures,
    schedule: Schedule,
    checkpoints: Checkpoints,
    progress: Progress,
    told: Told = lambda _epoch, _loss: None,
) -> Position:
    """Train to the end of the schedule, or until the selection loss stops falling.

    Goes on from the last finished epoch if there is a checkpoint. The best weights by
    selection loss, the start included, are then in `checkpoints.best()`. `told` hears of each
    epoch and the best loss by then, and may raise.
    """
    position = _resume(loop, checkpoints)
    if position is None:
        loss, accuracy = loop.evaluate(selection)
        position = Position(best_loss=loss, history=[{"loss": loss, "accuracy": accuracy}])
        checkpoints.save(position, loop.state(), loop.ema.module.state_dict())
    while position.epoch < schedule.epochs and not _stale(position, loop.config):
        started = time.monotonic()
        finished = _run_epoch(loop, training, position, schedule, progress)
        loss, accuracy = loop.evaluate(selection)
        better = loss < position.best_loss
        position.epoch = position.epoch + 1 if finished else schedule.epochs
        position.seconds += time.monotonic() - started
        position.history.append({"loss": loss, "accuracy": accuracy})
        if better:
            position.best_loss, position.best_epoch = loss, position.epoch
        best = loop.ema.module.state_dict() if better else None
        checkpoints.save(position, loop.state(), best)
        progress.say(
            f"  epoch {position.epoch} of {schedule.epochs}: "
            f"accuracy {accuracy:.1%}, log loss {loss:.3f}{' (best)' if better else ''}"
        )
        told(position.epoch, position.best_loss)
    return position


def _resume(loop: Loop, checkpoints: Checkpoints) -> Position | None:
    saved = checkpoints.load()
    if saved is None:
        return None
    position, state = saved
    loop.restore(state)
    return position


def _stale(position: Position, config: FinetuneConfig) -> bool:
    return position.epoch - position.best_epoch >= config.patience


def _run_epoch(
    loop: Loop,
    training: TrainingPictures,
    position: Position,
    schedule: Schedule,
    progress: Progress,
) -> bool:
    """One epoch; False if the time ran out within it."""
    torch.manual_seed(hash((loop.seed, position.epoch)) % 2**63)  # for dropout
    loop.network.train()
    batches = training_batches(training, position.epoch, loop.config.batch_size)
    first, total = position.epoch * len(batches), schedule.epochs * len(batches)
    deadline = time.monotonic() + (schedule.seconds or math.inf) - position.seconds
    name = f"Epoch {position.epoch + 1} of {schedule.epochs}"
    with progress.stage(name, len(training)) as advance:
        for i, batch in enumerate(_read(batches)):
            loss = loop.step(batch, first + i, total)
            if not math.isfinite(loss):
                raise TrainingError(
                    f"Training diverged in epoch {position.epoch + 1}. "
                    "Lower the learning rate (finetune.learning_rate in --config)."
                )
            advance(len(batch[1]))
            if time.monotonic() > deadline:
                return False
    return True


def _read(batches: Iterable[Batch]) -> Iterator[Batch]:
    """The batches; a picture that became unreadable since training began is a DatasetError."""
    try:
        yield from batches
    except PictureError as exc:  # a worker's error carries the worker's traceback as its text
        reason = str(exc).strip().splitlines()[-1]
        raise DatasetError(f"A picture changed during training: {reason}.") from exc


def _under(prefix: str, state: State) -> State:
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def _floats(values: npt.NDArray[np.floating[Any]], device: torch.device) -> torch.Tensor:
    return torch.from_numpy(values).float().to(device)


def pick_device(name: str) -> torch.device:
    """The device by name; `auto` is CUDA where there is one."""
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise TrainingError("No CUDA device is available to torch. Use --device cpu.")
    return torch.device("cuda" if available and name in ("auto", "cuda") else "cpu")


def _autocast(device: torch.device) -> Callable[[], AbstractContextManager[None]]:
    """bf16 where the hardware computes in it, else plain f32."""
    if device.type == "cuda":
        enabled = torch.cuda.is_bf16_supported()
    else:
        enabled = bool(torch.cpu.get_capabilities().get("avx512_bf16"))
    return lambda: torch.autocast(device.type, torch.bfloat16, enabled=enabled)


def measured_rate(loop: Loop, training: TrainingPictures, steps: int = 4) -> float:
    """Pictures a second that the loop trains at, from a few steps that are then undone."""
    before = {k: v.clone() for k, v in loop.state().items()}
    done, started = 0, time.monotonic()
    loop.network.train()
    for i, batch in enumerate(training_batches(training, 0, loop.config.batch_size)):
        if i == 1:  # the first step also starts the workers and plans the kernels
            done, started = 0, time.monotonic()
        loop.step(batch, 0, 1)
        done += len(batch[1])
        if i == steps:
            break
    rate = done / max(time.monotonic() - started, 1e-6)
    loop.restore(before)
    loop.optimizer.state.clear()
    return rate
