"""CIFAR as published: small files of exactly its format."""

import contextlib
import os
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from python2_pickle import python2_pickle

from discern.data import load_dataset
from discern.data.readers.plain_pickle import read_plain
from discern.errors import DatasetError

EACH = 5  # pictures in a batch
Make = Callable[..., Path]


def batch(seed: int, **labels: int) -> dict[bytes, Any]:
    """A batch whose labels run through so many numbers."""
    data = np.random.default_rng(seed).integers(0, 256, (EACH, 3072), dtype=np.uint8)
    columns = {key.encode(): [i % n for i in range(EACH)] for key, n in labels.items()}
    names = [f"picture_{i}.png".encode() for i in range(EACH)]
    return {b"batch_label": b"one", b"data": data, b"filenames": names, **columns}


def write(folder: Path, files: dict[str, dict[bytes, Any]]) -> Path:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(python2_pickle(content))
    return folder


@pytest.fixture
def ten(tmp_path: Path) -> Path:
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    files = {name: batch(seed, labels=2) for seed, name in enumerate(names)}
    meta = {b"label_names": [b"airplane", b"frog"], b"num_cases_per_batch": EACH}
    return write(tmp_path / "cifar-10-batches-py", {**files, "batches.meta": meta})


@pytest.fixture
def hundred(tmp_path: Path) -> Path:
    files = {
        name: batch(i, fine_labels=4, coarse_labels=2) for i, name in enumerate(["train", "test"])
    }
    fine, coarse = [b"apple", b"bear", b"pear", b"wolf"], [b"fruit", b"large carnivores"]
    meta = {b"fine_label_names": fine, b"coarse_label_names": coarse}
    return write(tmp_path / "cifar-100-python", {**files, "meta": meta})


def test_ten_classes_with_the_official_splits(ten: Path) -> None:
    data = load_dataset(ten)
    assert data.counts() == {
        "train": {"airplane": 15, "frog": 10},
        "test": {"airplane": 3, "frog": 2},
    }
    assert data.source == "CIFAR-10, train and test as published"
    assert str(data.paths[1]) == "data_batch_1/0000/0000001.png"


def test_the_pixels_are_those_of_the_file(ten: Path) -> None:
    data = load_dataset(ten)
    planes = batch(0)[b"data"][3].reshape(3, 32, 32)
    with Image.open(data.file(3)) as picture:
        assert np.array_equal(np.asarray(picture), planes.transpose(1, 2, 0))


def test_fine_and_coarse_labels(hundred: Path) -> None:
    assert load_dataset(hundred).classes == ("apple", "bear", "pear", "wolf")
    coarse = load_dataset(hundred, labels="coarse")
    assert coarse.classes == ("fruit", "large carnivores")
    assert coarse.source == "CIFAR-100, coarse labels, train and test as published"
    with pytest.raises(DatasetError, match=r"no labels 'corse' .* fine or coarse"):
        load_dataset(hundred, labels="corse")


def test_ten_classes_have_one_kind_of_labels(ten: Path) -> None:
    with pytest.raises(DatasetError, match=r"no labels 'coarse'.*one kind"):
        load_dataset(ten, labels="coarse")


@pytest.mark.parametrize("way", ["archive", "parent"])
def test_in_its_archive_or_from_the_folder_above(ten: Path, way: str) -> None:
    there = ten.parent
    if way == "archive":
        there = ten.parent / "cifar-10-python.tar.gz"
        with tarfile.open(there, "w:gz") as archive:
            archive.add(ten, ten.name)
    read, direct = load_dataset(there), load_dataset(ten)
    assert read.source == direct.source
    assert sorted(zip(read.paths, read.labels, read.splits, strict=True)) == sorted(
        zip(direct.paths, direct.labels, direct.splits, strict=True)
    )


def test_a_file_is_missing(ten: Path) -> None:
    with tarfile.open(ten.parent / "c.tar", "w") as archive:
        for name in ("batches.meta", "data_batch_1"):
            archive.add(ten / name, f"{ten.name}/{name}")
    with pytest.raises(DatasetError, match=r"c\.tar: lacks data_batch_2, .*, test_batch"):
        load_dataset(ten.parent / "c.tar")
    (ten / "test_batch").unlink()
    with pytest.raises(DatasetError, match="is neither cifar-10-batches-py/"):
        load_dataset(ten, layout="cifar")


class Evil:
    """What runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


def test_code_in_a_pickle_is_refused_and_not_run(ten: Path, tmp_path: Path, cache: Path) -> None:
    marker = tmp_path / "marker"
    (ten / "data_batch_3").write_bytes(pickle.dumps({b"data": Evil(f"touch {marker}")}, 2))
    with pytest.raises(
        DatasetError, match=r"data_batch_3: asks for (posix|nt)\.system .*\n.*not run"
    ):
        load_dataset(ten)
    assert not marker.exists()
    assert not [path for path in (cache / "unpacked").iterdir() if path.is_dir()]


@pytest.mark.parametrize(
    "code",
    [
        b"cbuiltins\neval\n(V1\ntR.",
        b"cnumpy\nload\n(Vx\ntR.",
        b"cnumpy\ndtype.__init__\n.",
        b"cnumpy.core.multiarray\nscalar\n.",
        b"c_codecs\nencode\n(Vx\nVzip\ntR.",
        b"c_codecs\nencode\n}(Vx\nVy\nub.",  # a state for what is no instance
        b"cos\nsystem\n(Vx\ntR.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
    ],
)
def test_names_that_a_file_of_pictures_does_not_need(code: bytes) -> None:
    with pytest.raises(DatasetError):
        read_plain(code, "a file")


@pytest.mark.parametrize("kind", [b"O", b"V8", b"M8[s]", b"u1,u1", b"c16"])
def test_arrays_of_anything_but_numbers(kind: bytes) -> None:
    whole = python2_pickle({b"data": np.zeros(8, np.uint8)})
    written = b"T\x02\x00\x00\x00u1"
    assert written in whole
    other = b"T" + len(kind).to_bytes(4, "little") + kind
    with pytest.raises(DatasetError, match="no pickle of plain values"):
        read_plain(whole.replace(written, other), "a file")


@given(st.data())
def test_pickles_of_today_are_read_too(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(["u1", "<i4", ">i2", "f8", "?"]))
    shape = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=3))
    array = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    array = np.asfortranarray(array) if data.draw(st.booleans()) else array
    found = read_plain(pickle.dumps({"a": array, "b": [1, "x", None]}, 2), "a file")
    assert np.array_equal(found["a"], array)
    assert found["a"].dtype == array.dtype
    assert found["b"] == [1, "x", None]


@given(st.binary(max_size=60))
def test_damaged_pickles_end_in_one_error(junk: bytes) -> None:
    start = python2_pickle({b"data": np.zeros(3, np.uint8)})
    for content in (junk, start[: len(junk)] + junk, start[:-1] + junk):
        with contextlib.suppress(DatasetError):
            read_plain(content, "a file")
