"""Weak slices are found where there are some, and seldom where there are none."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from discern.evaluation.findings import Slice
from discern.evaluation.scored import Scored
from discern.evaluation.slices import score_slices

LABELS = ("cat", "dog")
N = 100
Maker = Callable[..., Scored]


@pytest.fixture
def make_scored(tmp_path: Path) -> Maker:
    """`make_scored(wrong)`: N pictures from dark to bright; those of `wrong` are answered wrong."""

    def make(wrong: range, suffix: str = "png") -> Scored:
        files = []
        for i in range(N):
            truth = LABELS[i % 2]
            file = tmp_path / ("left" if i < 30 else "right") / truth / f"{i}.{suffix}"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8 if i % 4 < 2 else 16, 12), (2 * i, 2 * i, 2 * i)).save(file)
            files.append(file)
        right = np.array([i not in wrong for i in range(N)])
        P = np.eye(2)[[i % 2 if ok else 1 - i % 2 for i, ok in enumerate(right)]]
        return Scored(
            tuple(files), [LABELS[i % 2] for i in range(N)], P, np.zeros((N, 1), np.float32)
        )

    return make


def by_name(slices: tuple[Slice, ...]) -> dict[tuple[str, str], Slice]:
    return {(s.kind, s.name.split(" (")[0]): s for s in slices}


def test_dark_pictures_answered_wrong(make_scored: Maker) -> None:
    slices = score_slices(make_scored(range(15)), LABELS)
    found = by_name(slices)
    dark = found["Brightness", "darkest quarter"]
    assert slices[0] == dark
    assert (dark.n, dark.accuracy.value, dark.rest.value) == (25, 0.4, 1)
    assert dark.worse
    assert dark.p < 1e-6
    assert dark.name == "darkest quarter (mean up to 19 %)"
    assert not found["Brightness", "brightest quarter"].worse
    assert found["Folder", "left"].n == 30
    assert found["Folder", "left"].worse  # the same pictures, seen by where they lie
    assert {name for kind, name in found if kind == "Shape"} == {"portrait", "landscape"}
    assert not any(kind in ("File format", "Sharpness") for kind, _ in found)  # all are alike


def test_what_the_mix_of_classes_would_give(make_scored: Maker) -> None:
    part = make_scored(range(0, N, 2))  # every cat, and no dog
    device = np.array(["a" if i < 40 and i % 4 else "b" for i in range(N)], np.dtypes.StringDType())
    found = by_name(score_slices(replace(part, metadata={"device": device}), LABELS))
    assert found["device", "a"].expected == pytest.approx(20 / 30)  # its share of dogs
    assert found["device", "a"].accuracy.value == pytest.approx(20 / 30)


def test_without_any_mistake_nothing_is_worse(make_scored: Maker) -> None:
    slices = score_slices(make_scored(range(0)), LABELS)
    assert len(slices) >= 5
    assert not any(s.worse for s in slices)


def test_columns_of_few_values_are_groups(make_scored: Maker) -> None:
    column = np.array(["red" if i < 25 else "" for i in range(N)], np.dtypes.StringDType())
    names = np.array([f"id {i}" for i in range(N)], np.dtypes.StringDType())
    part = replace(make_scored(range(20)), metadata={"device": column, "id": names})
    found = by_name(score_slices(part, LABELS))
    assert (found["device", "red"].accuracy.value, found["device", "red"].worse) == (0.2, True)
    assert found["device", "not given"].n == 75
    assert not any(kind == "id" for kind, _ in found)


def test_formats_and_pictures_that_can_no_longer_be_read(make_scored: Maker) -> None:
    part = make_scored(range(10))
    for file in part.files[:40]:
        Image.open(file).save(file.with_suffix(".jpg"))
    mixed = tuple(f.with_suffix(".jpg") if i < 40 else f for i, f in enumerate(part.files))
    for file in mixed[30:40]:
        file.unlink()
    found = by_name(score_slices(replace(part, files=mixed), LABELS))
    assert (found["File format", "JPEG"].n, found["File format", "PNG"].n) == (30, 60)
    assert found["File format", "PNG"].rest.value == 20 / 30


def test_small_groups_are_left_out(make_scored: Maker) -> None:
    part = make_scored(range(5))
    few = Scored(part.files[:39], part.truth[:39], part.probabilities[:39], part.embeddings[:39])
    assert score_slices(few, LABELS) == ()
    enough = score_slices(part, LABELS)
    assert all(20 <= s.n <= N - 20 for s in enough)


def test_the_order_of_the_pictures_does_not_count(make_scored: Maker) -> None:
    part = make_scored(range(15))
    order = np.random.default_rng(0).permutation(N)
    shuffled = Scored(
        tuple(part.files[i] for i in order),
        [part.truth[i] for i in order],
        part.probabilities[order],
        part.embeddings[order],
    )
    assert score_slices(shuffled, LABELS) == score_slices(part, LABELS)
