"""The head: against scikit-learn, with few rows, copies, groups; and as a graph."""

import warnings
from dataclasses import replace
from itertools import pairwise

import numpy as np
import onnxruntime
import pytest
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from discern.config import HeadConfig
from discern.errors import TrainingError
from discern.model.calibration import Calibration, fit_temperature, log_loss, softmax
from discern.training.backbones import Backbone
from discern.training.facts_beside import with_metadata, without_metadata
from discern.training.folds import row_folds
from discern.training.graph import attach_head
from discern.training.head import FittedHead, Head, Layer, Rows, cross_validate, fit_head

DEFAULTS = HeadConfig()


def rows(n: int = 150, classes: int = 3, seed: int = 0, spread: float = 4.0) -> Rows:
    """Blobs that overlap a little, each row a picture of its own."""
    x, y = make_blobs(n, 8, centers=classes, cluster_std=spread, random_state=seed)
    return made(x, y)


def made(x: np.ndarray, y: np.ndarray) -> Rows:
    each = np.arange(len(y))
    return Rows(x.astype(np.float32), y, np.ones(len(y), np.float32), each, each, each)


def part(data: Rows, keep: np.ndarray) -> Rows:
    """The rows at these positions."""
    found = made(data.embeddings[keep], data.truth[keep])
    return replace(found, weights=data.weights[keep], groups=data.groups[keep])


def temperature(found: FittedHead) -> float:
    assert found.held_out is not None
    return fit_temperature(found.held_out.logits, found.held_out.truth)


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
    assert np.array_equal(one.head.layers[0].weight, two.head.layers[0].weight)
    assert temperature(one) == temperature(two) != temperature(other)


def test_held_out_answers_show_overconfidence() -> None:
    data, fresh = rows(300, seed=3, spread=8), rows(3000, seed=3, spread=8)
    found = fit(data, config=HeadConfig(c=(30.0,)))  # overfitted: too sure
    logits = found.head.logits(fresh.embeddings)
    assert temperature(found) > 1
    assert log_loss(logits, fresh.truth, temperature(found)) < log_loss(logits, fresh.truth)


def test_every_picture_is_held_out_once_and_in_order() -> None:
    data = rows(90)
    held = fit(data).held_out
    assert held is not None
    assert np.array_equal(held.samples, data.samples)
    assert np.array_equal(held.truth, data.truth)
    assert held.embeddings is data.embeddings


def test_forms_of_a_picture_stay_in_its_fold_and_are_not_judged() -> None:
    data = rows(90)
    forms = Rows(
        *(np.concatenate([column, column]) for column in vars(data).values() if column is not None)
    )
    assert all(
        not set(forms.origin[fit_rows]) & set(forms.origin[held])
        for fit_rows, held in row_folds(forms, 5, 0)
    )
    alone, together = (
        fit(data, config=HeadConfig(c=(0.1,))),
        fit(forms, config=HeadConfig(c=(0.1,))),
    )
    assert alone.held_out is not None
    assert together.held_out is not None
    assert np.array_equal(together.held_out.samples, data.samples)
    # A picture that is there twice counts as often as one that is there once.
    assert np.abs(together.held_out.logits - alone.held_out.logits).max() < 0.05


@pytest.mark.parametrize("layers", [(), (16,)])
def test_what_is_known_beside_the_picture_is_used_and_may_be_missing(
    layers: tuple[int, ...],
) -> None:
    rng = np.random.default_rng(0)
    truth = np.arange(300) % 3
    data = made(rng.normal(0, 1, (300, 8)), truth)  # the picture says nothing
    known = with_metadata(data, np.eye(3, dtype=np.float32)[truth])
    found = fit(
        known, config=HeadConfig(c=(0.1,), layers=layers, batch_size=32, learning_rate=1e-2)
    )
    held = found.held_out
    assert held is not None
    assert held.without_metadata is not None
    assert (held.logits.argmax(1) == truth).mean() > 0.95
    assert (held.without_metadata.argmax(1) == truth).mean() < 0.5
    assert log_loss(held.without_metadata, truth) < 1.5, "not sure of what it cannot know"
    assert np.array_equal(without_metadata(known).embeddings, data.embeddings)


