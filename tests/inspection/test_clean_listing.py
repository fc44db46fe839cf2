"""Listings of mended data: what is written is what is read."""

from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest

from discern.data import Dataset, load_dataset
from discern.data.dataset import Row
from discern.errors import OutputError
from discern.inspection.listing_file import reading_options, write_listing

SPLITS = ("train", "validation", "test")
ROWS = [
    Row(f"{name}.jpg", "cat" if i % 2 else "dog", SPLITS[i % 3]) for i, name in enumerate("abcdef")
]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return Dataset.from_rows(tmp_path, ROWS)


def listed(dataset: Dataset, folder: Path) -> Dataset:
    """The dataset as it is read from a listing of it in `folder`."""
    folder.mkdir(exist_ok=True)
    with (folder / "clean.csv").open("w", encoding="utf-8", newline="") as file:
        write_listing(dataset, file, folder)
    words = iter(reading_options(dataset, folder))
    options = dict(zip(words, words, strict=True))
    return load_dataset(
        folder / "clean.csv",
        images=options.get("--images"),
        group_column=options.get("--group-column"),
        metadata=options.get("--metadata", "").split(",") if "--metadata" in options else (),
    )


def facts(dataset: Dataset) -> list[tuple[object, ...]]:
    beside = dict(dataset.metadata)
    rows = (dataset.files(), dataset.labels, dataset.splits, dataset.groups, *beside.values())
    return [(path.resolve(), *map(str, row)) for path, *row in zip(*rows, strict=True)]


NASTY = ("=a.jpg", "-b.jpg", 'c "d".jpg', "e,f;g.jpg", "h\ti.jpg", "k\nl.jpg", "ö.JPG", "@m.jpg")


@pytest.mark.parametrize("where", [".", "..", "beside", "../.hidden"])
def test_a_listing_reads_as_what_was_written(tmp_path: Path, where: str) -> None:
    root = tmp_path / "data"
    (root / "=sub").mkdir(parents=True)
    names = [*NASTY, *(f"=sub/{name}" for name in NASTY)]
    for name in names:
        (root / name).touch()
    rows = [
        (path, (" cat", "=1+1", "dog;", "007")[i % 4], SPLITS[i % 2], "ab"[i % 2], str(i))
        for i, path in enumerate(names)
    ]
    rows.append((*Row("n.jpg", "", "", "a"), ""))
    (root / "n.jpg").touch()
    dataset = Dataset.from_rows(root, rows, metadata=("image id",))
    read = listed(dataset, root / where)
    unlabelled = replace(dataset, splits=np.append(dataset.splits[:-1], "unlabelled"))
    assert facts(read) == facts(unlabelled)


def test_options_only_where_they_are_needed(dataset: Dataset, tmp_path: Path) -> None:
    assert reading_options(dataset, tmp_path) == ()
    assert reading_options(dataset, tmp_path.parent) == ()
    assert reading_options(dataset, tmp_path / "beside") == ("--images", str(tmp_path))
    hidden = replace(dataset, root=tmp_path / ".cache")
    assert reading_options(hidden, tmp_path) == ("--images", str(tmp_path / ".cache"))


@pytest.mark.parametrize("name", [" a.jpg", "a.jpg ", "b\\c.jpg", "s3://a.jpg"])
def test_names_that_a_table_cannot_hold(tmp_path: Path, name: str) -> None:
    dataset = Dataset.from_rows(tmp_path, [Row(name, "cat")])
    with pytest.raises(OutputError, match="cannot hold this name"):
        write_listing(dataset, StringIO(), tmp_path)


def test_a_column_of_metadata_that_would_be_there_twice(tmp_path: Path) -> None:
    rows = [(*Row("a.jpg", "cat"), "x")]
    dataset = Dataset.from_rows(tmp_path, rows, metadata=("label",))
    with pytest.raises(OutputError, match="two columns named 'label'"):
        write_listing(dataset, StringIO(), tmp_path)
