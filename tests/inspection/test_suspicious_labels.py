"""Labels that are likely wrong, and pictures unlike all others."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from discern.data import Dataset
from discern.data.dataset import STRING, StringArray
from discern.images import PreprocessSpec
from discern.inspection import outliers
from discern.inspection.inspection import LabelFindings
from discern.inspection.labels import (
    OutOfFold,
    confident_joint,
    estimated_errors,
    find_suspects,
    label_findings,
    out_of_fold,
    ranked,
)
from discern.inspection.outliers import find_outliers
from discern.training.backbones import Backbone
from discern.training.embedding import Embeddings

CLASSES = ("cat", "dog", "fish")
EACH, SIZE = 60, 12
TINTS = {"blue": (40, 60, 200), "green": (40, 200, 60), "red": (200, 60, 40)}


def strings(values: Sequence[str]) -> StringArray:
    return np.array(list(values), STRING)


def labelled(labels: Sequence[str], groups: Sequence[str] | None = None) -> Dataset:
    n = len(labels)
    groups = groups or [""] * n
    paths = strings([f"{i}.png" for i in range(n)])
    return Dataset(Path("photos"), paths, strings(labels), strings([""] * n), strings(groups))


def embedded(matrix: npt.ArrayLike, rows: npt.ArrayLike | None = None) -> Embeddings:
    found = np.asarray(matrix, np.float32)
    index = np.arange(len(found)) if rows is None else np.asarray(rows)
    return Embeddings(found, index.astype(np.intp), "f32")


def clusters(each: int = EACH, seed: int = 0) -> tuple[npt.NDArray[np.float32], list[str]]:
    """Embeddings that are never negative, each class with features of its own; and their labels."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(CLASSES)), each)
    matrix = rng.gamma(2, 0.3, (len(truth), SIZE))
    matrix[np.arange(len(truth)), truth] += 4
    return matrix.astype(np.float32), [CLASSES[k] for k in truth]


def flipped(labels: list[str], number: int, seed: int = 0) -> tuple[list[str], list[int]]:
    """The labels with so many of them replaced by another class's, and which."""
    rng = np.random.default_rng(seed)
    at = sorted(rng.choice(len(labels), number, replace=False).tolist())
    changed = list(labels)
    for i in at:
        changed[i] = str(rng.choice([name for name in CLASSES if name != labels[i]]))
    return changed, at


def answers(dataset: Dataset, embeddings: Embeddings) -> OutOfFold:
    found = out_of_fold(dataset, embeddings, seed=0)
    assert found is not None
    return found


def test_flipped_labels_come_first_with_the_label_they_had() -> None:
    matrix, truth = clusters()
    labels, wrong = flipped(truth, 9)
    found = answers(labelled(labels), embedded(matrix))
    assert sorted(found.samples[ranked(found)[:9]].tolist()) == wrong
    suspects = find_suspects(found)
    assert set(wrong) <= {suspect.sample for suspect in suspects}
    assert len(suspects) <= 12
    for suspect in suspects[:9]:
        assert (suspect.given, suspect.suggested) == (labels[suspect.sample], truth[suspect.sample])
        assert suspect.of_given < suspect.probability <= 1


def test_suspects_are_the_head_of_the_ranking() -> None:
    matrix, truth = clusters()
    found = answers(labelled(flipped(truth, 9)[0]), embedded(matrix))
    order = found.samples[ranked(found)].tolist()
    picked = [suspect.sample for suspect in find_suspects(found)]
    assert picked == order[: len(picked)]
    assert sorted(order) == list(range(3 * EACH))


@pytest.mark.parametrize("number", [0, 9, 18])
def test_errors_are_estimated(number: int) -> None:
    matrix, truth = clusters()
    found = answers(labelled(flipped(truth, number)[0]), embedded(matrix))
    assert number * 0.7 <= estimated_errors(found) <= number * 1.3 + 2