@pytest.mark.parametrize("layers", [(16,), (16, 8)])
def test_inner_layers_learn_what_no_line_divides(layers: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (600, 2))
    data = made(np.hstack([x, rng.normal(0, 0.1, (600, 2))]), (x[:, 0] * x[:, 1] > 0).astype(int))
    config = HeadConfig(layers=layers, epochs=30, batch_size=32, learning_rate=1e-2, dropout=0.0)
    straight, bent, again = fit(data, 2), fit(data, 2, config), fit(data, 2, config)
    assert straight.held_out is not None
    assert bent.held_out is not None
    assert (straight.held_out.logits.argmax(1) == data.truth).mean() < 0.65
    assert (bent.held_out.logits.argmax(1) == data.truth).mean() > 0.9
    assert (bent.head.logits(data.embeddings).argmax(1) == data.truth).mean() > 0.9
    assert all(
        np.array_equal(a.weight, b.weight)
        for a, b in zip(bent.head.layers, again.head.layers, strict=True)
    )


def test_mixup_and_dropout_are_the_same_each_time() -> None:
    data, config = rows(60), HeadConfig(layers=(8,), epochs=2, mixup=0.4, dropout=0.5)
    one, two, other = (
        fit(data, config=config),
        fit(data, config=config),
        fit(data, config=config, seed=1),
    )
    weights = [found.head.layers[0].weight for found in (one, two, other)]
    assert np.array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])


def test_a_head_that_diverges_is_an_error() -> None:
    config = HeadConfig(layers=(8,), learning_rate=1e30)
    with pytest.raises(TrainingError, match="diverged"):
        fit(rows(60), config=config)


def test_who_listens_to_the_folds_may_stop_them() -> None:
    heard: list[int] = []

    def told(fold: int, loss: float) -> None:
        assert 0 < loss < 5
        heard.append(fold)
        if fold == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cross_validate(rows(), 3, DEFAULTS, 0, told=told)
    assert heard == [1, 2]


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
    uneven = part(data, few)
    plain, even = fit(uneven), fit(uneven, config=HeadConfig(class_weights="balanced"))
    answers = [f.head.logits(data.embeddings).argmax(1) for f in (plain, even)]
    recalls = [(a[data.truth == 2] == 2).mean() for a in answers]
    assert recalls[1] > recalls[0]


def test_groups_stay_in_one_fold() -> None:
    data = replace(rows(90), groups=np.arange(90) // 4)
    for fit_rows, held in row_folds(data, 5, 0):
        assert not set(data.groups[fit_rows]) & set(data.groups[held])


def test_a_class_of_one_picture_does_not_flatten_the_others() -> None:
    data = rows(120, spread=1.0)
    lone = np.flatnonzero(data.truth == 2)[1:]
    keep = np.setdiff1d(np.arange(120), lone)
    few = part(data, keep)
    found = fit(few)
    assert temperature(found) < 1.5, "the class that no fold can answer takes no part"
    assert (found.head.logits(few.embeddings).argmax(1) == few.truth).all()


def test_classes_of_one_picture_each() -> None:
    data = made(np.eye(3, 8), np.arange(3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = fit(data)
    assert found.losses == {}
    assert found.held_out is None
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
@pytest.mark.parametrize("sizes", [(3,), (6, 3)])
@pytest.mark.parametrize("metadata", [0, 4])
def test_the_graph_answers_as_the_head_does(
    backbone: Backbone, power: bool, sizes: tuple[int, ...], metadata: int
) -> None:
    rng = np.random.default_rng(0)
    widths = (backbone.embedding_size + metadata, *sizes)
    layers = tuple(
        Layer(rng.normal(0, 1, (i, o)).astype(np.float32), rng.normal(0, 1, o).astype(np.float32))
        for i, o in pairwise(widths)
    )
    calibration = Calibration.by_temperature(1.7, 3)
    head = Head(layers, power, metadata)
    inputs = {"images": rng.integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)}
    facts = rng.normal(0, 1, (5, metadata)).astype(np.float32) if metadata else None
    if facts is not None:
        inputs["metadata"] = facts
    session = onnxruntime.InferenceSession(
        attach_head(backbone.graph, head.calibrated(calibration))
    )
    p, embedding = session.run(["probabilities", "embedding"], inputs)
    assert np.abs(softmax(head.logits(embedding, facts), 1.7) - p).max() < 1e-5
