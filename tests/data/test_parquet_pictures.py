"""Parquet with the pictures in it, as Hugging Face's datasets have it."""

import json
from pathlib import Path
from typing import Any

import pytest

from discern.data import load_dataset
from discern.errors import DatasetError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

PNG = b"\x89PNG\r\n\x1a\n and more"


def schema(names: list[str] | None, image: Any = None) -> Any:
    fields = [("image", image or pa.struct([("bytes", pa.binary()), ("path", pa.string())]))]
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": names}}
    about = {"huggingface": json.dumps({"info": {"features": features}})} if names else None
    return pa.schema([*fields, ("label", pa.int64()), ("patient", pa.string())], metadata=about)


def write(path: Path, labels: list[int | None], names: list[str] | None = None) -> Path:
    path.parent.mkdir(exist_ok=True)
    rows = [
        {
            "image": {"bytes": PNG + bytes([i]), "path": "same.jpg"},
            "label": x,
            "patient": f"p{i // 2}",
        }
        for i, x in enumerate(labels)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema(names)), path, row_group_size=2)
    return path


def test_shards_with_splits_and_class_names(tmp_path: Path) -> None:
    write(tmp_path / "data" / "train-00000-of-00002.parquet", [0, 1, 1], ["cat", "dog"])
    write(tmp_path / "data" / "train-00001-of-00002.parquet", [0], ["cat", "dog"])
    write(tmp_path / "data" / "test-00000-of-00001.parquet", [-1, None], ["cat", "dog"])
    (tmp_path / "README.md").write_text("---\n---\n")
    data = load_dataset(tmp_path)
    assert data.counts() == {"train": {"cat": 2, "dog": 2}, "unlabelled": {"": 2}}
    assert data.source == (
        "3 Parquet files: pictures from 'image', labels from 'label', class names from the schema"
    )
    first = "data/train-00000-of-00002.parquet/0000/0000000.png"
    assert str(data.select("train").paths[0]) == first
    assert data.select("train").file(1).read_bytes() == PNG + b"\x01"


def test_a_file_without_names(tmp_path: Path) -> None:
    data = load_dataset(write(tmp_path / "a.parquet", [3, 4]), group_column="patient")
    assert data.labels.tolist() == ["3", "4"]
    assert data.groups.tolist() == ["p0", "p0"]


def test_plain_bytes(tmp_path: Path) -> None:
    table = pa.table({"img": [PNG, b"", None], "label": ["a", "b", "b"]})
    pq.write_table(table, tmp_path / "a.parquet")
    data = load_dataset(tmp_path / "a.parquet")
    assert data.labels.tolist() == ["a", "b", "b"]
    assert [path.rpartition(".")[2] for path in data.paths.tolist()] == ["png", "bin", "bin"]


def test_pictures_that_are_only_named(tmp_path: Path) -> None:
    rows = [{"image": {"bytes": None, "path": "a.jpg"}, "label": 0, "patient": ""}]
    pq.write_table(pa.Table.from_pylist(rows, schema(None)), tmp_path / "a.parquet")
    with pytest.raises(DatasetError, match=r"row 1 names 'a.jpg' but does not hold it"):
        load_dataset(tmp_path / "a.parquet")


def test_shards_that_differ(tmp_path: Path) -> None:
    write(tmp_path / "train-0.parquet", [0])
    pq.write_table(pa.table({"image": [PNG]}), tmp_path / "train-1.parquet")
    with pytest.raises(DatasetError, match=r"train-1.parquet: has no column 'label'"):
        load_dataset(tmp_path)


def test_columns_that_are_not_there(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [0])
    with pytest.raises(DatasetError, match=r"no column 'lable' .*image, label, patient"):
        load_dataset(path, label_column="lable")
    with pytest.raises(DatasetError, match="pictures in Parquet, which knows no --split-column"):
        load_dataset(path, split_column="label")