def worked() -> OutOfFold:
    """Two classes with thresholds 0.6 and 0.72: the means over the pictures that carry each."""
    of_a = np.array([0.9, 0.8, 0.1, 0.2, 0.24, 0.4])
    probabilities = np.stack([of_a, 1 - of_a], axis=1)
    given_labels = np.array([0, 0, 0, 1, 1, 1])
    return OutOfFold(np.arange(6), given_labels, probabilities, ("a", "b"))


def test_the_confident_joint_worked_by_hand() -> None:
    """Picture 2 is called a and surely b; picture 5 reaches neither threshold."""
    assert confident_joint(worked()).tolist() == [[2, 1], [0, 2]]
    assert estimated_errors(worked()) == 1
    (suspect,) = find_suspects(worked())
    assert (suspect.sample, suspect.given, suspect.suggested) == (2, "a", "b")
    assert (suspect.probability, suspect.of_given) == pytest.approx((0.9, 0.1))


def test_a_class_too_small_to_be_learned_takes_in_no_doubtful_pictures() -> None:
    """Its threshold is near zero, and every picture would reach it."""
    matrix, truth = clusters()
    matrix[::2] = matrix[::2].mean(axis=1, keepdims=True)  # half of them look like nothing
    found = answers(labelled(["rare", *truth[1:-1], "rare"]), embedded(matrix))
    assert not confident_joint(found)[:-1, -1].any()
    assert "rare" not in {suspect.suggested for suspect in find_suspects(found)}


def test_the_joint_is_scaled_to_all_pictures_of_a_label() -> None:
    """Of a's eight pictures half reach a threshold, and one of these four is of b."""
    of_a = np.array([1.0, 1.0, 1.0, 0.0, 0.5, 0.5, 0.5, 0.5, 0.1, 0.1])
    given_labels = np.array([0] * 8 + [1] * 2)
    found = OutOfFold(np.arange(10), given_labels, np.stack([of_a, 1 - of_a], 1), ("a", "b"))
    assert confident_joint(found).tolist() == [[3, 1], [0, 2]]
    assert estimated_errors(found) == 2


@given(st.integers(0, 10_000), st.integers(2, 5))
@settings(deadline=None, max_examples=40)
def test_the_joint_is_the_same_in_any_order(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(classes), 30)
    labels = rng.integers(0, classes, 30)
    order = rng.permutation(30)
    names = tuple("abcde"[:classes])
    one = OutOfFold(np.arange(30), labels, p, names)
    other = OutOfFold(order, labels[order], p[order], names)
    assert np.array_equal(confident_joint(one), confident_joint(other))
    assert find_suspects(one) == find_suspects(other)
    assert (confident_joint(one).sum(1) <= np.bincount(labels, minlength=classes)).all()


def test_every_copy_of_a_wrong_label_is_told() -> None:
    """Copies share a row of embeddings, so that none is judged by a head that knew the other."""
    matrix, labels = clusters()
    matrix[0] = 0
    matrix[0, -1] = 9  # like nothing else: only its copy could tell what it is called
    rows = [*range(len(labels)), 0, 0]
    twice = answers(labelled([*labels, "cat", "fish"]), embedded(matrix, rows))
    assert twice.samples.tolist() == list(range(len(rows)))
    first, copy, renamed = twice.probabilities[[0, -2, -1]]
    assert first.tolist() == copy.tolist()
    assert first == pytest.approx(renamed, abs=1e-6)
    assert twice.of_given[0] < 0.9


def test_near_duplicates_do_not_vouch_for_each_other() -> None:
    """Eight dogs that are called cats, and have something in common that no other picture has."""
    matrix, labels = clusters()
    matrix[:8] = matrix[EACH]
    matrix[:8, -1] = np.linspace(9, 10, 8)
    loose = answers(labelled(labels), embedded(matrix))
    together = labelled(labels, ["same"] * 8 + [""] * (len(labels) - 8))
    grouped = answers(together, embedded(matrix))
    assert (loose.of_given[:8] > 0.5).all()
    assert (grouped.of_given[:8] < 0.1).all()


def test_pictures_without_label_or_embedding_are_left_out() -> None:
    matrix, labels = clusters(20)
    rows = np.arange(len(labels))
    rows[7] = -1
    labels[3] = ""
    found = answers(labelled(labels), embedded(matrix, rows))
    assert found.samples.tolist() == [i for i in range(60) if i not in (3, 7)]


