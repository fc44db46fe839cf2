"""WebDataset shards."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from discern.data import load_dataset
from discern.errors import DatasetError


def shard(path: Path, files: dict[str, bytes | str]) -> Path:
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def numbered(first: int, n: int = 4) -> dict[str, bytes | str]:
    files: dict[str, bytes | str] = {}
    for i in range(first, first + n):
        files |= {f"{i:06d}.jpg": f"picture {i}", f"{i:06d}.cls": f"{i % 2}\n"}
    return files


def test_a_shard(tmp_path: Path) -> None:
    data = load_dataset(shard(tmp_path / "a.tar", numbered(0)))
    assert data.paths.tolist() == [f"a.tar/{i:06d}.jpg" for i in range(4)]
    assert data.labels.tolist() == ["0", "1", "0", "1"]
    assert [file.read_bytes() for file in data.files()] == [b"picture %d" % i for i in range(4)]
    assert data.source == "1 WebDataset shard: pictures with the label beside each"


def test_a_folder_of_shards_with_splits(tmp_path: Path) -> None:
    for i in range(2):
        shard(tmp_path / f"set-train-{i:06d}.tar", numbered(4 * i))
    shard(tmp_path / "val" / "000000.tar", numbered(9))
    data = load_dataset(tmp_path)
    assert data.counts() == {"train": {"0": 4, "1": 4}, "validation": {"0": 2, "1": 2}}
    assert data.source.startswith("3 WebDataset shards")


def test_a_range_of_shards(tmp_path: Path) -> None:
    for i in range(12):
        shard(tmp_path / f"s-{i:03d}.tar", numbered(4 * i))
    data = load_dataset(tmp_path / "s-{002..010}.tar")
    assert len(data) == 36
    assert str(data.paths[0]) == "s-002.tar/000008.jpg"
    with pytest.raises(DatasetError, match=r"cannot be read \(No such file"):
        load_dataset(tmp_path / "s-{010..012}.tar")


def test_labels_in_json(tmp_path: Path) -> None:
    facts = {"label": "cat", "Breed": "tabby"}
    path = shard(tmp_path / "a.tar", {"x/1.JPG": "", "x/1.json": json.dumps(facts)})
    assert load_dataset(path).labels.tolist() == ["cat"]
    assert load_dataset(path, label_column="breed").labels.tolist() == ["tabby"]


def test_odd_samples(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {
        **numbered(0, 2),
        **{"a.jpg": "", "b.cls": "1", "c.cls": "1", "c.jpg": "", "c.png": "", "c.txt": "words"},
    }
    data = load_dataset(shard(tmp_path / "a.tar", files))
    assert data.counts() == {"unlabelled": {"": 1}, "": {"0": 1, "1": 2}}
    assert data.source.endswith("each, 1 lone label ignored, 1 second picture ignored")


@pytest.mark.parametrize(
    ("content", "fault"),
    [("[1]", "no object"), ("{", "no object"), ('{"label": [1, 2]}', "several labels"),
     (b'{"label": "\xff"}', "no UTF-8"), ("[" * 100_000, "no object")],
)  # fmt: skip
def test_labels_that_cannot_be_read(tmp_path: Path, content: bytes | str, fault: str) -> None:
    with pytest.raises(DatasetError, match=fault):
        load_dataset(shard(tmp_path / "a.tar", {"1.jpg": "", "1.json": content}))


def test_a_path_that_leads_out(tmp_path: Path) -> None:
    path = shard(tmp_path / "a.tar", {**numbered(0), "../1.jpg": "", "../1.cls": "0"})
    with pytest.raises(DatasetError, match="leads out"):
        load_dataset(path, layout="webdataset")


def test_an_archive_of_folders_is_none(tmp_path: Path) -> None:
    path = shard(tmp_path / "a.tar", {"cat/1.jpg": "", "cat/2.jpg": "", "dog/1.jpg": ""})
    assert load_dataset(path).source == "a.tar: a folder per class"
