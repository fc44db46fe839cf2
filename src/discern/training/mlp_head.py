"""A head with inner layers: a small network on standardised features, trained with AdamW."""

import math
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F

from discern.config import HeadConfig
from discern.errors import TrainingError
from discern.training.head import Codes, Layer, Matrix

WARMUP = 0.1  # share of the steps


def fit_layers(
    features: Matrix,
    truth: Codes,
    weights: Matrix,
    classes: int,
    config: HeadConfig,
    seed: int,
) -> tuple[Layer, ...]:
    """Layers fitted on features [N, F], their columns [N] and how much each row counts [N].

    The same seed gives the same layers, whatever else runs beside it. TrainingError where the
    loss is no number any more.
    """
    chance = torch.Generator().manual_seed(seed)
    x, y, w = (torch.from_numpy(np.ascontiguousarray(a)) for a in (features, truth, weights))
    network = _Network((x.shape[1], *config.layers, classes), config.dropout, chance)
    optimizer = torch.optim.AdamW(
        network.parameters, lr=config.learning_rate, weight_decay=config.weight_decay
    )
    steps = config.epochs * math.ceil(len(x) / config.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _factor(step, steps))
    for _ in range(config.epochs):
        order = torch.randperm(len(x), generator=chance)
        for batch in torch.split(order, config.batch_size):
            loss = _loss(network, x[batch], y[batch], w[batch], config, chance)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    if not math.isfinite(float(loss.detach())):
        raise TrainingError("The head diverged. Lower head.learning_rate.")
    return network.layers()


class _Network:
    """Dense layers with ReLU and dropout; all its chance comes from one generator."""

    def __init__(self, sizes: tuple[int, ...], dropout: float, chance: torch.Generator) -> None:
        self._dropout, self._chance = dropout, chance
        self._weights = [_initial(i, o, chance) for i, o in pairwise(sizes)]
        self._biases = [torch.zeros(size, requires_grad=True) for size in sizes[1:]]

    @property
    def parameters(self) -> list[torch.Tensor]:
        return [*self._weights, *self._biases]

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Logits [N, C] in training."""
        last = len(self._weights) - 1
        for k, (weight, bias) in enumerate(zip(self._weights, self._biases, strict=True)):
            x = torch.addmm(bias, x, weight)
            if k < last:
                x = self._dropped(F.relu(x))
        return x

    def _dropped(self, x: torch.Tensor) -> torch.Tensor:
        if not self._dropout:
            return x
        kept = torch.rand(x.shape, generator=self._chance) >= self._dropout
        return x * kept / (1 - self._dropout)

    def layers(self) -> tuple[Layer, ...]:
        pairs = zip(self._weights, self._biases, strict=True)
        return tuple(Layer(w.detach().numpy(), b.detach().numpy()) for w, b in pairs)


def _initial(inputs: int, outputs: int, chance: torch.Generator) -> torch.Tensor:
    """He's initialisation (2015), for layers before a ReLU."""
    weight = torch.randn(inputs, outputs, generator=chance) * math.sqrt(2 / inputs)
    return weight.requires_grad_()


def _loss(
    network: _Network,
    x: torch.Tensor,
    y: torch.Tensor,
    w: torch.Tensor,
    config: HeadConfig,
    chance: torch.Generator,
) -> torch.Tensor:
    """Weighted cross-entropy of a batch, mixed with its own reverse where mixup is on."""
    share = _mixup_share(config.mixup, chance)
    logits = network(x if share == 1 else share * x + (1 - share) * x.flip(0))
    smoothing = config.label_smoothing
    loss = share * (w * F.cross_entropy(logits, y, reduction="none", label_smoothing=smoothing))
    if share < 1:
        other = F.cross_entropy(logits, y.flip(0), reduction="none", label_smoothing=smoothing)
        loss = loss + (1 - share) * (w.flip(0) * other)
    return loss.mean()


def _mixup_share(alpha: float, chance: torch.Generator) -> float:
    """A draw from Beta(alpha, alpha) (Zhang et al., mixup, 2018)."""
    if not alpha:
        return 1.0
    seed = int(torch.randint(2**31, (1,), generator=chance))
    return float(np.random.default_rng(seed).beta(alpha, alpha))


def _factor(step: int, steps: int) -> float:
    """Linear warm-up, then a cosine to zero."""
    warmup = max(1, round(steps * WARMUP))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
