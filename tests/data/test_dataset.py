from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from discern.data import Dataset, Sample
from discern.data.dataset import Row
from discern.errors import DatasetError

ROWS = [
    Row("b/1.jpg", "b", "train", "g"),
    Row("a/1.jpg", "a", "train"),
    Row("a/2.jpg", "a", "test"),
    Row("x.jpg", "", "unlabelled"),
]


def dataset(rows: list[Row] = ROWS) -> Dataset:
    return Dataset.from_rows(Path("/root"), rows)


def test_a_sample_says_none_where_there_is_none() -> None:
    samples = list(dataset())
    assert samples[0] == Sample(Path("/root/b/1.jpg"), "b", "train", "g")
    assert samples[3] == Sample(Path("/root/x.jpg"), None, "unlabelled", None)


def test_classes_are_sorted_names_of_labelled_samples() -> None:
    assert dataset().classes == ("a", "b")


def test_counts_by_split_and_class_in_the_splits_order() -> None:
    counts = dataset().counts()
    assert counts == {"train": {"a": 1, "b": 1}, "test": {"a": 1}, "unlabelled": {"": 1}}
    assert list(counts) == ["train", "test", "unlabelled"]


def test_no_split_is_counted_as_such() -> None:
    assert dataset([Row("a.jpg", "a")]).counts() == {"": {"a": 1}}


def test_select_names_the_splits_there_are() -> None:
    assert dataset().select("train").classes == ("a", "b")
    with pytest.raises(DatasetError, match=r"'validation'.*train, test, unlabelled"):
        dataset().select("validation")


def test_files() -> None:
    data = dataset()
    assert data.file(1) == Path("/root/a/1.jpg")
    assert list(data.files()) == [sample.path for sample in data]


def test_where_takes_a_mask() -> None:
    part = dataset().where(np.array([True, False, False, True]))
    assert [sample.label for sample in part] == ["b", None]


def test_columns_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="read-only"):
        dataset().labels[0] = "c"


def test_columns_have_one_length() -> None:
    data = dataset()
    with pytest.raises(ValueError, match="differ in shape"):
        Dataset(data.root, data.paths, data.labels[:2], data.splits, data.groups)


def test_an_empty_dataset_is_one() -> None:
    data = dataset([])
    assert len(data) == 0
    assert (data.classes, data.split_names, data.counts(), list(data)) == ((), (), {}, [])
    assert len(data.fingerprint) == 64


def test_a_path_outside_the_root_stays_absolute() -> None:
    assert dataset([Row("/elsewhere/1.jpg", "a")]).file(0) == Path("/elsewhere/1.jpg")


@given(st.permutations(ROWS))
def test_the_fingerprint_does_not_depend_on_the_order(rows: list[Row]) -> None:
    assert dataset(rows).fingerprint == dataset().fingerprint


@pytest.mark.parametrize("change", [{"path": "c.jpg"}, {"label": "c"}, {"split": "test"}])
def test_the_fingerprint_depends_on_path_label_and_split(change: dict[str, str]) -> None:
    changed = [ROWS[0]._replace(**change), *ROWS[1:]]
    assert dataset(changed).fingerprint != dataset().fingerprint


def test_the_fingerprint_is_that_of_the_given_splits() -> None:
    data = dataset()
    other = data.with_splits(np.full(len(data), "train", dtype=np.dtypes.StringDType()))
    assert other.split_names == ("train",)
    assert other.fingerprint == data.fingerprint
    assert other.where(np.arange(len(other))).fingerprint == data.fingerprint


def test_rows_cannot_blur_in_the_fingerprint() -> None:
    assert dataset([Row("a", "bc")]).fingerprint != dataset([Row("ab", "c")]).fingerprint


def test_a_name_that_is_not_utf8_is_named() -> None:
    with pytest.raises(DatasetError, match=r"a\\udcff.jpg.*Rename"):
        dataset([Row("fine.jpg", "a"), Row("a\udcff.jpg", "a")])


def test_more_rows_than_a_chunk() -> None:
    data = dataset([Row(f"{i}.jpg", "a") for i in range(70_000)])
    assert len(data) == 70_000
    assert data.file(69_999) == Path("/root/69999.jpg")
    assert [sample.path.name for sample in data][65_535:65_538] == [
        "65535.jpg",
        "65536.jpg",
        "65537.jpg",
    ]


FACTS = [(*row, str(i), "x" if i % 2 else "") for i, row in enumerate(ROWS)]


def with_facts(rows: list[tuple[str, ...]] = FACTS) -> Dataset:
    return Dataset.from_rows(Path("/root"), rows, metadata=("n", "device"))


def test_metadata_go_with_their_samples() -> None:
    data = with_facts()
    assert {k: v.tolist() for k, v in data.metadata.items()} == {
        "n": ["0", "1", "2", "3"],
        "device": ["", "x", "", "x"],
    }
    assert data.select("train").metadata["n"].tolist() == ["0", "1"]
    assert data.where(np.array([3, 0])).metadata["n"].tolist() == ["3", "0"]
    assert data.with_splits(data.splits[::-1]).metadata["n"].tolist() == ["0", "1", "2", "3"]
    with pytest.raises(ValueError, match="read-only"):
        data.metadata["n"][0] = "9"


def test_a_column_of_metadata_is_as_long_as_the_others() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        replace(dataset(), metadata={"n": dataset().labels[:2]})


def test_metadata_change_the_fingerprint_and_their_absence_does_not() -> None:
    before = "a05569b3415bc3d63affe26bca4f873e30cbbf8a101130bbaa52656daeed2e0b"  # there was any
    assert dataset().fingerprint == replace(with_facts(), metadata={}).fingerprint == before
    prints = [
        dataset().fingerprint,
        with_facts().fingerprint,
        replace(with_facts(), metadata={"n": with_facts().metadata["n"]}).fingerprint,
        Dataset.from_rows(Path("/"), FACTS, metadata=("m", "device")).fingerprint,
        with_facts([*FACTS[:3], (*FACTS[3][:4], "9", "x")]).fingerprint,
    ]
    assert len(set(prints)) == len(prints)
    assert with_facts(FACTS[::-1]).fingerprint == with_facts().fingerprint
    swapped = Dataset.from_rows(
        Path("/"), [(*r[:4], r[5], r[4]) for r in FACTS], metadata=("device", "n")
    )
    assert swapped.fingerprint == with_facts().fingerprint
