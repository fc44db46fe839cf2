"""A grid of pictures as they are evaluated and as training sees them, to look at."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from discern.config import FinetuneConfig
from discern.data import Dataset
from discern.errors import DatasetError, PictureError
from discern.images import PreprocessSpec
from discern.runtime.pipeline import to_pixels
from discern.training.augment import Augmentation, TrainingPictures, augmentation

SPEC = PreprocessSpec(224, 224)  # as most backbones take pictures
EPOCHS = 6  # columns of the grid beside the first
CELL, GAP, MARGIN = 160, 6, 20  # pixels
TITLE, HEADING, NAME = 34, 24, 26  # heights of lines of text
BACKGROUND, INK, FAINT = (255, 255, 255), (28, 32, 38), (98, 106, 116)


@dataclass(frozen=True)
class _Row:
    """One picture: its class, then itself as evaluated and as each epoch sees it."""

    label: str
    cells: list[Image.Image]


def preview(dataset: Dataset, config: FinetuneConfig, rows: int, seed: int) -> Image.Image:
    """Pictures of as many classes as there are rows; what training sees is drawn by its own code.

    Taken from train where there are splits. DatasetError if no labelled picture can be decoded.
    """
    part = dataset.select("train") if "train" in dataset.split_names else dataset
    part = part.where(part.labels != "")
    training = TrainingPictures(
        list(part.files()), np.zeros(len(part), np.intp), SPEC, config, seed
    )
    shown = list(islice(_rows(part, training, seed), rows))
    if not shown:
        raise DatasetError(f"{dataset.root}: no labelled picture can be decoded.")
    return _grid(shown, f"{config.augment}: {_in_words(augmentation(config))}")


def _rows(part: Dataset, training: TrainingPictures, seed: int) -> Iterator[_Row]:
    """Pictures by turns from every class; those that cannot be decoded are passed over."""
    for i in _by_turns(part, seed):
        try:
            evaluated = to_pixels(training.files[i], SPEC)
        except PictureError:
            continue
        seen = (training[epoch, i][0].permute(1, 2, 0).numpy() for epoch in range(EPOCHS))
        cells = [_cell(Image.fromarray(pixels)) for pixels in chain([evaluated], seen)]
        yield _Row(str(part.labels[i]), cells)


def _by_turns(part: Dataset, seed: int) -> Iterator[int]:
    """Positions: one of each class in an order that the seed gives, then another of each."""
    chance = np.random.default_rng(seed)
    queues = [chance.permutation(np.flatnonzero(part.labels == name)) for name in part.classes]
    for turn in range(max(map(len, queues), default=0)):
        yield from (int(queue[turn]) for queue in queues if turn < len(queue))


def _cell(image: Image.Image) -> Image.Image:
    return image.resize((CELL, CELL), Image.Resampling.LANCZOS)


def _in_words(change: Augmentation) -> str:
    """What is done to pictures."""
    parts = [f"crops of {change.crop_scale:.0%} of the area or more"] * (change.crop_scale < 1)
    parts += ["mirrored half the time"] * change.flip
    parts += [f"RandAugment {change.randaugment}"] * (change.randaugment > 0)
    parts += [f"a part painted grey {change.erasing:.0%} of the time"] * (change.erasing > 0)
    return ", ".join(parts) or "as evaluated"


def _grid(rows: list[_Row], title: str) -> Image.Image:
    step = CELL + GAP
    width = 2 * MARGIN + (1 + EPOCHS) * step + GAP
    height = 2 * MARGIN + TITLE + HEADING + len(rows) * (NAME + step)
    sheet = Image.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    lefts = [MARGIN + k * step + (2 * GAP if k else 0) for k in range(1 + EPOCHS)]
    _write(draw, (MARGIN, MARGIN), title, 18, INK, width - 2 * MARGIN)
    names = ("as evaluated", *(f"epoch {k + 1}" for k in range(EPOCHS)))
    for left, name in zip(lefts, names, strict=True):
        _write(draw, (left, MARGIN + TITLE), name, 13, FAINT, CELL)
    for r, row in enumerate(rows):
        top = MARGIN + TITLE + HEADING + r * (NAME + step)
        _write(draw, (MARGIN, top + 4), row.label, 14, INK, width - 2 * MARGIN)
        for left, cell in zip(lefts, row.cells, strict=True):
            sheet.paste(cell, (left, top + NAME))
    return sheet


def _write(
    draw: ImageDraw.ImageDraw,
    at: tuple[int, int],
    text: str,
    size: int,
    colour: tuple[int, int, int],
    width: int,
) -> None:
    """One line of text; what does not fit ends in an ellipsis."""
    font = ImageFont.load_default(size)
    text = " ".join(text.split())
    if draw.textlength(text, font) > width:
        while text and draw.textlength(f"{text}…", font) > width:
            text = text[:-1]
        text = f"{text}…"
    draw.text(at, text, colour, font)
