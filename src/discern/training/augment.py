"""What fine-tuning sees of its pictures: random crops, flips and RandAugment, the same each run.

The randomness of a picture depends on the seed, the epoch and the picture alone, not on which
worker takes it or what came before: a resumed run sees what an unbroken one would have seen.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision.transforms import v2

from discern.config import FinetuneConfig
from discern.images import PreprocessSpec, decode, read_bytes
from discern.runtime.machine import cores
from discern.runtime.pipeline import to_pixels

Item = tuple[torch.Tensor, int]  # uint8 [3, H, W] and the class's column


class TrainingPictures(Dataset[Item]):
    """Pictures for training, indexed by (epoch, position)."""

    def __init__(
        self,
        files: Sequence[Path],
        truth: npt.NDArray[np.intp],
        spec: PreprocessSpec,
        config: FinetuneConfig,
        seed: int,
    ) -> None:
        self.files = [str(path) for path in files]
        self.truth = truth
        self.seed = seed
        size = training_size(spec, config)
        self.transform = _transform(size, spec, config)
        # The smallest crop still has about as many pixels as it is resized to.
        height, width = (math.ceil(side / math.sqrt(config.crop_scale)) for side in size)
        self.at_least = height, width

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: tuple[int, int]) -> Item:
        epoch, i = index
        torch.manual_seed(hash((self.seed, epoch, i)) % 2**63)
        image = decode(read_bytes(self.files[i]), at_least=self.at_least)
        return self.transform(image), int(self.truth[i])


class EvaluatedPictures(Dataset[Item]):
    """Pictures as they are evaluated: through the one preprocessing."""

    def __init__(
        self, files: Sequence[Path], truth: npt.NDArray[np.intp], spec: PreprocessSpec
    ) -> None:
        self.files = [str(path) for path in files]
        self.truth = truth
        self.spec = spec

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> Item:
        pixels = to_pixels(self.files[i], self.spec)
        return torch.from_numpy(pixels).permute(2, 0, 1), int(self.truth[i])


class _EpochOrder(Sampler[tuple[int, int]]):
    """Every picture once, in an order that the seed and the epoch give."""

    def __init__(self, n: int, epoch: int, seed: int) -> None:
        self.n, self.epoch, self.seed = n, epoch, seed

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.n)
        return ((self.epoch, int(i)) for i in order)


def training_size(spec: PreprocessSpec, config: FinetuneConfig) -> tuple[int, int]:
    """Height and width of training crops.

    Random crops make things look larger than the evaluated centre crop does; training on
    smaller pictures makes up for it, and is faster (Touvron et al., FixRes, 2019).
    """
    return tuple(
        max(32, round(side * config.train_size / 16) * 16) for side in (spec.height, spec.width)
    )  # type: ignore[return-value]


def training_batches(pictures: TrainingPictures, epoch: int, batch_size: int) -> DataLoader[Item]:
    """One epoch's batches; a last one of a single picture is dropped (batch norm needs two)."""
    order = _EpochOrder(len(pictures), epoch, pictures.seed)
    drop = len(pictures) % batch_size == 1
    return DataLoader(
        pictures,
        batch_size,
        sampler=order,
        num_workers=_workers(),
        drop_last=drop,
        pin_memory=_cuda(),
    )


def evaluation_batches(pictures: EvaluatedPictures, batch_size: int) -> DataLoader[Item]:
    """All pictures in order."""
    return DataLoader(pictures, batch_size, num_workers=_workers(), pin_memory=_cuda())


def _workers() -> int:
    return min(cores(), 16)


def _cuda() -> bool:
    return torch.cuda.is_available()


def _transform(size: tuple[int, int], spec: PreprocessSpec, config: FinetuneConfig) -> v2.Compose:
    kernel = v2.InterpolationMode(
        spec.interpolation if spec.interpolation in ("bilinear", "bicubic") else "bilinear"
    )
    steps: list[torch.nn.Module] = [
        v2.RandomResizedCrop(size, scale=(config.crop_scale, 1.0), interpolation=kernel)
    ]
    if config.flip:
        steps.append(v2.RandomHorizontalFlip())
    if config.randaugment:
        steps.append(v2.RandAugment(num_ops=2, magnitude=config.randaugment))
    return v2.Compose([*steps, v2.PILToTensor()])
