"""NumPy arrays of pictures and labels."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from discern.data import Dataset, load_dataset
from discern.errors import DatasetError

N = 6
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (N, 5, 7, 3), dtype=np.uint8)
LABELS = np.arange(N) % 2


def save(folder: Path, **arrays: npt.ArrayLike) -> Path:
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return folder


def shown(data: Dataset) -> npt.NDArray[np.uint8]:
    """The pixels of all pictures, as RGB."""
    found = []
    for file in data.files():
        with Image.open(file) as picture:
            found.append(np.asarray(picture.convert("RGB")))
    return np.stack(found)


@pytest.mark.parametrize("names", [("data", "labels"), ("images", "labels"), ("X", "y")])
def test_pictures_and_labels(tmp_path: Path, names: tuple[str, str]) -> None:
    data = load_dataset(save(tmp_path, **dict(zip(names, (PIXELS, LABELS), strict=True))))
    assert data.labels.tolist() == ["0", "1", "0", "1", "0", "1"]
    assert np.array_equal(shown(data), PIXELS)
    assert str(data.paths[4]) == f"{names[0]}/0000/0000004.png"
    assert data.source == f"NumPy arrays: pictures from {names[0]} with {names[1]}"


@pytest.mark.parametrize("compressed", [False, True])
def test_an_npz_with_splits(tmp_path: Path, compressed: bool) -> None:
    names = np.array(["cat", "dog"])[LABELS]
    arrays = {"x_train": PIXELS, "y_train": names, "x_test": PIXELS[:2], "y_test": names[:2, None]}
    write: Any = np.savez_compressed if compressed else np.savez
    write(tmp_path / "mnist.npz", **arrays)
    data = load_dataset(tmp_path / "mnist.npz")
    assert data.counts() == {"train": {"cat": 3, "dog": 3}, "test": {"cat": 1, "dog": 1}}
    assert np.array_equal(shown(data.select("train")), PIXELS)


@pytest.mark.parametrize(
    "names",
    ["X_train y_train X_test", "train_images train_labels test_images", "Xtrain ytrain Xtest"],
)
def test_a_test_array_without_labels_is_to_be_predicted(tmp_path: Path, names: str) -> None:
    arrays = dict(zip(names.split(), (PIXELS, LABELS, PIXELS[:1]), strict=True))
    assert load_dataset(save(tmp_path, **arrays)).counts() == {
        "train": {"0": 3, "1": 3},
        "unlabelled": {"": 1},
    }


GREY = PIXELS[..., 0]


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (GREY, np.repeat(GREY[..., None], 3, -1)),
        (GREY[..., None], np.repeat(GREY[..., None], 3, -1)),
        (PIXELS.transpose(0, 3, 1, 2), PIXELS),
        (np.asfortranarray(PIXELS), PIXELS),
        (PIXELS / 255, PIXELS),
        ((PIXELS / 255).astype(np.float32), PIXELS),
        ((PIXELS / 255).astype(">f4"), PIXELS),
    ],
)
def test_shapes_and_floats(tmp_path: Path, array: Any, expected: Any) -> None:
    assert np.array_equal(shown(load_dataset(save(tmp_path, data=array, labels=LABELS))), expected)


@pytest.mark.parametrize(
    ("array", "fault"),
    [
        (PIXELS.astype(np.int64), "holds int64 numbers"),
        (PIXELS.astype(np.float32), "not from 0 to 1"),
        (PIXELS / 127.5 - 1, "not from 0 to 1"),
        (np.where(PIXELS > 9, np.nan, 0.5), "not from 0 to 1"),
        ((PIXELS > 99).astype(float), "0 or 1; whether"),
        (PIXELS.reshape(N, -1), r"\[6, 105\] are no pictures"),
        (np.zeros((N, 3, 9, 3), np.uint8), "channels first or last"),
        (np.zeros((N, 0, 7), np.uint8), "7 × 0 pixels"),
        (PIXELS[:2], "as many"),
    ],
)
def test_what_is_not_certain_is_refused(tmp_path: Path, array: Any, fault: str) -> None:
    with pytest.raises(DatasetError, match=fault):
        load_dataset(save(tmp_path, data=array, labels=LABELS))


@pytest.mark.parametrize(
    ("labels", "fault"),
    [(np.eye(N), r"np.argmax"), (LABELS + 0.5, "labels of type float64")],
)
def test_labels_that_are_none(tmp_path: Path, labels: Any, fault: str) -> None:
    with pytest.raises(DatasetError, match=fault):
        load_dataset(save(tmp_path, data=PIXELS, labels=labels))


@pytest.mark.parametrize("way", ["npy", "npz"])
def test_python_objects_are_never_unpickled(tmp_path: Path, way: str) -> None:
    objects = np.array([{"a": 1}] * N, dtype=object)
    if way == "npy":
        path = save(tmp_path, data=PIXELS, labels=objects)
    else:
        path = tmp_path / "a.npz"
        np.savez(path, data=PIXELS, labels=objects)
    with pytest.raises(DatasetError, match=r"labels.*holds Python objects"):
        load_dataset(path)


def test_damaged_files(tmp_path: Path) -> None:
    root = save(tmp_path, data=PIXELS, labels=LABELS)
    whole = (root / "data.npy").read_bytes()
    for content in (b"", b"junk", whole[:-9]):
        (root / "data.npy").write_bytes(content)
        with pytest.raises(DatasetError, match=r"data.npy: is no valid file"):
            load_dataset(root)
    np.savez_compressed(tmp_path / "a.npz", data=PIXELS, labels=LABELS)
    whole = (tmp_path / "a.npz").read_bytes()
    for content in (b"", whole[:300], whole[:100] + b"x" * 50 + whole[150:]):
        (tmp_path / "a.npz").write_bytes(content)
        with pytest.raises(DatasetError, match=r"a.npz: is no valid file"):
            load_dataset(tmp_path / "a.npz")


def test_an_npz_made_to_fill_disks(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.npy", bytes(65 << 20))
        archive.writestr("labels.npy", b"")
    with pytest.raises(DatasetError, match="far more than it is"):
        load_dataset(path)


def test_arrays_that_may_both_be_meant(tmp_path: Path) -> None:
    root = save(tmp_path, data=PIXELS, images=PIXELS, labels=LABELS)
    with pytest.raises(DatasetError, match="data and images may both be meant"):
        load_dataset(root, layout="numpy")
