"""One look at every picture: what is kept of it, and what is not looked at again."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scenes import saved, scene

from discern.images.statistics import measured
from discern.survey.survey import COLOUR, GREY, survey


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return [saved(tmp_path / f"{seed}.png", scene(seed, 90, 60 + seed)) for seed in range(5)]


def test_a_record_says_what_the_picture_is(files: list[Path]) -> None:
    found = survey(files)
    assert found.column("width").tolist() == [90] * 5
    assert found.column("height").tolist() == [60, 61, 62, 63, 64]
    assert set(found.column("format")) == {"PNG"}
    assert set(found.column("mode")) == {"RGB"}
    assert found.column("bytes").tolist() == [file.stat().st_size for file in files]
    statistics = [measured(file.read_bytes())[0] for file in files]
    for name in ("brightness", "contrast", "sharpness"):
        assert found.column(name) == pytest.approx([getattr(each, name) for each in statistics])


def test_the_small_forms_are_the_picture_only_smaller(files: list[Path]) -> None:
    found = survey(files)
    picture = Image.open(files[3])
    for name, kind, side in (("grey", "L", GREY), ("colour", "RGB", COLOUR)):
        small = np.asarray(picture.convert(kind).resize((side, side), Image.Resampling.BOX), float)
        kept = found.records[name][found.index[3]].astype(float)
        assert np.corrcoef(small.ravel(), kept.ravel())[0, 1] > 0.99


def test_copies_share_a_record_and_bad_files_have_none(files: list[Path], tmp_path: Path) -> None:
    copy, bad = tmp_path / "copy.png", tmp_path / "bad.png"
    copy.write_bytes(files[2].read_bytes())
    bad.write_bytes(b"\x89PNG\r\n\x1a\n, and no more")
    found = survey([*files, copy, bad, tmp_path / "none.png"])
    assert len(found.records) == len(found.digests) == 5
    assert found.index.tolist() == [0, 1, 2, 3, 4, 2, -1, -1]
    assert set(found.failures) == {str(bad), str(tmp_path / "none.png")}
    assert found.column("height").tolist() == [60, 61, 62, 63, 64, 62]


def test_a_second_look_reads_no_pixel(files: list[Path]) -> None:
    for file in files:
        os.utime(file, (1_700_000_000, 1_700_000_000))
    first = survey(files)
    for file in files:
        file.write_bytes(bytes(file.stat().st_size))
        os.utime(file, (1_700_000_000, 1_700_000_000))
    assert survey(files).records.tobytes() == first.records.tobytes()


def test_no_files_at_all() -> None:
    found = survey([])
    assert (len(found.records), found.digests.shape) == (0, (0, 16))
