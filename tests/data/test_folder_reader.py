import os
from pathlib import Path

import pytest
from PIL import Image
from trees import Tree

from discern.config import SplitConfig
from discern.data import Dataset, load_dataset, split_dataset
from discern.data.split_names import folder_split
from discern.errors import DatasetError


def rows(data: Dataset) -> list[tuple[str, str, str]]:
    columns = (data.paths.tolist(), data.labels.tolist(), data.splits.tolist())
    return sorted(zip(*columns, strict=True))


def test_a_folder_per_class(tree: Tree) -> None:
    data = load_dataset(tree("cat/1.jpg", "dog/2.png", "dog/3.webp"))
    assert rows(data) == [
        ("cat/1.jpg", "cat", ""),
        ("dog/2.png", "dog", ""),
        ("dog/3.webp", "dog", ""),
    ]
    assert data.source == "a folder per class"


def test_real_pictures_from_folder_to_splits(tree: Tree) -> None:
    root = tree("red/.keep", "blue/.keep")
    colors = {"red": (255, 0, 0), "blue": (0, 0, 255)}
    for color in colors:
        for i in range(5):
            Image.new("RGB", (1, 1), color).save(root / color / f"{i}.png")
    data = split_dataset(load_dataset(str(root)), SplitConfig())
    for sample in data:
        with Image.open(sample.path) as picture:
            assert picture.getpixel((0, 0)) == (
                (255, 0, 0) if sample.label == "red" else (0, 0, 255)
            )


@pytest.mark.parametrize(
    ("folder", "split"),
    [
        ("train", "train"),
        ("Training", "train"),
        ("seg_train", "train"),
        ("val", "validation"),
        ("VALID", "validation"),
        ("validation", "validation"),
        ("dev", "validation"),
        ("eval", "validation"),
        ("seg_val", "validation"),
        ("test", "test"),
        ("testing", "test"),
        ("test_set", "test"),
        ("Test Data", "test"),
        ("seg_pred", "unlabelled"),
        ("unlabeled", "unlabelled"),
        ("contest", None),
        ("trainers", None),
        ("data", None),
    ],
)
def test_names_of_split_folders(folder: str, split: str | None) -> None:
    assert folder_split(folder) == split


def test_splits_as_archives_unpack_them(tree: Tree) -> None:
    root = tree(
        "seg_train/seg_train/sea/1.jpg",
        "seg_train/seg_train/ice/2.jpg",
        "seg_test/seg_test/sea/3.jpg",
        "seg_pred/seg_pred/4.jpg",
    )
    data = load_dataset(root)
    assert rows(data) == [
        ("seg_pred/seg_pred/4.jpg", "", "unlabelled"),
        ("seg_test/seg_test/sea/3.jpg", "sea", "test"),
        ("seg_train/seg_train/ice/2.jpg", "ice", "train"),
        ("seg_train/seg_train/sea/1.jpg", "sea", "train"),
    ]
    assert data.source == (
        "a folder per class under seg_test/ and seg_train/, seg_pred/ unlabelled"
    )


def test_a_class_missing_from_a_split_shifts_no_other(tree: Tree) -> None:
    data = load_dataset(tree("train/a/1.jpg", "train/b/1.jpg", "train/c/1.jpg", "val/c/2.jpg"))
    assert data.select("validation").classes == ("c",)


def test_a_test_folder_of_loose_pictures_beside_train_is_unlabelled(tree: Tree) -> None:
    data = load_dataset(tree("train/a/1.jpg", "train/b/1.jpg", "test/9.jpg"))
    assert data.counts()["unlabelled"] == {"": 1}


@pytest.mark.parametrize("name", ["test", "valid", "train", "pred", "photos"])
def test_a_class_may_have_the_name_of_a_split(tree: Tree, name: str) -> None:
    data = load_dataset(tree(f"{name}/1.jpg", "plane/1.jpg"))
    assert data.classes == tuple(sorted((name, "plane")))
    assert data.split_names == ()


def test_a_nested_class_named_test(tree: Tree) -> None:
    data = load_dataset(tree("test/red/1.jpg", "test/blue/1.jpg", "plane/1.jpg"))
    assert data.classes == ("plane", "test")


def test_a_test_split_alone_can_be_read(tree: Tree) -> None:
    data = load_dataset(tree("test/a/1.jpg", "test/b/1.jpg"))
    assert data.counts() == {"test": {"a": 1, "b": 1}}


def test_a_stranger_beside_train(tree: Tree) -> None:
    root = tree("train/a/1.jpg", "train/b/1.jpg", "figures/1.png")
    with pytest.raises(DatasetError, match=r"figures/ beside them is no split"):
        load_dataset(root)


def test_a_wrapping_folder_is_descended(tree: Tree) -> None:
    data = load_dataset(tree("archive/photos/cat/1.jpg", "archive/photos/dog/1.jpg", "README"))
    assert data.classes == ("cat", "dog")
    assert data.paths.tolist() == ["archive/photos/cat/1.jpg", "archive/photos/dog/1.jpg"]
    assert data.source == "a folder per class in archive/photos/"


def test_pictures_at_any_depth_belong_to_the_class(tree: Tree) -> None:
    data = load_dataset(tree("cat/1.jpg", "cat/2020/may/2.jpg", "dog/3.jpg"))
    assert data.counts() == {"": {"cat": 2, "dog": 1}}


