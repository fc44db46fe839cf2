"""What an epoch shows of each class, and which mix of classes the answers are then for."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from discern.config import FinetuneConfig, HeadConfig, TrainConfig
from discern.data import Dataset, load_dataset, split_dataset
from discern.errors import ConfigError
from discern.model.calibration import Calibration, softmax
from discern.progress import SILENT
from discern.training import train
from discern.training.augment import EvaluatedPictures
from discern.training.backbone_export import build_network
from discern.training.backbones import Backbone
from discern.training.class_mix import ClassMix, class_mix, moved
from discern.training.finetune import Loop, set_classifier
from discern.training.frozen import train_frozen
from discern.training.head import Head, Layer
from discern.training.outcome import frozen_roles
from discern.training.sampling import epoch_order, quotas
from discern.training.sensible import require_sensible

Photos = Callable[..., Path]
UNEVEN = {"blue": 24, "green": 8, "red": 6}

counts_of_classes = st.lists(st.integers(1, 40), min_size=1, max_size=6)
samplings = st.sampled_from(["natural", "balanced", "square-root"])


def truth_of(counts: list[int], seed: int = 0) -> np.ndarray:
    truth = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(seed).permutation(truth)


@given(counts_of_classes, samplings)
def test_quotas_share_out_an_epoch(counts: list[int], sampling: Any) -> None:
    drawn = quotas(np.array(counts), sampling)
    assert drawn.sum() == sum(counts)
    assert drawn[np.argmin(counts)] >= min(counts), "the rarest class is shown at least once each"
    order = np.argsort(counts, kind="stable")
    if sampling == "natural":
        assert drawn.tolist() == counts
    elif sampling == "balanced":
        assert drawn.max() - drawn.min() <= 1
    else:
        assert all(b >= a - 1 for a, b in pairwise(drawn[order].tolist()))


def test_square_root_lies_between() -> None:
    counts = np.array([100, 4])
    assert quotas(counts, "square-root").tolist() == [87, 17], "as 10 to 2"


def test_a_class_without_pictures_is_not_drawn() -> None:
    assert quotas(np.array([5, 0, 3]), "balanced").tolist() == [4, 0, 4]


@given(counts_of_classes, samplings, st.integers(0, 5), st.integers(0, 99))
def test_an_epoch_is_as_many_pictures_as_there_are(
    counts: list[int], sampling: Any, epoch: int, seed: int
) -> None:
    truth = truth_of(counts)
    order = epoch_order(truth, sampling, epoch, seed)
    assert len(list(order)) == len(order) == len(truth)
    shown = np.bincount(truth[order.positions], minlength=len(counts))
    assert shown.tolist() == quotas(np.array(counts), sampling).tolist()
    again = epoch_order(truth, sampling, epoch, seed)
    assert list(again) == list(order), "a resumed run sees the same"


@given(counts_of_classes, samplings, st.integers(1, 5))
def test_no_picture_of_a_class_is_favoured(counts: list[int], sampling: Any, epochs: int) -> None:
    truth = truth_of(counts)
    shown = [pair for e in range(epochs) for pair in epoch_order(truth, sampling, e, 1)]
    assert len(set(shown)) == len(shown), "no form of a picture is shown twice"
    times = Counter(i for _, i in shown)
    for k in range(len(counts)):
        own = [times[i] for i in np.flatnonzero(truth == k).tolist()]
        assert max(own) - min(own) <= 1
    for i, n in times.items():
        assert sorted(showing for showing, j in shown if j == i) == list(range(n))


def test_epochs_and_seeds_differ() -> None:
    truth = truth_of([30, 3])
    for sampling in ("natural", "balanced"):
        orders = [list(epoch_order(truth, sampling, e, s)) for e, s in ((0, 0), (1, 0), (0, 1))]
        assert orders[0] != orders[1]
        assert [i for _, i in orders[0]] != [i for _, i in orders[2]]


@given(counts_of_classes, samplings, st.sampled_from(["none", "balanced"]), st.floats(0, 2))
def test_a_mix_is_of_shares(counts: list[int], sampling: Any, weights: Any, tau: float) -> None:
    mix = class_mix(truth_of(counts), len(counts), weights, sampling, tau)
    for shares in (mix.natural, mix.drawn, mix.trained, mix.answered):
        assert shares.sum() == pytest.approx(1)
        assert (shares > 0).all()
    assert mix.weights @ mix.drawn == pytest.approx(1)
    if tau == 1 or weights == "balanced":
        assert mix.answered == pytest.approx(np.full(len(counts), 1 / len(counts)))
    if tau == 0:
        assert np.abs(mix.shift).max() < 1e-12


def test_corrections_do_not_add_up() -> None:
    truth = truth_of([30, 3])
    for mix in (class_mix(truth, 2, "balanced", tau=1.0), class_mix(truth, 2, "none", "balanced")):
        assert np.abs(mix.shift).max() < 0.1
        assert mix.answered == pytest.approx([0.5, 0.5], abs=0.02)


@given(st.integers(0, 10_000), st.integers(2, 6))
def test_moved_answers_are_those_of_bayes(seed: int, classes: int) -> None:
    """From the posterior under one prior to the posterior under another, exactly."""
    rng = np.random.default_rng(seed)
    likelihood = rng.uniform(0.01, 1, (5, classes))
    source, target = rng.dirichlet(np.full(classes, 2), 2) + 1e-3
    source, target = source / source.sum(), target / target.sum()
    head = Head((Layer(np.eye(classes, dtype=np.float32), np.log(source).astype("f4")),), False)
    found = softmax(moved(head, source, target).logits(np.log(likelihood).astype(np.float32)))
    expected = likelihood * target / (likelihood @ target)[:, None]
    assert np.abs(found - expected).max() < 1e-4


@given(counts_of_classes, st.floats(0.1, 1.5), st.integers(0, 99))
def test_held_out_pictures_count_by_the_mix(counts: list[int], tau: float, seed: int) -> None:
    truth = truth_of(counts)
    mix = class_mix(truth, len(counts), "none", tau=tau)
    base = np.random.default_rng(seed).uniform(0.5, 2, len(truth))
    judged = mix.judged(truth, base)
    if np.allclose(mix.answered, mix.natural):
        assert np.array_equal(judged, base)
        return
    shares = np.bincount(truth, judged, len(counts)) / judged.sum()
    assert shares == pytest.approx(mix.answered)
    assert judged.sum() == pytest.approx(base.sum())


def test_where_nothing_is_asked_for_nothing_is_weighted() -> None:
    """Even where the held-out pictures' own mix is another than that of training."""
    mix = class_mix(truth_of([30, 3]), 2, "none")
    base = np.ones(20)
    assert np.array_equal(mix.judged(truth_of([10, 10]), base), base)


