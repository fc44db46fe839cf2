import sys
from pathlib import Path

import pytest
from trees import Tree

from discern.data import Dataset, load_dataset
from discern.errors import DatasetError


def rows(data: Dataset) -> list[tuple[str, str]]:
    return list(zip(data.paths.tolist(), data.labels.tolist(), strict=True))


def read(root: Path, **options: str | list[str]) -> Dataset:
    return load_dataset(root / "labels.csv", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_delimiters_and_byte_order_marks(tree: Tree, delimiter: str, bom: str) -> None:
    text = f"{bom}image,label\na.jpg,cat\nb.jpg,dog\n".replace(",", delimiter)
    data = read(tree("a.jpg", "b.jpg", labels=text))
    assert rows(data) == [("a.jpg", "cat"), ("b.jpg", "dog")]
    assert data.source == "labels.csv: pictures from 'image', labels from 'label'"


@pytest.mark.parametrize(
    "header",
    ["image,label", "Filename,Class", "path,category", "img,target", "Id,breed", "image_id,y",
     "File Path,Species", "what,ever"],
)  # fmt: skip
def test_usual_columns(tree: Tree, header: str) -> None:
    assert rows(read(tree("a.jpg", labels=f"{header}\na.jpg,cat\n"))) == [("a.jpg", "cat")]


def test_of_two_columns_the_other_one(tree: Tree) -> None:
    assert rows(read(tree("a.jpg", labels="label,thing\ncat,a.jpg\n"))) == [("a.jpg", "cat")]


def test_named_columns(tree: Tree) -> None:
    root = tree("a.jpg", labels="image,where,label,what\nx,a.jpg,7,cat\n")
    data = read(root, image_column="where", label_column="what")
    assert rows(data) == [("a.jpg", "cat")]


def test_columns_that_cannot_be_told(tree: Tree) -> None:
    root = tree("a.jpg", labels="image,cat,dog\na.jpg,1,0\n")
    with pytest.raises(DatasetError, match=r"holds the labels. Its columns: image, cat, dog") as e:
        read(root)
    assert "--image-column and --label-column" in str(e.value)


def test_a_column_that_is_not_there(tree: Tree) -> None:
    with pytest.raises(DatasetError, match=r"no column 'lable' \(--label-column\).*'label'"):
        read(tree("a.jpg", labels="image,label\na.jpg,cat\n"), label_column="lable")


@pytest.mark.parametrize("cell", ["007", "007.jpg", "train/007", "train/007.jpg", "./007.jpg",
                                  r"train\007.jpg"])  # fmt: skip
def test_ids_are_found_and_keep_their_zeros(tree: Tree, cell: str) -> None:
    root = tree("train/007.jpg", "train/7.jpg", labels=f"id,label\n{cell},1\n")
    assert rows(read(root)) == [("train/007.jpg", "1")]


def test_an_id_with_a_dot(tree: Tree) -> None:
    assert rows(read(tree("v1.2.jpg", labels="id,label\nv1.2,a\n"))) == [("v1.2.jpg", "a")]


def test_an_id_that_two_pictures_share(tree: Tree) -> None:
    root = tree("x/a.jpg", "y/a.png", labels="id,label\na,cat\n")
    with pytest.raises(DatasetError, match=r"row 2 has 'a', which may be x/a.jpg or y/a.png"):
        read(root)


def test_the_usual_folder_wins_over_another(tree: Tree) -> None:
    root = tree("images/a.jpg", "thumbnails/a.jpg", labels="id,label\na,cat\n")
    assert rows(read(root)) == [("images/a.jpg", "cat")]


def test_the_folder_named_like_the_table_wins(tree: Tree) -> None:
    root = tree("train/a.jpg", "test/a.jpg", test="id,label\na,cat\n")
    assert rows(load_dataset(root / "test.csv")) == [("test/a.jpg", "cat")]


@pytest.mark.parametrize("cell", ["a", "a.jpg", "photos/a.jpg"])
def test_pictures_elsewhere(tree: Tree, cell: str) -> None:
    root = tree("photos/a.jpg", "photos2/a.jpg", labels=f"id,label\n{cell},cat\n")
    data = load_dataset(root / "labels.csv", images=root / "photos")
    assert (data.root, rows(data)) == (root / "photos", [("a.jpg", "cat")])


def test_an_absolute_path_inside(tree: Tree, tmp_path: Path) -> None:
    root = tree("x/a.jpg", labels=f"id,label\n{tmp_path}/x/a.jpg,cat\n")
    assert rows(read(root)) == [("x/a.jpg", "cat")]


@pytest.mark.parametrize(
    "cell", ["../../secret.jpg", "/etc/passwd.jpg", "https://x.org/a.jpg", "a\0.jpg", "", "..",
             "x/../../secret.jpg", r"..\secret.jpg"]
)  # fmt: skip
def test_paths_that_lead_outside(tree: Tree, cell: str) -> None:
    tree("secret.jpg")
    root = tree("in/a.jpg") / "in"
    (root / "labels.csv").write_text(f"image,label\na.jpg,cat\n{cell},dog\n")
    with pytest.raises(DatasetError) as caught:
        read(root)
    assert f"row 3 names {cell!r}" in str(caught.value)


def test_missing_pictures(tree: Tree) -> None:
    text = "image,label\n" + "".join(f"{i}.jpg,cat\n" for i in range(6))
    with pytest.raises(DatasetError, match=r"5 pictures are missing") as caught:
        read(tree("2.jpg", labels=text))
    assert "'0.jpg' (row 2), '1.jpg' (row 3), '3.jpg' (row 5), …" in str(caught.value)


def test_missing_labels(tree: Tree) -> None:
    text = "image,label\na.jpg,cat\nb.jpg,\n\nc.jpg,  \na.jpg,cat\n"
    with pytest.raises(DatasetError, match=r"labels missing: rows 3, 5\.") as caught:
        read(tree("a.jpg", "b.jpg", "c.jpg", labels=text))
    assert "'unlabelled' in a column named split" in str(caught.value)


def test_splits(tree: Tree) -> None:
    text = "image,label,split\na.jpg,cat,Train\nb.jpg,dog,val\nc.jpg,cat,TEST\nd.jpg,,unlabeled\n"
    data = read(tree("a.jpg", "b.jpg", "c.jpg", "d.jpg", labels=text))
    assert data.splits.tolist() == ["train", "validation", "test", "unlabelled"]
    assert data.source.endswith("splits from 'split'")


def test_a_column_of_folds_is_no_split(tree: Tree) -> None:
    text = "image,label,set\na.jpg,cat,1\nb.jpg,dog,train\n"
    root = tree("a.jpg", "b.jpg", labels=text)
    data = read(root)
    assert data.split_names == ()
    assert data.source.endswith("no splits found in 'set'")
    with pytest.raises(DatasetError, match="column 'set' holds '1', which is no split"):
        read(root, split_column="set")


def test_groups(tree: Tree) -> None:
    root = tree("a.jpg", "b.jpg", labels="image,label,patient\na.jpg,cat,07\nb.jpg,dog,\n")
    assert read(root, group_column="patient").groups.tolist() == ["07", ""]


def test_the_same_row_twice_is_kept_once(tree: Tree) -> None:
    text = "id,label\nb,dog\na,cat\nb.jpg,dog\na,cat\n"
    assert rows(read(tree("a.jpg", "b.jpg", labels=text))) == [("b.jpg", "dog"), ("a.jpg", "cat")]


@pytest.mark.parametrize(
    ("second", "message"),
    [("dog,train", "label 'cat' and 'dog'"), ("cat,test", "split 'train' and 'test'")],
)
def test_a_picture_listed_with_two_answers(tree: Tree, second: str, message: str) -> None:
    text = f"image,label,split\na.jpg,cat,train\nb.jpg,cat,train\na,{second}\n"
    with pytest.raises(DatasetError, match=f"'a.jpg' is listed twice, with {message}"):
        read(tree("a.jpg", "b.jpg", labels=text))


def test_labels_that_look_alike(tree: Tree) -> None:
    with pytest.raises(DatasetError, match="'Cat' and 'cat'"):
        read(tree("a.jpg", "b.jpg", labels="image,label\na.jpg,cat\nb.jpg,Cat\n"))


def test_labels_with_commas_quotes_and_lines(tree: Tree) -> None:
    text = 'image,label\na.jpg,"cat, ""big""\nold"\nb.jpg, dog\n'
    assert read(tree("a.jpg", "b.jpg", labels=text)).labels.tolist() == ['cat, "big"\nold', "dog"]


def test_a_folder_with_a_table_and_pictures(tree: Tree) -> None:
    root = tree("images/a.jpg", labels="image,label\na.jpg,cat\n")
    assert rows(load_dataset(root)) == [("images/a.jpg", "cat")]


def test_class_folders_go_before_a_table(tree: Tree) -> None:
    root = tree("cat/a.jpg", "dog/b.jpg", labels="image,label\ncat/a.jpg,x\n")
    assert load_dataset(root).classes == ("cat", "dog")


def test_of_several_tables_the_usable_one(tree: Tree) -> None:
    root = tree("train/a.jpg", labels="id,breed\na,pug\n", submission="id,pug,husky\na,1,0\n")
    assert load_dataset(root).classes == ("pug",)


def test_several_usable_tables(tree: Tree) -> None:
    root = tree("a.jpg", one="id,label\na,x\n", two="id,label\na,y\n")
    with pytest.raises(DatasetError, match=r"2 tables \(one.csv, two.csv\).*one.csv"):
        load_dataset(root)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"image,label\n", "no rows below its header"),
        (b"a.jpg,cat\nb.jpg,dog\n", "has no header"),
        (b"image,label\na.jpg\n", "row 2 does not fit the header: 1 of 2 cells"),
        (b"image,label\na.jpg,cat,x\n", "row 2 does not fit the header: 3 of 2 cells"),
        (b'image,label\na.jpg,"cat\n', "is no valid CSV"),
        (b"image,label\na.jpg," + b"c" * 200_000, "is no valid CSV"),
        ("image,label\na.jpg,chat gâté\n".encode("latin-1"), "is no UTF-8 text"),
        ("image,label\na.jpg,cat\n".encode("utf-16"), "is no UTF-8 text"),
        (b"label\ncat\n", "which column holds the pictures"),
    ],
)
def test_tables_that_cannot_be_read(tree: Tree, content: bytes, message: str) -> None:
    root = tree("a.jpg")
    (root / "labels.csv").write_bytes(content)
    with pytest.raises(DatasetError, match=message) as caught:
        read(root)
    assert len(str(caught.value).splitlines()) <= 3


