"""`discern predict --submission`: the sample's rows and columns, or nothing."""

import csv
import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Discern = Callable[..., Any]
SAMPLE = "sample_submission.csv"


@pytest.fixture
def data(photos: Path) -> Path:
    """A competition's folder: the pictures to predict are test/0001.png to test/0003.png."""
    folder = photos.parent / "competition"
    for part, label, number in (("test", "red", 3), ("test", "blue", 1), ("test", "green", 2),
                                ("train", "red", 1)):  # fmt: skip
        (folder / part).mkdir(parents=True, exist_ok=True)
        shutil.copy(photos / label / "05.png", folder / part / f"{number:04d}.png")
    return folder


def written(discern: Discern, model: Path, data: Path, sample: str) -> list[list[str]]:
    (data / SAMPLE).write_text(sample)
    ran = discern("predict", model, data, "--submission", data / SAMPLE, "--csv", "out.csv", "-q")
    assert ran.code == 0, ran.err
    return list(csv.reader(io.StringIO(Path("out.csv").read_text())))


@pytest.mark.parametrize("form", ["{}", "{:04d}", "{:04d}.png", "test/{}.png"])
def test_a_column_of_labels(discern: Discern, model: Path, data: Path, form: str) -> None:
    ids = [form.format(i) for i in (3, 1, 2)]
    found = written(discern, model, data, "id,class\n" + "".join(f"{i},red\n" for i in ids))
    assert found == [["id", "class"], *map(list, zip(ids, ["red", "blue", "green"], strict=True))]


def test_a_column_per_class(discern: Discern, model: Path, data: Path) -> None:
    found = written(discern, model, data, "red,id,green,blue\n0,2,0,0\n1,1,0,0\n")
    assert found[0] == ["red", "id", "green", "blue"]
    assert [row[1] for row in found[1:]] == ["2", "1"]
    for row, best in zip(found[1:], (2, 3), strict=True):
        values = {at: float(row[at]) for at in (0, 2, 3)}
        assert abs(sum(values.values()) - 1) < 1e-6
        assert max(values, key=values.__getitem__) == best


def test_the_probability_of_one_class(discern: Discern, model: Path, data: Path) -> None:
    found = written(discern, model, data, "id,red\n3,0.5\n1,0.5\n")
    assert float(found[1][1]) > 0.5 > float(found[2][1])


@pytest.mark.parametrize(
    ("sample", "fault"),
    [
        ("id,class\n3,red\n7,red\n", "1 of its rows have no picture in .*: '7' (row 3)"),
        ("id,red,green\n1,0,1\n", "no column for 'blue'"),
        ("id,red,green,blue,pink\n1,0,0,0,1\n", "asks for 'pink'"),
        ("id,class\n1,0.5\n", "a probability, and no class's name"),
        ("id,class\n", "has no rows"),
        ("id\n1\n", "has ids only"),
    ],
)
def test_samples_that_cannot_be_filled(
    discern: Discern, model: Path, data: Path, sample: str, fault: str
) -> None:
    (data / SAMPLE).write_text(sample)
    ran = discern("predict", model, data, "--submission", data / SAMPLE, "--csv", "out.csv")
    assert ran.code == 2
    start, _, end = fault.partition(".*")
    assert start in ran.err
    assert end in ran.err
    assert not list(Path().glob("out.csv*"))


def test_a_picture_that_cannot_be_read(discern: Discern, model: Path, data: Path) -> None:
    (data / SAMPLE).write_text("id,class\n3,red\n2,red\n1,red\n")
    (data / "test" / "0002.png").write_bytes(b"no picture")
    ran = discern("predict", model, data, "--submission", data / SAMPLE, "--csv", "out.csv")
    assert ran.code == 2
    assert "row 3 would be missing" in ran.err
    assert "0002.png: not a picture" in ran.err
    assert not list(Path().glob("out.csv*"))


def test_what_the_command_must_say(discern: Discern, model: Path, data: Path) -> None:
    (data / SAMPLE).write_text("id,class\n3,red\n")
    words = ("predict", model, data, "--submission", data / SAMPLE)
    assert "Add --csv FILE" in discern(*words).err
    assert "takes one folder" in discern(*words, data, "--csv", "out.csv").err


def test_trained_on_the_competition_s_data(discern: Discern, data: Path, photos: Path) -> None:
    rows = [
        f"{path.parent.name}-{path.name},{path.parent.name}"
        for path in sorted(photos.rglob("*.png"))
    ]
    for path in photos.rglob("*.png"):
        shutil.copy(path, data / "train" / f"{path.parent.name}-{path.name}")
    (data / "train.csv").write_text("\n".join(["id,colour", *rows]) + "\n")
    (data / SAMPLE).write_text("id,colour\n1,red\n2,red\n3,red\n")
    ran = discern("inspect", data, "--json")
    assert '"unlabelled"' in ran.out
    assert ran.code == 0