def test_a_class_with_one_picture_is_not_judged() -> None:
    matrix, labels = clusters(20)
    found = answers(labelled(["bird", *labels[1:]]), embedded(matrix))
    assert found.classes == ("bird", *CLASSES)
    assert 0 not in found.samples.tolist()
    assert len(found.samples) == 59


def odd_one_out(alike: int) -> npt.NDArray[np.float32]:
    """Clusters, then so many pictures that are like each other and like nothing else."""
    matrix, _ = clusters()
    foreign = np.zeros((alike, SIZE), np.float32)
    foreign[:, -3:] = np.random.default_rng(1).uniform(4.9, 5, (alike, 3))
    return np.vstack([matrix, foreign])


def outlying(matrix: npt.NDArray[np.float32], groups: Sequence[str] | None = None) -> list[int]:
    names = strings(groups or [""] * len(matrix))
    return [outlier.sample for outlier in find_outliers(embedded(matrix), names, seed=0)]


def test_a_picture_unlike_all_others_is_the_oddest() -> None:
    matrix = odd_one_out(1)
    found = find_outliers(embedded(matrix), strings([""] * len(matrix)), seed=0)
    assert found[0].sample == 3 * EACH
    assert found[0].score > 1.3
    assert len(found) <= 5
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


def test_near_duplicates_are_no_neighbours() -> None:
    matrix, alone = odd_one_out(12), [""] * (3 * EACH)
    many = set(range(3 * EACH, 3 * EACH + 12))
    assert not many & set(outlying(matrix))
    assert many <= set(outlying(matrix, [*alone, *["burst"] * 12]))


def test_copies_are_no_neighbours_and_all_are_told() -> None:
    matrix = odd_one_out(1)
    rows = [-1, *range(len(matrix)), *[len(matrix) - 1] * 11]
    found = find_outliers(embedded(matrix, rows), strings([""] * len(rows)), seed=0)
    first = 3 * EACH + 1
    assert [one.sample for one in found[:12]] == list(range(first, first + 12))


def test_among_a_sample_and_in_chunks_the_same_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix, codes = odd_one_out(1), np.arange(3 * EACH + 1)
    whole = outliers.scores(matrix, codes, seed=0)
    monkeypatch.setattr(outliers, "CHUNK", 7)
    assert outliers.scores(matrix, codes, seed=0) == pytest.approx(whole, rel=1e-5)
    monkeypatch.setattr(outliers, "REFERENCE", 90)
    assert outlying(matrix)[0] == 3 * EACH