def test_a_missing_folder_of_pictures(tree: Tree) -> None:
    root = tree(labels="image,label\na.jpg,cat\n")
    with pytest.raises(DatasetError, match="nowhere: cannot be read"):
        load_dataset(root / "labels.csv", images=root / "nowhere")


def test_many_folders_with_one_name(tree: Tree) -> None:
    names = [f"p{i}/scan.jpg" for i in range(300)]
    text = "image,label\n" + "".join(f"{name},x\n" for name in names)
    assert read(tree(*names, labels=text)).paths.tolist() == names


def test_metadata_are_columns_by_name(tree: Tree) -> None:
    text = "image,label,age,place\nb.jpg,cat, 7 ,\na.jpg,dog,,x y\n"
    data = read(tree("a.jpg", "b.jpg", labels=text), metadata=["place", "age", "place"])
    assert {k: v.tolist() for k, v in data.metadata.items()} == {
        "place": ["", "x y"],
        "age": ["7", ""],
    }
    assert data.source.endswith("labels from 'label', metadata from 'place', 'age'")
    assert read(data.root).metadata == {}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("aeg", r"no column 'aeg' \(--metadata\). Did you mean 'age'\?"),
        ("label", "column 'label' holds the labels, which are no metadata"),
        ("image", "column 'image' holds the pictures, which are no metadata"),
        ("split", "column 'split' holds the splits, which are no metadata"),
    ],
)
def test_names_that_are_no_metadata(tree: Tree, name: str, message: str) -> None:
    root = tree("a.jpg", labels="image,label,split,age\na.jpg,cat,train,7\n")
    with pytest.raises(DatasetError, match=message):
        read(root, metadata=name)


