"""Copies of pictures in a dataset, and scored ones among training's."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scenes import saved, scene

from discern.config import cache_dir
from discern.data import Dataset
from discern.data.dataset import STRING, Row
from discern.images.digest import file_digests
from discern.survey.leaks import Leak, find_leaks, with_copies


def dataset(root: Path, rows: Sequence[tuple[str, str, str]]) -> Dataset:
    return Dataset.from_rows(root, [Row(*row) for row in rows])


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    """In test, a is as in train, b smaller and a JPEG; c in train has no label; bad is bad."""
    for n, name in enumerate(["a", "b", "c", "d", "e"]):
        saved(tmp_path / "train" / f"{name}.png", scene(n))
    saved(tmp_path / "test" / "a.png", scene(0))
    saved(tmp_path / "test" / "b.jpg", scene(1).resize((112, 84)), "JPEG", quality=75)
    saved(tmp_path / "test" / "c.png", scene(2))
    saved(tmp_path / "test" / "new.png", scene(9))
    for split in ("train", "test"):
        (tmp_path / split / "bad.png").write_bytes(b"no picture")
    labels = {"train/c.png": ""}
    files = sorted(f"{path.parent.name}/{path.name}" for path in tmp_path.glob("*/*"))
    return dataset(tmp_path, [(f, labels.get(f, "cat"), f.split("/")[0]) for f in files])


def leaks(data: Dataset) -> dict[str, Leak]:
    digests = list(file_digests(data.files(), cache_dir()))
    trained = (data.splits == "train") & (data.labels != "")
    known = {digests[i] for i in np.flatnonzero(trained)}
    found = find_leaks(
        data,
        digests,
        scored=data.splits == "test",
        trained=trained,
        seen=np.array([digest in known for digest in digests]),
    )
    return {leak.name: leak for leak in found}


def test_copies_have_one_name(data: Dataset) -> None:
    copies = dict(zip(data.paths.tolist(), with_copies(data).copies.tolist(), strict=True))
    assert copies["train/a.png"] == copies["test/a.png"] != ""
    assert copies["train/b.png"] == copies["test/b.jpg"] != ""
    assert copies["train/a.png"] != copies["train/b.png"]
    alone = [path for path, name in copies.items() if not name]
    assert len(alone) == len(data) - 4  # what has no label takes no part, nor do unreadable files


def test_leaks_are_told_with_the_picture_they_are_copies_of(data: Dataset) -> None:
    found = leaks(with_copies(data))
    assert found.keys() == {"test/a.png", "test/b.jpg", "test/bad.png"}
    assert (found["test/a.png"].trained, found["test/a.png"].exact) == ("train/a.png", True)
    assert (found["test/b.jpg"].trained, found["test/b.jpg"].exact) == ("train/b.png", False)
    assert found["test/b.jpg"].file == data.root / "test" / "b.jpg"


def test_without_looking_only_the_same_bytes_are_known(data: Dataset) -> None:
    assert data.copies is None
    assert leaks(data).keys() == {"test/a.png", "test/bad.png"}


def test_what_was_trained_on_need_not_be_at_hand(data: Dataset) -> None:
    test = with_copies(data).select("test")
    nothing = np.zeros(len(test), bool)
    found = find_leaks(
        test, [b"x"] * len(test), scored=~nothing, trained=nothing, seen=test.paths == "test/a.png"
    )
    assert [(leak.name, leak.trained, leak.exact) for leak in found] == [("test/a.png", None, True)]


def test_a_scored_picture_is_no_copy_of_itself(data: Dataset) -> None:
    twice = replace(data, copies=np.full(len(data), "all", dtype=STRING))
    nothing = np.zeros(len(data), bool)
    digests = list(file_digests(data.files(), cache_dir()))
    found = find_leaks(twice, digests, scored=~nothing, trained=~nothing, seen=~nothing)
    assert {(leak.trained, leak.exact) for leak in found} == {(None, True)}
    assert find_leaks(twice, digests, scored=~nothing, trained=nothing, seen=nothing) == ()
