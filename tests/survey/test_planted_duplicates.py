"""Copies planted across the splits of a folder of pictures: each is found, and nothing else is."""

import random
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps
from scenes import encoded_as

from discern.data import Dataset, load_dataset
from discern.survey.duplicates import find_duplicates
from discern.survey.survey import survey

Alter = Callable[[Image.Image], Image.Image]
WIDTH, HEIGHT = 160, 120
EACH = 6  # copies of each kind
PICTURES = 60


def photograph(seed: int) -> Image.Image:
    """Colours that vary at every scale, the less the finer it is, as they do in photographs."""
    rng = np.random.default_rng(seed)
    layers = np.zeros((HEIGHT, WIDTH, 3))
    for cells, strength in ((3, 70), (6, 35), (12, 18), (24, 9), (48, 5)):
        grid = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), np.uint8))
        fine = np.asarray(grid.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), float)
        layers += strength * (fine / 127.5 - 1)
    return Image.fromarray((110 + layers).clip(0, 255).astype(np.uint8))


def cropped(at: random.Random) -> Alter:
    """19/20 of both sides, from anywhere."""
    w, h = round(0.95 * WIDTH), round(0.95 * HEIGHT)
    x, y = at.randint(0, WIDTH - w), at.randint(0, HEIGHT - h)
    return lambda picture: picture.crop((x, y, x + w, y + h))


def trimmed(picture: Image.Image) -> Image.Image:
    return ImageOps.crop(picture, round(0.05 * HEIGHT))


def brightness(factor: float) -> Alter:
    return lambda picture: ImageEnhance.Brightness(picture).enhance(factor)


def resized(share: float) -> Alter:
    return lambda picture: picture.resize((round(share * WIDTH), round(share * HEIGHT)))


KINDS: dict[str, tuple[Alter, int]] = {
    "copied": (lambda picture: picture, 90),
    "resized": (resized(0.7), 90),
    "JPEG": (lambda picture: picture, 60),
    "cropped": (cropped(random.Random(5)), 90),
    "trimmed": (trimmed, 90),
    "brighter": (brightness(1.15), 90),
    "darker": (brightness(0.85), 90),
    "mirrored": (ImageOps.mirror, 90),
}


def written(folder: Path, seed: int, alter: Alter | None = None, quality: int = 90) -> Path:
    path = folder / f"{seed:03d}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = photograph(seed)
    data = encoded_as(alter(picture) if alter else picture, "JPEG", quality=quality)
    path.write_bytes(data)
    return path


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """60 pictures in train; 48 of them, altered, in test, in folders named after what was done."""
    root = tmp_path_factory.mktemp("planted")
    for seed in range(PICTURES):
        written(root / "train" / "any", seed)
    for i, (kind, (alter, quality)) in enumerate(KINDS.items()):
        for seed in range(i * EACH, (i + 1) * EACH):
            written(root / "test" / kind, seed, alter, quality)
    return load_dataset(root)


def pairs(dataset: Dataset, *, mirrored: bool) -> dict[str, set[tuple[str, ...]]]:
    """The groups that were found, as file names, by what was done to the copy."""
    found: dict[str, set[tuple[str, ...]]] = {}
    files = list(dataset.files())
    for group in find_duplicates(survey(files), mirrored=mirrored):
        kinds = {str(dataset.labels[i]) for i in group.members} - {"any"}
        found.setdefault(" ".join(sorted(kinds)), set()).add(
            tuple(sorted(files[i].stem for i in group.members))
        )
    return found


def expected(*kinds: str) -> dict[str, set[tuple[str, ...]]]:
    start = {kind: i * EACH for i, kind in enumerate(KINDS)}
    return {
        kind: {(f"{seed:03d}",) * 2 for seed in range(start[kind], start[kind] + EACH)}
        for kind in kinds
    }


def test_all_of_them_and_nothing_else(planted: Dataset) -> None:
    assert pairs(planted, mirrored=False) == expected(*(k for k in KINDS if k != "mirrored"))


def test_mirrored_ones_too_if_asked(planted: Dataset) -> None:
    assert pairs(planted, mirrored=True) == expected(*KINDS)


def test_copies_of_the_same_bytes_are_told_from_near_ones(planted: Dataset) -> None:
    copied, jpeg = (
        {
            group.kind
            for group in find_duplicates(survey(list(planted.files())))
            if kind in planted.labels[list(group.members)]
        }
        for kind in ("copied", "JPEG")
    )
    assert (copied, jpeg) == ({"bytes"}, {"near"})


alterations = st.one_of(
    st.floats(0.7, 1).map(resized),
    st.floats(0.85, 1.15).map(brightness),
    st.integers(0, 99).map(lambda seed: cropped(random.Random(seed))),
)


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10_000), alter=alterations, quality=st.integers(60, 95))
def test_however_much_it_was_altered(seed: int, alter: Alter, quality: int) -> None:
    """Up to what is promised: 70 % of the size, 5 % off the sides, 15 % of the brightness."""
    with TemporaryDirectory() as folder:
        others = [written(Path(folder), seed + i) for i in range(4)]
        copy = written(Path(folder) / "copy", seed, alter, quality)
        found = find_duplicates(survey([*others, copy]))
        assert [group.members for group in found] == [(0, 4)]


@settings(deadline=None, max_examples=10)
@given(seeds=st.sets(st.integers(0, 10_000), min_size=2, max_size=12))
def test_pictures_of_their_own_stay_alone(seeds: set[int]) -> None:
    with TemporaryDirectory() as folder:
        files = [written(Path(folder), seed) for seed in sorted(seeds)]
        assert find_duplicates(survey(files), mirrored=True) == ()
