"""inspect: what it finds, as text, JSON, report and plan; and what augmentation does."""

import csv
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Discern = Callable[..., Any]


@pytest.fixture
def data(make_photos: Callable[..., Path]) -> Path:
    make_photos("data/train", 6)
    return make_photos("data/val", 2, 6, ("blue", "red")).parent


def test_a_table(discern: Discern, data: Path) -> None:
    ran = discern("inspect", data)
    assert ran.code == 0
    first, table, *_ = ran.out.split("\n\n")
    assert first == f"{data}: a folder per class under train/ and val/."
    assert [line.split() for line in table.splitlines()] == [
        ["class", "train", "validation", "all"],
        ["blue", "6", "2", "8"],
        ["green", "6", "0", "6"],
        ["red", "6", "2", "8"],
        ["all", "18", "4", "22"],
    ]


def test_without_splits_and_labels(discern: Discern, make_photos: Callable[..., Path]) -> None:
    make_photos("photos", 9, 0, ("blue",))
    make_photos("photos", 3, 0, ("red",))
    ran = discern("inspect", "photos")
    assert "blue has 3.0 times as many pictures as red." in ran.out
    assert "no split" in ran.out
    listed = ("image,label,split", "photos/red/00.png,red,train", "photos/red/01.png,,unlabelled")
    Path("list.csv").write_text("\n".join(listed))
    lines = discern("inspect", "list.csv").out.splitlines()
    assert any(line.split() == ["(no", "label)", "0", "1", "1"] for line in lines)


def test_json(discern: Discern, data: Path) -> None:
    found = json.loads(discern("inspect", data, "--json").out)
    assert found["classes"] == ["blue", "green", "red"]
    assert found["counts"]["validation"] == {"blue": 2, "red": 2}
    assert (found["pictures"], found["preview"]) == (22, None)
    assert found["proposed"] == {"drop": 0, "relabel": 0, "move": 0, "keep": 0}


@pytest.fixture
def flawed(data: Path) -> Path:
    """The pictures with flaws: broken, twice, in two splits, of two labels, and of an odd name."""
    train, val = data / "train", data / "val"
    (train / "blue" / "bad.png").write_bytes(b"no picture")
    shutil.copy(train / "red" / "01.png", train / "red" / "copy.png")
    shutil.copy(train / "red" / "02.png", val / "red" / "leak.png")
    shutil.copy(train / "green" / "03.png", train / "blue" / "green.png")
    (train / "green" / "04.png").rename(train / "green" / "=4.png")
    return data


def test_what_was_found(discern: Discern, flawed: Path) -> None:
    ran = discern("inspect", flawed)
    assert (ran.code, ran.err) == (0, "")
    said = ran.out.split("\n\n")
    assert said[2:6] == [
        "1 file cannot be used:\n  train/blue/bad.png: not a picture: unknown format",
        "1 picture is in two splits (1 as the same file):\n  train/red/02.png = val/red/leak.png",
        "1 picture has two labels (1 as the same file):\n"
        "  train/blue/green.png (blue) = train/green/03.png (green)",
        "1 picture is there more than once (1 as the same file):\n"
        "  train/red/01.png = train/red/copy.png",
    ]
    assert "Labels were not checked" in said[-2], "there is no backbone here"
    assert f"discern inspect {flawed} --fix plan.csv" in said[-1]
    assert discern("inspect", flawed, "-q").out == ""


def test_much_is_told_by_examples(discern: Discern, make_photos: Callable[..., Path]) -> None:
    photos = make_photos("photos", 6, 0, ("blue", "red"))
    for picture in (photos / "red").iterdir():
        picture.write_bytes(b"no picture")
    (told,) = (part for part in discern("inspect", photos).out.split("\n\n") if "cannot" in part)
    assert told.startswith("6 files cannot be used:\n  red/00.png: ")
    assert told.splitlines()[4:] == ["  … and 3 more"]


