"""Views: what they show, that they are cached apart, and that they never judge a head."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discern.config import FinetuneConfig, HeadConfig, TrainConfig
from discern.data import load_dataset, split_dataset
from discern.errors import ConfigError
from discern.images.digest import digest
from discern.progress import SILENT
from discern.runtime.engine import create_engine
from discern.runtime.pipeline import to_pixels
from discern.training.backbones import Backbone
from discern.training.embedding import embed
from discern.training.facts_beside import with_metadata, without_metadata
from discern.training.folds import row_folds
from discern.training.frozen import train_frozen
from discern.training.head import Rows, fit_head
from discern.training.outcome import frozen_roles
from discern.training.sensible import require_sensible
from discern.training.views import SMALLEST_CROP, WHOLE, View, extra_views, with_views

Photos = Callable[..., Path]
MIRRORED, CROP = View("mirrored"), View("crop", 1)


def pixels(seed: int, height: int = 24, width: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_which_views() -> None:
    assert extra_views(1, True) == extra_views(1, False) == ()
    assert extra_views(2, True) == (MIRRORED,)
    assert extra_views(4, True) == (MIRRORED, View("crop", 1), View("crop", 2))
    assert extra_views(3, False) == (View("crop", 1), View("crop", 2)), "left stays left"
    suffixes = [view.suffix for view in (WHOLE, *extra_views(4, True))]
    assert suffixes == ["", "-mirrored", "-crop1", "-crop2"], "what was cached before counts"


@given(st.integers(0, 999))
def test_what_they_show(seed: int) -> None:
    image, name = pixels(seed), digest(bytes([seed % 256]))
    assert np.array_equal(WHOLE.of(image, name), image)
    assert np.array_equal(MIRRORED.of(MIRRORED.of(image, name), name), image)
    assert np.array_equal(CROP.of(image, name), CROP.of(image, name))
    assert not np.array_equal(CROP.of(image, name), View("crop", 2).of(image, name))
    assert not np.array_equal(CROP.of(image, name), CROP.of(image, digest(b"another")))


@given(st.binary(min_size=16, max_size=16), st.integers(1, 9))
def test_crops_keep_most_of_a_picture(name: bytes, number: int) -> None:
    """Of ramps to the right and down: how much is seen, and where it lies."""
    image = np.zeros((100, 200, 3), np.uint8)
    image[:, :, 0] = np.linspace(0, 250, 200)
    image[:, :, 1] = np.linspace(0, 250, 100)[:, None]
    crop = View("crop", number).of(image, name).astype(float)
    assert crop.shape == image.shape
    right = (crop[:, -1, 0] - crop[:, 0, 0]).mean() / 250
    down = (crop[-1, :, 1] - crop[0, :, 1]).mean() / 250
    assert right == pytest.approx(down, abs=0.03), "the proportions stay"
    assert np.sqrt(SMALLEST_CROP) - 0.03 <= right <= 1


def test_a_mirrored_picture_is_embedded_mirrored_and_once(
    backbone: Backbone, photos: Photos, cache: Path
) -> None:
    paths = sorted(photos(3).glob("*/*.png"))
    whole = embed(paths, backbone)
    found = embed(paths, backbone, view=MIRRORED)
    seen = np.stack([to_pixels(path, backbone.preprocess)[:, ::-1] for path in paths])
    expected = create_engine(backbone.graph, "onnxruntime").run(seen)["embedding"]
    assert np.abs(found.matrix[found.rows] - expected).max() < 1e-5
    assert np.array_equal(embed(paths, backbone).matrix, whole.matrix), "its own were not touched"
    segments = sorted((cache / "embeddings").glob("*-mirrored/*"))
    assert len(segments) == 2
    again = embed(paths, backbone, view=MIRRORED)
    assert np.array_equal(again.matrix, found.matrix)
    assert sorted((cache / "embeddings").glob("*-mirrored/*")) == segments


def rows(n: int = 60, classes: int = 3, seed: int = 0) -> Rows:
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % classes
    x = rng.normal(0, 1, (n, 5)) + 2 * np.eye(5)[truth]
    each = np.arange(n)
    weights = rng.uniform(0.5, 2, n).astype(np.float32)
    return Rows(x.astype(np.float32), truth, weights, each // 2, each, each)


@settings(deadline=None)  # the first example imports scikit-learn
@given(st.integers(0, 999), st.integers(1, 3))
def test_forms_of_a_picture_stay_together(seed: int, views: int) -> None:
    own = rows(seed=seed)
    found = with_views(own, [own.embeddings + k for k in range(1, views + 1)])
    assert len(found.truth) == (1 + views) * len(own.truth)
    assert np.array_equal(found.embeddings[:60], own.embeddings)
    assert np.array_equal(found.truth, own.truth[found.origin])
    folds = row_folds(found, 5, seed)
    assert len(folds) == 5
    for fit, held in folds:
        assert not set(found.origin[fit]) & set(found.origin[held])


def test_only_the_picture_itself_is_judged() -> None:
    """Views that are all noise change the head, but not which answers are held out."""
    own = rows()
    noise = np.random.default_rng(1).normal(0, 9, own.embeddings.shape).astype(np.float32)
    held = fit_head(with_views(own, [noise]), 3, HeadConfig(), 0).held_out
    assert held is not None
    assert np.array_equal(held.samples, own.samples)
    assert np.array_equal(held.embeddings, own.embeddings)
    assert np.array_equal(held.weights, own.weights)


def test_views_that_show_nothing_new_change_nothing() -> None:
    own = rows()
    plain = fit_head(own, 3, HeadConfig(c=(0.1,)), 0, power=False)
    same = fit_head(with_views(own, [own.embeddings] * 2), 3, HeadConfig(c=(0.1,)), 0, power=False)
    assert np.abs(plain.head.layers[0].weight - same.head.layers[0].weight).max() < 0.01
    assert plain.held_out is not None
    assert same.held_out is not None
    assert np.abs(plain.held_out.logits - same.held_out.logits).max() < 0.05


def test_views_beside_facts() -> None:
    """A view has its picture's facts; only the forms without facts are asked about those."""
    own = rows(6)
    viewed = with_views(own, [own.embeddings + 1])
    facts = np.tile(np.array([[1.0], [0], [1], [0], [1], [1]], np.float32), (2, 1))
    found = with_metadata(viewed, facts)
    assert len(found.truth) == 12 + 4, "a bare form of each picture of which something is known"
    assert found.bare.tolist() == [12, 13, 14, 15]
    assert np.array_equal(found.embeddings[found.bare], own.embeddings[[0, 2, 4, 5]])
    back = without_metadata(found)
    assert np.array_equal(back.embeddings, viewed.embeddings)
    assert np.array_equal(back.origin, viewed.origin)


def test_a_frozen_head_with_views(
    photos: Photos, backbone: Backbone, config: TrainConfig, cache: Path
) -> None:
    dataset = split_dataset(load_dataset(photos(10)), config.split)
    (dataset.root / "red" / "bad.png").write_bytes(b"no picture")
    dataset = split_dataset(load_dataset(dataset.root), config.split)
    changed = replace(config, head=HeadConfig(views=3), finetune=FinetuneConfig(flip=False))
    found = train_frozen(frozen_roles(dataset), dataset.classes, backbone, changed, SILENT)
    usable = len(dataset.select("train")) - any("bad" in path for path in found.failures)
    assert found.held_out is not None
    assert len(found.held_out.truth) == len(found.known.truth)
    assert usable - 1 <= len(found.known.truth) <= usable
    folders = {path.name.rsplit("-", 1)[1] for path in (cache / "embeddings").iterdir()}
    assert folders == {"f32", "crop1", "crop2"}, "not mirrored"
    crops = embed(list(dataset.files()), backbone, view=CROP)
    assert len(crops.matrix) == len(dataset) - 1


def test_no_view_at_all_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"head\.views is 0"):
        require_sensible(TrainConfig(head=HeadConfig(views=0)))
