"""The linear head: against scikit-learn, with few rows, copies, groups; and as a graph."""

import warnings
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from discern.config import HeadConfig
from discern.errors import TrainingError
from discern.model.calibration import log_loss, softmax
from discern.training.backbones import Backbone
from discern.training.graph import attach_head
from discern.training.head import FittedHead, Head, Rows, _folds, fit_head

DEFAULTS = HeadConfig()


def rows(n: int = 150, classes: int = 3, seed: int = 0, spread: float = 4.0) -> Rows:
    """Blobs that overlap a little, each row a picture of its own."""
    x, y = make_blobs(n, 8, centers=classes, cluster_std=spread, random_state=seed)
    return made(x, y)


def made(x: np.ndarray, y: np.ndarray) -> Rows:
    return Rows(x.astype(np.float32), y, np.ones(len(y), np.float32), np.arange(len(y)))


def fit(data: Rows, classes: int = 3, config: HeadConfig = DEFAULTS, seed: int = 0) -> FittedHead:
    return fit_head(data, classes, config, seed)


def test_it_is_sklearns_logistic_regression() -> None:
    data = rows()
    found = fit(data, config=HeadConfig(c=(0.1,)))
    x = StandardScaler().fit_transform(data.embeddings)
    expected = LogisticRegression(C=0.1).fit(x, data.truth).predict_proba(x)
    assert np.abs(softmax(found.head.logits(data.embeddings)) - expected).max() < 5e-3


def test_two_classes() -> None:
    data = rows(classes=2)
    found = fit(data, 2, HeadConfig(c=(0.1,)))
    x = StandardScaler().fit_transform(data.embeddings)
    expected = LogisticRegression(C=0.1).fit(x, data.truth).predict_proba(x)
    assert np.abs(softmax(found.head.logits(data.embeddings)) - expected).max() < 5e-3


def test_the_best_c_is_taken_and_the_seed_decides_all() -> None:
    data = rows()
    one, two, other = fit(data), fit(data), fit(data, seed=1)
    assert one.c == min(one.losses, key=lambda c: one.losses[c])
    assert np.array_equal(one.head.weight, two.head.weight)
    assert one.temperature == two.temperature != other.temperature


def test_the_temperature_mends_what_it_can() -> None:
    data, fresh = rows(300, seed=3, spread=8), rows(3000, seed=3, spread=8)
    found = fit(data, config=HeadConfig(c=(30.0,)))  # overfitted: too sure
    logits = found.head.logits(fresh.embeddings)
    assert found.temperature > 1
    assert log_loss(logits, fresh.truth, found.temperature) < log_loss(logits, fresh.truth)


def test_counts_are_copies() -> None:
    data = rows(60)
    counts = 1 + np.arange(60) % 3
    weighted = replace(data, weights=counts.astype(np.float32))
    repeated = made(np.repeat(data.embeddings, counts, axis=0), np.repeat(data.truth, counts))
    repeated = replace(repeated, groups=np.repeat(data.groups, counts))
    config = HeadConfig(c=(0.03,))
    a, b = fit(weighted, config=config), fit(repeated, config=config)
    p, q = (softmax(f.head.logits(data.embeddings)) for f in (a, b))
    # Standardising weighs a picture once, however many copies there are.
    assert np.abs(p - q).max() < 0.03


def test_permuted_labels_are_chance() -> None:
    data = rows(300)
    random = np.random.default_rng(0).permutation(data.truth)
    found = fit(replace(data, truth=random))
    assert min(found.losses.values()) > 0.97 * np.log(3)
    assert found.c == min(HeadConfig().c)


def test_balanced_weights_help_the_small_class() -> None:
    data = rows(400, spread=8)
    few = np.flatnonzero((data.truth != 2) | (np.arange(400) % 20 == 0))
    uneven = Rows(data.embeddings[few], data.truth[few], data.weights[few], data.groups[few])
    plain, even = fit(uneven), fit(uneven, config=HeadConfig(class_weights="balanced"))
    answers = [f.head.logits(data.embeddings).argmax(1) for f in (plain, even)]
    recalls = [(a[data.truth == 2] == 2).mean() for a in answers]
    assert recalls[1] > recalls[0]


def test_groups_stay_in_one_fold() -> None:
    data = replace(rows(90), groups=np.arange(90) // 4)
    for fit_rows, held in _folds(data, 5, 0):
        assert not set(data.groups[fit_rows]) & set(data.groups[held])


def test_a_class_of_one_picture_does_not_flatten_the_others() -> None:
    data = rows(120, spread=1.0)
    lone = np.flatnonzero(data.truth == 2)[1:]
    keep = np.setdiff1d(np.arange(120), lone)
    few = Rows(data.embeddings[keep], data.truth[keep], data.weights[keep], data.groups[keep])
    found = fit(few)
    assert found.temperature < 1.5, "the class that no fold can answer takes no part"
    assert (found.head.logits(few.embeddings).argmax(1) == few.truth).all()


def test_classes_of_one_picture_each() -> None:
    data = made(np.eye(3, 8), np.arange(3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = fit(data)
    assert found.losses == {}
    assert found.temperature == 1
    assert (found.head.logits(data.embeddings).argmax(1) == data.truth).all()


def test_classes_of_one_group_each() -> None:
    data = rows(60)
    found = fit(replace(data, groups=data.truth))
    assert found.losses == {}
    assert (found.head.logits(data.embeddings).argmax(1) == data.truth).mean() > 0.8


def test_fewer_groups_than_folds() -> None:
    data = rows(60)
    found = fit(replace(data, groups=data.truth * 2 + np.arange(60) % 2))
    assert np.isfinite(list(found.losses.values())).all()
    assert found.losses


def test_one_class_only() -> None:
    data = rows(20)
    with pytest.raises(TrainingError, match="Only one class"):
        fit(replace(data, truth=np.zeros(20, np.intp)))


@pytest.mark.parametrize("power", [False, True])
def test_the_graph_answers_as_the_head_does(backbone: Backbone, power: bool) -> None:
    rng = np.random.default_rng(0)
    head = Head(
        rng.normal(0, 1, (backbone.embedding_size, 3)).astype(np.float32),
        rng.normal(0, 1, 3).astype(np.float32),
        power,
    )
    images = rng.integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    session = onnxruntime.InferenceSession(attach_head(backbone.graph, head, temperature=1.7))
    p, embedding = session.run(["probabilities", "embedding"], {"images": images})
    assert np.abs(softmax(head.logits(embedding), 1.7) - p).max() < 1e-5