@given(st.integers(0, 10_000), st.floats(0.01, 100))
@settings(deadline=None, max_examples=20)
def test_scores_know_no_order_and_no_scale(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    matrix = rng.normal(0, 1, (40, 5)).astype(np.float32)
    codes = rng.integers(0, 30, 40)
    order = rng.permutation(40)
    expected = outliers.scores(matrix, codes, seed=0)
    assert np.median(expected) == pytest.approx(1)
    found = outliers.scores(matrix[order] * np.float32(scale), codes[order], seed=0)
    assert found == pytest.approx(expected[order], rel=1e-3)


@pytest.mark.parametrize(
    ("matrix", "groups"),
    [
        pytest.param(np.empty((0, 4)), [], id="no picture"),
        pytest.param(np.eye(8), [""] * 8, id="too few to say what is usual"),
        pytest.param(np.ones((40, 4)), [""] * 40, id="all the same"),
        pytest.param(np.eye(40), ["one"] * 40, id="all of one group"),
    ],
)
def test_where_nothing_is_odd_nothing_is_told(
    matrix: npt.NDArray[np.float64], groups: list[str]
) -> None:
    assert find_outliers(embedded(matrix), strings(groups), seed=0) == ()


@pytest.fixture
def backbone(make_graph: Callable[..., Path], tmp_path: Path) -> Backbone:
    """A tiny network without its head, as the cache keeps backbones."""
    folder = tmp_path / "backbone"
    folder.mkdir()
    make_graph(head=False).rename(folder / "backbone.onnx")
    ones = (1.0, 1.0, 1.0)
    spec = PreprocessSpec(16, 16)
    return Backbone("tiny", "tiny", {}, "tiny", folder, 8, spec, ones, ones, "none")


@pytest.fixture
def photos(tmp_path: Path) -> Dataset:
    """One broken picture, 90 in three colours (two called wrongly), one odd without a label."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "broken.png").write_bytes(b"no picture")
    paths, labels = ["broken.png"], ["red"]
    rng = np.random.default_rng(0)
    for i in range(90):
        label = list(TINTS)[i % 3]
        pixels = rng.normal(TINTS[label], 25, (20, 20, 3)).clip(0, 255).astype(np.uint8)
        paths.append(f"{i}.png")
        Image.fromarray(pixels).save(tmp_path / "photos" / paths[-1])
        labels.append({3: "red", 4: "blue"}.get(i, label))
    paths.append("odd.png")
    labels.append("")
    odd = rng.integers(0, 2, (20, 20, 1)).astype(np.uint8) * 255
    Image.fromarray(odd.repeat(3, axis=2)).save(tmp_path / "photos" / "odd.png")
    splits = strings(["train"] * 4 + ["test"] * 88)
    none = strings([""] * 92)
    return Dataset(tmp_path / "photos", strings(paths), strings(labels), splits, none)


def findings(dataset: Dataset, backbone: Backbone, group: str = "") -> LabelFindings:
    return label_findings(
        dataset,
        backbone,
        engine="onnxruntime",
        precision="f32",
        device="auto",
        seed=0,
        groups=strings([group] * len(dataset)),
    )


def test_pictures_of_every_split_are_checked(photos: Dataset, backbone: Backbone) -> None:
    found = findings(photos, backbone)
    assert (found.backbone, found.checked, found.remark) == ("tiny", 90, "")
    named = {(one.sample, one.given, one.suggested) for one in found.suspects}
    assert {(4, "red", "blue"), (5, "blue", "green")} <= named
    assert len(named) <= 4
    assert 2 <= found.estimated_errors <= 4
    assert found.outliers[0].sample == 91
    assert 0 not in {outlier.sample for outlier in found.outliers}


@pytest.mark.parametrize(
    ("labels", "remark"),
    [
        (["", "", "", ""], "No labels were checked: no picture that can be decoded has one."),
        (["red", "", "", ""], "No labels were checked: no picture that can be decoded has one."),
        (["red", "blue", "", "blue"], "No labels were checked: all are 'blue'."),
        (["", "blue", "green", "red"], "No labels were checked: no class has two pictures"),
        (
            ["", "blue", "blue", "red", "blue", "green", "green"],
            "1 of 6 labels were not checked: no other picture of their class could be learned.",
        ),
    ],
)
def test_what_could_not_be_checked_is_told(
    photos: Dataset, backbone: Backbone, labels: list[str], remark: str
) -> None:
    few = replace(photos.where(np.arange(len(labels))), labels=strings(labels))
    found = findings(few, backbone)
    assert found.remark.startswith(remark)
    assert found.checked == (5 if len(labels) > 4 else 0)


def test_pictures_that_are_all_nearly_the_same_say_nothing(
    photos: Dataset, backbone: Backbone
) -> None:
    found = findings(photos, backbone, group="burst")
    assert (found.checked, found.suspects, found.outliers) == (0, (), ())
    assert found.remark == "No labels were checked: no class has two pictures that differ."


@pytest.mark.parametrize("pictures", [[], [0]])
def test_without_a_picture_that_can_be_decoded(
    photos: Dataset, backbone: Backbone, pictures: list[int]
) -> None:
    found = findings(photos.where(np.array(pictures, int)), backbone)
    assert (found.checked, found.suspects, found.outliers) == (0, (), ())
    assert found.remark.startswith("No labels were checked")


def test_nothing_of_it_loads_torch() -> None:
    code = (
        "import sys\nimport discern.inspection.labels\n"
        "assert not {'torch', 'timm', 'sklearn', 'scipy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