def test_rows_that_contradict_in_their_metadata(tree: Tree) -> None:
    root = tree("a.jpg", labels="image,label,age\na.jpg,cat,7\na.jpg,cat,8\n")
    with pytest.raises(DatasetError, match="listed twice, with age '7' and '8'"):
        read(root, metadata="age")
    assert len(read(root)) == 1


def test_excluded_classes_take_their_metadata_along(tree: Tree) -> None:
    root = tree("a.jpg", "b.jpg", labels="image,label,age\na.jpg,cat,7\nb.jpg,dog,8\n")
    assert read(root, metadata="age", exclude="cat").metadata["age"].tolist() == ["8"]


@pytest.fixture
def parquet(tree: Tree) -> Path:
    """A table of typed columns, some of them nested or of bytes."""
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    root = tree("a.jpg", "b.jpg", "c.jpg")
    columns = {
        "image": pa.array(["a.jpg", "b.jpg", "c.jpg"]),
        "label": pa.array(["cat", "dog", "cat"]).dictionary_encode(),
        "age": pa.array([7.0, 8.5, None]),
        "taken": pa.array([1717165800, None, 0], pa.timestamp("s")),
        "sharp": pa.array([True, None, False]),
        "box": pa.array([[1, 2], [3], None]),
        "bytes": pa.array([b"1", b"2", b"3"]),
    }
    pyarrow.parquet.write_table(pa.table(columns), root / "labels.parquet")
    return root


