"""inspect: counts as a table and as JSON, and the picture of what augmentation does."""

import json
import subprocess
import sys
from collections.abc import Callable
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
    table = [line.split() for line in ran.out.splitlines() if line][1:]
    assert table == [
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
