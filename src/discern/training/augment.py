"""What fine-tuning sees of its pictures: random crops, flips and RandAugment, the same each run.

The randomness of a picture depends on the seed, on how often it was shown before, and on the
picture alone, not on which worker takes it or what came before: a resumed run sees what an
unbroken one would have seen.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from discern.config import Augment, FinetuneConfig
from discern.images import PreprocessSpec, decode, read_bytes, to_input
from discern.runtime.machine import cores
from discern.runtime.pipeline import to_pixels
from discern.training.sampling import epoch_order

# uint8 [3, H, W], the class's column, and the encoded facts beside the picture [M]
Item = tuple[torch.Tensor, int, torch.Tensor]
FACTS_HIDDEN = 0.5  # share of pictures whose facts are not shown in training
GREY = (124, 116, 104)  # ImageNet's mean


@dataclass(frozen=True)
class Augmentation:
    """How much pictures are changed for training; see `FinetuneConfig` for each."""

    crop_scale: float
    flip: bool
    randaugment: int
    erasing: float
    train_size: float


PRESETS: dict[Augment, Augmentation] = {
    # Each picture as it is evaluated, at its size.
    "none": Augmentation(1.0, False, 0, 0.0, 1.0),
    # What fine-tuning takes by default: for some thousand pictures and a pretrained backbone.
    "light": Augmentation(0.35, True, 5, 0.0, 0.8),
    # The crops, RandAugment and erasing that DeiT (Touvron et al., 2021) is trained with from
    # scratch, as are most of timm's networks: for many epochs.
    "strong": Augmentation(0.08, True, 9, 0.25, 0.8),
}


def augmentation(config: FinetuneConfig) -> Augmentation:
    """The preset, with what is given beside it put over."""
    names = [field.name for field in fields(Augmentation)]
    given = {name: value for name in names if (value := getattr(config, name)) is not None}
    return replace(PRESETS[config.augment], **given)


class TrainingPictures(Dataset[Item]):
    """Pictures for training, indexed by (showing, position): how often shown before, and which."""

    def __init__(
        self,
        files: Sequence[Path],
        truth: npt.NDArray[np.intp],
        spec: PreprocessSpec,
        config: FinetuneConfig,
        seed: int,
        facts: npt.NDArray[np.float32] | None = None,
    ) -> None:
        self.files = [str(path) for path in files]
        self.truth = truth
        self.facts = _or_none(facts, len(truth))
        self.seed = seed
        self.sampling = config.sampling
        self.size = training_size(spec, config)
        change = augmentation(config)
        self.transform = _transform(self.size, spec, change)
        self.at_least = _at_least(self.size, spec, change)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: tuple[int, int]) -> Item:
        showing, i = index
        torch.manual_seed(hash((self.seed, showing, i)) % 2**63)
        image = decode(read_bytes(self.files[i]), at_least=self.at_least)
        pixels, facts = self.transform(image), torch.from_numpy(self.facts[i])
        if len(facts) and torch.rand(()) < FACTS_HIDDEN:
            facts = torch.zeros_like(facts)  # so that it learns to answer without them
        return pixels, int(self.truth[i]), facts


class EvaluatedPictures(Dataset[Item]):
    """Pictures as they are evaluated: through the one preprocessing."""

    def __init__(
        self,
        files: Sequence[Path],
        truth: npt.NDArray[np.intp],
        spec: PreprocessSpec,
        facts: npt.NDArray[np.float32] | None = None,
    ) -> None:
        self.files = [str(path) for path in files]
        self.truth = truth
        self.spec = spec
        self.facts = _or_none(facts, len(truth))

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> Item:
        pixels = torch.from_numpy(to_pixels(self.files[i], self.spec)).permute(2, 0, 1)
        return pixels, int(self.truth[i]), torch.from_numpy(self.facts[i])


def _or_none(facts: npt.NDArray[np.float32] | None, n: int) -> npt.NDArray[np.float32]:
    """Encoded facts beside the pictures [n, M]; M is 0 where there are none."""
    return np.zeros((n, 0), np.float32) if facts is None else facts


def training_size(spec: PreprocessSpec, config: FinetuneConfig) -> tuple[int, int]:
    """Height and width of what is trained on.

    Random crops make things look larger than the evaluated centre crop does; training on
    smaller pictures makes up for it, and is faster (Touvron et al., FixRes, 2019).
    """
    share = augmentation(config).train_size
    if share == 1:
        return spec.height, spec.width
    return tuple(max(32, round(side * share / 16) * 16) for side in (spec.height, spec.width))  # type: ignore[return-value]


def training_batches(pictures: TrainingPictures, epoch: int, batch_size: int) -> DataLoader[Item]:
    """One epoch's batches; a last one of a single picture is dropped (batch norm needs two)."""
    order = epoch_order(pictures.truth, pictures.sampling, epoch, pictures.seed)
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


def _at_least(
    size: tuple[int, int], spec: PreprocessSpec, change: Augmentation
) -> tuple[int, int] | None:
    """Height and width that pictures need be decoded at; None for their own."""
    if change.crop_scale == 1:
        whole = _at_size(spec, size)
        return whole.target if whole.scaled_decode else None
    # The smallest crop still has about as many pixels as it is resized to.
    height, width = (math.ceil(side / math.sqrt(change.crop_scale)) for side in size)
    return height, width


def _transform(size: tuple[int, int], spec: PreprocessSpec, change: Augmentation) -> v2.Compose:
    steps: list[torch.nn.Module] = [_crop(size, spec, change.crop_scale)]
    if change.flip:
        steps.append(v2.RandomHorizontalFlip())
    if change.randaugment:
        steps.append(v2.RandAugment(num_ops=2, magnitude=change.randaugment))
    steps.append(v2.PILToTensor())
    if change.erasing:
        steps.append(v2.RandomErasing(change.erasing, value=GREY))  # Zhong et al., 2020
    return v2.Compose(steps)


def _crop(size: tuple[int, int], spec: PreprocessSpec, smallest: float) -> torch.nn.Module:
    if smallest == 1:
        return _AsEvaluated(_at_size(spec, size))
    kernel = v2.InterpolationMode(
        spec.interpolation if spec.interpolation in ("bilinear", "bicubic") else "bilinear"
    )
    crop: torch.nn.Module = v2.RandomResizedCrop(size, (smallest, 1.0), interpolation=kernel)
    return crop


def _at_size(spec: PreprocessSpec, size: tuple[int, int]) -> PreprocessSpec:
    return replace(spec, height=size[0], width=size[1])


class _AsEvaluated(torch.nn.Module):
    """The one preprocessing, as a step among random ones."""

    def __init__(self, spec: PreprocessSpec) -> None:
        super().__init__()
        self.spec = spec

    def forward(self, image: Image.Image) -> Image.Image:
        return Image.fromarray(to_input(image, self.spec))