def test_a_parquet_table(parquet: Path) -> None:
    data = load_dataset(parquet, metadata=["age", "taken", "sharp"])
    assert rows(data) == [("a.jpg", "cat"), ("b.jpg", "dog"), ("c.jpg", "cat")]
    assert data.metadata["age"].tolist() == ["7", "8.5", ""]
    assert data.metadata["taken"].tolist() == [
        "2024-05-31 14:30:00.000",
        "",
        "1970-01-01 00:00:00.000",
    ]
    assert data.metadata["sharp"].tolist() == ["true", "", "false"]
    assert data.source.startswith("labels.parquet: pictures from 'image', labels from 'label'")


@pytest.mark.parametrize("name", ["box", "bytes"])
def test_parquet_columns_that_are_no_texts_or_numbers(parquet: Path, name: str) -> None:
    with pytest.raises(DatasetError, match=f"no column '{name}'.*image, label, age, taken, sharp"):
        load_dataset(parquet / "labels.parquet", metadata=name)


def test_a_missing_picture_of_a_parquet_table_has_its_row(parquet: Path) -> None:
    (parquet / "b.jpg").unlink()
    with pytest.raises(DatasetError, match=r"1 picture is missing.*'b.jpg' \(row 2\)"):
        load_dataset(parquet)


def test_a_broken_parquet_table(tree: Tree) -> None:
    pytest.importorskip("pyarrow")
    path = tree("a.jpg") / "labels.parquet"
    path.write_bytes(b"PAR1 but not really")
    with pytest.raises(DatasetError, match="is no valid Parquet file"):
        load_dataset(path)


def test_parquet_without_pyarrow(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree("a.jpg", labels="image,label\na.jpg,cat\n")
    (root / "other.parquet").touch()
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(DatasetError, match=r"needs pyarrow\. pip install pyarrow"):
        load_dataset(root / "other.parquet")
    assert len(load_dataset(root)) == 1  # the CSV beside it needs none