def test_files_that_are_written(discern: Discern, flawed: Path) -> None:
    words = ("inspect", flawed, "-o", "report.html", "--fix", "plan.csv")
    found = json.loads(discern(*words, "--json").out)
    assert found["proposed"] == {"drop": 3, "relabel": 0, "move": 0, "keep": 2}
    assert (found["report"], found["plan"]) == ("report.html", "plan.csv")
    assert Path("report.html").read_text().lower().startswith("<!doctype html>")
    with Path("plan.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = [(row["path"], row["action"]) for row in csv.DictReader(file)]
    assert rows == [
        *(("train/blue/bad.png", "drop"), ("train/red/copy.png", "drop")),
        *(("val/red/leak.png", "drop"), ("train/blue/green.png", "keep")),
        ("train/green/03.png", "keep"),
    ]
    again = discern(*words)
    assert (again.code, again.out) == (2, "")
    assert "report.html exists" in again.err
    ran = discern(*words, "--overwrite")
    assert "Report: report.html" in ran.out
    assert "Plan: plan.csv: 3 drop; 2 keep, for you to decide on." in ran.out
    assert f"discern inspect {flawed} --apply plan.csv -o clean.csv" in ran.out


@pytest.fixture
def snapshot(flawed: Path) -> Iterator[None]:
    """Fails a test that changes the pictures."""
    before = {path: path.read_bytes() for path in flawed.rglob("*.png")}
    yield
    assert {path: path.read_bytes() for path in flawed.rglob("*.png")} == before


@pytest.mark.usefixtures("snapshot")
@pytest.mark.parametrize("place", [".", "elsewhere"])
def test_a_plan_is_applied(discern: Discern, flawed: Path, place: str) -> None:
    """Edited as a person would; and the command that is then shown reads what was written."""
    discern("inspect", flawed, "--fix", "plan.csv", "-q")
    text = Path("plan.csv").read_text(encoding="utf-8")
    text = text.replace('blue/green.png","keep",""', 'blue/green.png","relabel","green"')
    text += '"train/green/=4.png","drop"' + ',""' * 7 + "\n"
    Path("plan.csv").write_text(text, encoding="utf-8")
    Path(place).mkdir(exist_ok=True)
    clean = f"{place}/clean.csv"
    ran = discern("inspect", flawed, "--apply", "plan.csv", "-o", clean)
    assert (ran.code, ran.err) == (0, "")
    assert "6 rows of the plan: 4 dropped, 1 relabelled, 1 left as they are." in ran.out
    command = shlex.split(ran.out.splitlines()[-1])
    assert command[:2] == ["discern", "train"]
    assert command[-2:] == ["-o", "my-model"]
    read = json.loads(discern("inspect", *command[2:-2], "--json").out)
    assert read["counts"] == {
        "train": {"blue": 6, "green": 6, "red": 6},
        "validation": {"blue": 2, "red": 2},
    }
    assert [group["kind"] for group in read["duplicates"]] == ["bytes"], "green, now twice"
    assert read["bad"] == []
    assert read["proposed"]["drop"] == 1


@pytest.mark.usefixtures("snapshot")
def test_what_one_should_know_of_a_listing(discern: Discern, flawed: Path) -> None:
    """Data that have changed, classes that are new, pictures in the cache."""
    Path("plan.csv").write_text(
        "path,action,label,data\ntrain/red/01.png,relabel,ruby,sha256:feed\n"
    )
    ran = discern("inspect", flawed, "--apply", "plan.csv", "-o", "clean.csv", "--json")
    document = json.loads(ran.out)
    assert "'ruby' is a new class" in ran.err
    assert "have changed since" in ran.err
    assert len(document["remarks"]) == 2
    assert document["changes"] == {"drop": 0, "relabel": 1, "move": 0, "keep": 0}
    archive = shutil.make_archive("photos", "zip", flawed)
    ran = discern("inspect", archive, "--apply", "plan.csv", "-o", "packed.csv")
    assert "unpacked into the cache" in ran.err
    command = shlex.split(ran.out.splitlines()[-1])
    assert discern("inspect", *command[2:-2], "-q").code == 0


def test_applying_what_cannot_be(discern: Discern, flawed: Path) -> None:
    Path("plan.csv").write_text("path,action\nnowhere.png,drop\n")
    Path("list.csv").write_text(f"image,label\n{flawed.name}/train/red/01.png,red\n")
    apply = ("--apply", "plan.csv")
    for words, message in (
        ((flawed, *apply), "Name it with -o"),
        ((flawed, *apply, "-o", "clean.html"), "written as CSV"),
        ((flawed, *apply, "-o", "clean.csv", "--mirrored"), "--mirrored is for inspecting"),
        ((flawed, *apply, "-o", "clean.csv", "--fix", "new.csv"), "--fix is for inspecting"),
        ((flawed, *apply, "-o", "plan.csv", "--overwrite"), "would replace plan.csv itself"),
        (("list.csv", *apply, "-o", "list.csv", "--overwrite"), "would replace list.csv itself"),
        ((flawed, *apply, "-o", "clean.csv"), "'nowhere.png'"),
        ((flawed, "--apply", "none.csv", "-o", "clean.csv"), "none.csv: cannot be read"),
        ((flawed, "--fix", "plan.html"), "written as CSV"),
        ((flawed, "--fix", "plan.csv"), "plan.csv exists"),
        ((flawed, "-o", "report.pdf"), "written as HTML"),
    ):
        ran = discern("inspect", *words)
        assert (ran.code, ran.out) == (2, ""), words
        assert message in ran.err
        assert "Traceback" not in ran.err
    assert not list(Path.cwd().glob("clean.*"))
    assert Path("list.csv").read_text().startswith("image,label")


def cells(path: Path, rows: int) -> np.ndarray:
    """The grid's pictures [rows, 7, H, W, 3], found by where the preview's module puts them."""
    from discern.training import augment_preview as layout

    sheet = np.asarray(Image.open(path).convert("RGB"))
    step, side = layout.CELL + layout.GAP, layout.CELL
    first = layout.MARGIN + layout.TITLE + layout.HEADING + layout.NAME
    tops = [first + r * (layout.NAME + step) for r in range(rows)]
    assert sheet.shape[0] == tops[-1] + step + layout.MARGIN
    lefts = [layout.MARGIN + k * step + (2 * layout.GAP if k else 0) for k in range(7)]
    return np.array([[sheet[t : t + side, x : x + side] for x in lefts] for t in tops])


def test_the_preview(discern: Discern, data: Path) -> None:
    (data / "train" / "blue" / "bad.png").write_bytes(b"no picture")
    ran = discern("inspect", data, "--augment-preview", "none.png", "--augment", "none")
    assert ran.code == 0
    assert "none.png" in ran.out
    shown = cells(Path("none.png"), 6)
    assert all(np.array_equal(row[0], cell) for row in shown for cell in row), "as evaluated"
    hues = shown[:3, 0].mean((1, 2)).argmax(1)
    assert sorted(hues) == [0, 1, 2], "a picture of each class, then the next of each"
    discern("inspect", data, "--augment-preview", "light.png", "--rows", 2)
    light = cells(Path("light.png"), 2)
    assert np.array_equal(light[:, 0], shown[:2, 0]), "the same pictures, as evaluated"
    assert not any(np.array_equal(row[0], cell) for row in light for cell in row[1:])
    words = ("inspect", data, "--augment-preview", "light.png", "--rows", 2, "--overwrite")
    before = Path("light.png").read_bytes()
    assert discern(*words, "-q").out == ""
    assert Path("light.png").read_bytes() == before, "the same again"
    discern(*words, "--seed", 5)
    assert Path("light.png").read_bytes() != before


def test_what_is_refused(discern: Discern, data: Path) -> None:
    preview = ("inspect", data, "--augment-preview")
    Path("there.png").write_bytes(b"mine")
    for words, message in (
        ((*preview, "grid.jpg"), "Name it *.png"),
        ((*preview, "there.png"), "--overwrite"),
        ((*preview, "grid.png", "--augment", "weak"), "'none', 'light', 'strong'"),
        (("inspect", data, "--augment", "light"), "Add --augment-preview"),
        (("inspect", "nowhere"), "nowhere"),
    ):
        ran = discern(*words)
        assert (ran.code, ran.out) == (2, "")
        assert message in ran.err
        assert "Traceback" not in ran.err
    assert Path("there.png").read_bytes() == b"mine"
    assert not Path("grid.png").exists()


def test_pictures_that_cannot_be_shown(discern: Discern, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "bad" / name).mkdir(parents=True)
        (tmp_path / "bad" / name / "1.png").write_bytes(b"no picture")
    ran = discern("inspect", "bad", "--augment-preview", "grid.png")
    assert ran.code == 2
    assert "no labelled picture can be decoded" in ran.err
    assert not Path("grid.png").exists()


def test_counting_needs_no_torch(data: Path) -> None:
    code = (
        "import sys; from discern.cli import main; sys.argv = sys.argv[1:]\n"
        "try: main()\n"
        "finally: print('torch' in sys.modules, file=sys.stderr)"
    )
    words = [sys.executable, "-c", code, "discern", "inspect", str(data)]
    ran = subprocess.run(words, capture_output=True, text=True, check=True)
    assert ran.stderr.strip() == "False"