def test_suffixes_in_any_case(tree: Tree) -> None:
    endings = ["JPG", "jpeg", "Jpe", "jfif", "PNG", "webp", "gif", "tif", "TIFF", "bmp", "avif"]
    names = [f"{i}.{ending}" for i, ending in enumerate(endings)]
    data = load_dataset(tree("dog/1.jpg", *(f"cat/{name}" for name in names)))
    assert data.counts()[""]["cat"] == len(names)


def test_litter_is_skipped_and_the_rest_counted(tree: Tree) -> None:
    litter = (".DS_Store", "Thumbs.db", ".ipynb_checkpoints/1.jpg", "__MACOSX/1.jpg", "._1.jpg")
    root = tree("cat/1.jpg", "dog/1.jpg", "stray.jpg", "cat/notes.txt", "README.md", "notes/a.txt")
    tree(*litter, *(f"cat/{name}" for name in litter))
    data = load_dataset(root)
    assert len(data) == 2
    assert data.source == (
        "a folder per class; 1 loose picture ignored; 2 other files ignored; no pictures in notes/"
    )


def test_links_are_followed_and_loops_end(tree: Tree, tmp_path: Path) -> None:
    root = tree("data/cat/1.jpg", "elsewhere/dog/1.jpg", "elsewhere/9.jpg") / "data"
    (root / "dog").symlink_to(tmp_path / "elsewhere" / "dog")
    (root / "cat" / "2.jpg").symlink_to(tmp_path / "elsewhere" / "9.jpg")
    (root / "cat" / "up").symlink_to(root)
    (root / "round").symlink_to(root)
    (root / "cat" / "self.jpg").symlink_to("self.jpg")
    (root / "cat" / "broken.jpg").symlink_to("nothing.jpg")
    data = load_dataset(root)
    assert data.paths.tolist() == ["cat/1.jpg", "cat/2.jpg", "dog/1.jpg"]


def test_exclude(tree: Tree) -> None:
    root = tree("cat/1.jpg", "dog/1.jpg", "owl/1.jpg")
    assert load_dataset(root, exclude=["owl"]).classes == ("cat", "dog")
    assert load_dataset(root, exclude="owl").classes == ("cat", "dog")
    with pytest.raises(DatasetError, match=r"no class 'owls' to exclude. Did you mean 'owl'"):
        load_dataset(root, exclude=["owls"])


@pytest.mark.parametrize("twin", ["Cat", "CAT", "cat ", "ｃat"])
def test_classes_that_look_alike(tree: Tree, twin: str) -> None:
    root = tree("cat/1.jpg", f"{twin}/2.jpg", "dog/1.jpg")
    with pytest.raises(DatasetError) as caught:
        load_dataset(root)
    assert repr(twin) in str(caught.value)
    assert "'cat'" in str(caught.value)
    assert load_dataset(root, exclude=[twin]).classes == ("cat", "dog")


def test_classes_that_look_alike_across_splits(tree: Tree) -> None:
    with pytest.raises(DatasetError, match="'Cat' and 'cat'"):
        load_dataset(tree("train/cat/1.jpg", "train/dog/1.jpg", "test/Cat/2.jpg"))


def test_one_class_can_be_read_but_not_trained_on(tree: Tree) -> None:
    data = load_dataset(tree("cat/1.jpg", "cat/2.jpg"))
    with pytest.raises(DatasetError, match=r"only one class, 'cat'.*read as a folder per class"):
        split_dataset(data, SplitConfig())


def test_the_same_rows_wherever_the_folder_lies(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tree("cat/1.jpg", "dog/1.jpg")
    monkeypatch.chdir(root)
    assert load_dataset(".").fingerprint == load_dataset(root).fingerprint
    assert load_dataset(".").paths.tolist() == ["cat/1.jpg", "dog/1.jpg"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "no pictures in it"),
        (["cat/1.txt", "notes.md"], "no pictures in it. Files taken for pictures: jpg"),
        (["1.jpg", "2.jpg"], "neither class folders nor a table"),
        (["images/1.jpg"], "neither class folders nor a table"),
        (["train/1.jpg", "test/1.jpg"], "neither class folders nor a table"),
    ],
)
def test_folders_without_classes(tree: Tree, files: list[str], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        load_dataset(tree(*files))


def test_a_missing_path(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"nowhere: cannot be read \(No such file"):
        load_dataset(tmp_path / "nowhere")


def test_a_file_that_is_no_table(tree: Tree) -> None:
    with pytest.raises(DatasetError, match="neither a folder nor a table"):
        load_dataset(tree("model.bin") / "model.bin")


def test_an_unknown_layout(tree: Tree) -> None:
    with pytest.raises(DatasetError, match=r"no layout 'folders'. Did you mean 'folder'"):
        load_dataset(tree("cat/1.jpg"), layout="folders")


def test_options_of_tables(tree: Tree) -> None:
    with pytest.raises(DatasetError, match="knows no --label-column"):
        load_dataset(tree("cat/1.jpg", "dog/1.jpg"), label_column="y")


def test_an_unreadable_folder(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def refuse(path: str) -> object:
        if path.endswith("/cat"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    root = tree("cat/1.jpg", "dog/1.jpg")
    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DatasetError, match=r"/cat: cannot be read \(Permission denied\)"):
        load_dataset(root)


def test_a_file_name_that_is_not_utf8(tree: Tree) -> None:
    root = tree("cat/1.jpg", "dog/1.jpg")
    try:
        Path(os.fsdecode(bytes(root / "cat") + b"/\xff.jpg")).touch()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    with pytest.raises(DatasetError, match=r"'cat/\\udcff.jpg': a file name that is not valid"):
        load_dataset(root)