@pytest.fixture
def uneven(photos: Photos) -> Dataset:
    config = TrainConfig()
    return split_dataset(load_dataset(photos(UNEVEN)), config.split)


def test_a_frozen_head_is_adjusted(
    uneven: Dataset, backbone: Backbone, config: TrainConfig
) -> None:
    def outcome(tau: float, **head: Any):  # type: ignore[no-untyped-def]
        changed = replace(config, logit_adjustment=tau, head=HeadConfig(**head))
        return train_frozen(frozen_roles(uneven), uneven.classes, backbone, changed, SILENT)

    plain, even = outcome(0.0), outcome(1.0)
    prior = np.bincount(plain.held_out.truth) / len(plain.held_out.truth)
    for before, after in (
        (plain.answered["test"].logits, even.answered["test"].logits),
        (plain.held_out.logits, even.held_out.logits),
    ):
        change = after - before + np.log(prior)
        assert np.abs(change - change[:, :1]).max() < 1e-4, "minus log prior, but for a constant"
    shares = np.bincount(even.held_out.truth, even.held_out.weights)
    assert shares == pytest.approx(np.full(3, shares.sum() / 3), rel=1e-4)
    assert np.array_equal(plain.held_out.weights, np.ones_like(plain.held_out.weights))
    weighted = outcome(0.0, class_weights="balanced").held_out
    shares = np.bincount(weighted.truth, weighted.weights)
    assert shares == pytest.approx(np.full(3, shares.sum() / 3), rel=1e-4)


