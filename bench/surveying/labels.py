"""Labels flipped at random: how many of them are ranked first, and how many are suspects."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from discern.data import Dataset, load_dataset
from discern.data.dataset import STRING
from discern.inspection.labels import find_suspects, out_of_fold, ranked
from discern.training.backbones import load_backbone
from discern.training.embedding import Embeddings, embed
from material import weights_of
from serving.table import Figure

FLIPPED, FIRST = 0.05, 0.07  # of all labels; of the ranking
SEEDS = 3


def labels(data: Path, backbone: str) -> Sequence[Figure]:
    """For each seed the flipped ones found; embeddings come from the cache where they are there."""
    dataset = load_dataset(data)
    known = load_backbone(backbone, weights=weights_of(backbone))
    embeddings = embed(list(dataset.files()), known)
    return [each for seed in range(SEEDS) for each in _figures(dataset, embeddings, seed)]


def _figures(dataset: Dataset, embeddings: Embeddings, seed: int) -> Iterator[Figure]:
    chance = np.random.default_rng(seed)
    flipped = chance.choice(len(dataset), round(FLIPPED * len(dataset)), replace=False)
    answers = out_of_fold(_with_flipped(dataset, flipped, chance), embeddings, seed)
    assert answers is not None
    order = answers.samples[ranked(answers)]
    first = np.isin(flipped, order[: int(FIRST * len(dataset))])
    suspects = np.array([suspect.sample for suspect in find_suspects(answers)], np.intp)
    yield Figure(f"seed {seed}, {len(flipped)} of {len(dataset)} flipped:")
    yield Figure(f"among the first {FIRST:.0%}", float(first.mean()), target="≥ 0.7")
    yield Figure("suspects", float(len(suspects)))
    yield Figure("… share of them flipped", float(np.isin(suspects, flipped).mean()))
    yield Figure("… share of the flipped", float(np.isin(flipped, suspects).mean()))


def _with_flipped(
    dataset: Dataset, flipped: npt.NDArray[np.intp], chance: np.random.Generator
) -> Dataset:
    """The dataset with these samples' labels changed to other ones."""
    names = np.array(dataset.classes)
    codes = np.searchsorted(names, np.array(dataset.labels.tolist()))
    codes[flipped] += chance.integers(1, len(names), len(flipped))
    return replace(dataset, labels=names[codes % len(names)].astype(STRING))
