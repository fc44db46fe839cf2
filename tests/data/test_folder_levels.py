"""Classes below the first level of folders."""

import pytest
from trees import Tree

from discern.data import load_dataset
from discern.errors import DatasetError

TREE = (
    *("animal/cat/1.jpg", "animal/cat/wild/2.jpg", "animal/dog/1.jpg", "animal/loose.jpg"),
    *("plant/other/1.jpg", "animal/other/1.jpg", "stone/1.jpg"),
)


def test_the_first_level_is_the_default(tree: Tree) -> None:
    root = tree(*TREE)
    assert load_dataset(root).classes == load_dataset(root, level=1).classes
    assert load_dataset(root).classes == ("animal", "plant", "stone")


def test_the_second_level(tree: Tree) -> None:
    data = load_dataset(tree(*TREE), level=2)
    assert data.counts()[""] == {
        "animal/cat": 2,
        "animal/dog": 1,
        "animal/other": 1,
        "plant/other": 1,
        "stone": 1,
    }
    assert data.source == "a folder per class, classes at level 2; 1 loose picture ignored"


def test_the_deepest_level(tree: Tree) -> None:
    data = load_dataset(tree(*TREE), level="deepest")
    assert data.classes == (
        *("animal/cat/wild", "animal/dog", "animal/other", "plant/other", "stone"),
    )
    assert data.source.endswith("the deepest folders are classes; 2 loose pictures ignored")


def test_below_splits_and_beside_unlabelled(tree: Tree) -> None:
    names = [f"{split}/{name}" for split in ("train", "test") for name in TREE]
    data = load_dataset(tree(*names, "pred/x.jpg"), level=2)
    assert data.counts()["train"] == data.counts()["test"]
    assert data.counts()["unlabelled"] == {"": 1}


def test_levels_that_are_none(tree: Tree) -> None:
    with pytest.raises(DatasetError, match="--level 0: classes are folders at level 1 or deeper"):
        load_dataset(tree(*TREE), level=0)
    with pytest.raises(DatasetError, match=r"a table, which knows no --level"):
        load_dataset(tree("a.jpg", labels="id,label\na,x\n") / "labels.csv", level=2)
