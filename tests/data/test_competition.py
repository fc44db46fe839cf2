"""train.csv, test.csv and sample_submission.csv beside the pictures."""

import pytest
from trees import Tree

from discern.data import Dataset, load_dataset
from discern.data.readers.picture_index import PictureIndex
from discern.errors import DatasetError

TRAIN = "id,breed\n1,pug\n2,beagle\n3,pug\n"
PICTURES = ("train/0001.jpg", "train/0002.jpg", "train/0003.jpg", "test/0004.jpg", "test/0005.jpg")


def rows(data: Dataset) -> list[tuple[str, str, str]]:
    columns = (data.paths.tolist(), data.labels.tolist(), data.splits.tolist())
    return list(zip(*columns, strict=True))


def test_what_is_to_be_predicted_is_unlabelled(tree: Tree) -> None:
    data = load_dataset(tree(*PICTURES, train=TRAIN, test="id\n5\n4\n"))
    assert rows(data) == [
        ("train/0001.jpg", "pug", ""),
        ("train/0002.jpg", "beagle", ""),
        ("train/0003.jpg", "pug", ""),
        ("test/0005.jpg", "", "unlabelled"),
        ("test/0004.jpg", "", "unlabelled"),
    ]
    assert data.source == (
        "a competition: train.csv: pictures from 'id', labels from 'breed'; "
        "test.csv: to be predicted, pictures from 'id'"
    )


def test_a_sample_submission_says_it_too(tree: Tree) -> None:
    sample = "id,breed\n4.jpg,pug\n5,pug\n"
    data = load_dataset(tree(*PICTURES, train=TRAIN, sample_submission=sample))
    assert data.counts() == {"unlabelled": {"": 2}, "": {"pug": 2, "beagle": 1}}


def test_a_test_table_with_labels_is_a_test_split(tree: Tree) -> None:
    data = load_dataset(tree(*PICTURES, train=TRAIN, test="id,breed\n4,pug\n5,beagle\n"))
    assert data.counts() == {"train": {"pug": 2, "beagle": 1}, "test": {"pug": 1, "beagle": 1}}


def test_facts_beside_the_pictures(tree: Tree) -> None:
    root = tree(*PICTURES, train="id,breed,hour\n1,pug,7\n", test="id,hour\n4,8\n")
    assert load_dataset(root, metadata="hour").metadata["hour"].tolist() == ["7", "8"]
    (root / "test.csv").write_text("id\n4\n")
    assert load_dataset(root, metadata="hour").metadata["hour"].tolist() == ["7", ""]


def test_a_picture_to_predict_is_missing(tree: Tree) -> None:
    with pytest.raises(DatasetError, match=r"test.csv: 1 picture is missing.*'9' \(row 2\)"):
        load_dataset(tree(*PICTURES, train=TRAIN, test="id\n9\n"))


def test_named_where_it_is_none(tree: Tree) -> None:
    with pytest.raises(DatasetError, match=r"has no train.csv"):
        load_dataset(tree("cat/1.jpg", "dog/1.jpg"), layout="competition")


@pytest.mark.parametrize("cell", ["12", "12.jpg", "x/12", "x/12.jpg", "0012"])
def test_lost_zeros(tree: Tree, cell: str) -> None:
    index = PictureIndex(tree("x/0012.jpg", "x/112.jpg", "x/0120.jpg") / "table.csv", None)
    assert index.find(cell) == "x/0012.jpg"


def test_zeros_are_looked_for_last(tree: Tree) -> None:
    index = PictureIndex(tree("x/0012.jpg", "x/12.jpg") / "table.csv", None)
    assert index.find("12") == "x/12.jpg"
    assert index.find("012") is None
    assert index.find("a12") is None


def test_lost_zeros_that_may_mean_two(tree: Tree) -> None:
    index = PictureIndex(tree("x/0012.jpg", "x/012.jpg") / "table.csv", None)
    with pytest.raises(DatasetError, match=r"'12', which may be x/0012.jpg or x/012.jpg"):
        index.find("12")