def loop(backbone: Backbone, mix: ClassMix, **changed: Any) -> Loop:
    """A network that answers zero for every class, in the loop."""
    network = build_network(backbone, pretrained=False)
    set_classifier(network, 3, None)
    with torch.no_grad():
        for values in network.get_classifier().parameters():
            values.zero_()
    config = FinetuneConfig(label_smoothing=0.0, layer_decay=1.0, batch_size=2, **changed)
    return Loop(network, backbone, config, torch.device("cpu"), 0, mix)


def test_the_loss_sees_the_prior_and_the_weights(backbone: Backbone) -> None:
    truth = truth_of([8, 3, 1])
    prior = np.array([8, 3, 1]) / 12
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    some = torch.tensor([0, 0, 1, 2])
    batch = images, some, torch.zeros(4, 0)
    adjusted = loop(backbone, class_mix(truth, 3, "none", tau=1.0)).step(batch, 0, 1)
    assert adjusted == pytest.approx(-np.log(prior)[some].mean(), abs=1e-5)
    mix = class_mix(truth, 3, "balanced", tau=1.0)
    plain = loop(backbone, mix, class_weights="balanced").step(batch, 0, 1)
    assert plain == pytest.approx(np.log(3), abs=1e-5), "weights have made the classes alike"


def test_the_best_epoch_is_chosen_in_the_mix(backbone: Backbone, photos: Photos) -> None:
    paths = sorted(photos({"blue": 4, "green": 1, "red": 1}).glob("*/*.png"))
    truth = np.array([0, 0, 0, 0, 1, 2])
    pictures = EvaluatedPictures(paths, truth, backbone.preprocess)
    bias = np.array([2.0, 0.0, 0.0])

    def loss(mix: ClassMix) -> float:
        made = loop(backbone, mix)
        with torch.no_grad():
            made.ema.module.get_classifier().bias.copy_(torch.from_numpy(bias))
        return made.evaluate(pictures)[0]

    each = -np.log(softmax(bias[None])[0])
    assert loss(class_mix(truth, 3, "none")) == pytest.approx(each[truth].mean(), abs=1e-5)
    assert loss(class_mix(truth, 3, "none", tau=1.0)) == pytest.approx(each.mean(), abs=1e-5)


def test_fine_tuning_for_even_classes(photos: Photos, config: TrainConfig, tmp_path: Path) -> None:
    loop = replace(config.finetune, sampling="square-root", class_weights="balanced", epochs=1)
    settings = replace(config, mode="finetune", finetune=loop, logit_adjustment=0.5)
    model = train(load_dataset(photos(UNEVEN)), tmp_path / "model", settings)
    assert model.info.metrics["test"]["accuracy"]["value"] > 0.6
    assert model.info.training["config"]["finetune"]["sampling"] == "square-root"


def test_no_shift_is_no_change() -> None:
    head = Head((Layer(np.ones((2, 2), np.float32), np.array([0.1, 0.3], np.float32)),), False)
    same = moved(head, np.array([0.3, 0.7]), np.array([0.3, 0.7]))
    assert np.array_equal(same.layers[0].bias, head.layers[0].bias)
    calibration = Calibration("vector", np.ones(2), np.array([0.0, np.log(2)]))
    twice = moved(head, np.array([0.5, 0.5]), np.array([1 / 3, 2 / 3])).logits(
        np.eye(2, dtype="f4")
    )
    assert softmax(twice) == pytest.approx(softmax(calibration.apply(head.logits(np.eye(2)))))


def test_a_negative_adjustment_is_refused() -> None:
    with pytest.raises(ConfigError, match="logit_adjustment is -1"):
        require_sensible(TrainConfig(logit_adjustment=-1.0))
