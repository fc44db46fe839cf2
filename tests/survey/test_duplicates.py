"""Which files hold the same picture: exact, nearly, mirrored, and what does not."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from scenes import encoded_as, saved, scene

from discern.survey.duplicates import Group, find_duplicates
from discern.survey.survey import survey

Change = Callable[[Image.Image], Image.Image]


def duplicates(files: list[Path], **options: bool) -> tuple[Group, ...]:
    return find_duplicates(survey(files), **options)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return [saved(tmp_path / f"{n:02d}.png", scene(n)) for n in range(12)]


def cropped(picture: Image.Image) -> Image.Image:
    w, h = picture.size
    return picture.crop((round(0.05 * w), round(0.05 * h), round(0.95 * w), round(0.95 * h)))


CHANGES: dict[str, Change] = {
    "resized": lambda p: p.resize((round(0.7 * p.width), round(0.7 * p.height))),
    "squeezed": lambda p: p.resize((p.width, round(0.8 * p.height))),
    "cropped": cropped,
    "darker": lambda p: ImageEnhance.Brightness(p).enhance(0.85),
    "brighter": lambda p: ImageEnhance.Brightness(p).enhance(1.15),
    "cropped and darker": lambda p: ImageEnhance.Brightness(cropped(p)).enhance(0.85),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found(change: str, files: list[Path], tmp_path: Path) -> None:
    changed = saved(tmp_path / "changed.jpg", CHANGES[change](scene(7)), "JPEG", quality=80)
    assert duplicates([changed, *files]) == (Group((0, 8), "near"),)


def test_encoded_anew(files: list[Path], tmp_path: Path) -> None:
    again = saved(tmp_path / "again.jpg", scene(3), "JPEG", quality=60)
    assert duplicates([*files, again]) == (Group((3, 12), "near"),)


def test_the_same_bytes_and_the_same_pixels(files: list[Path], tmp_path: Path) -> None:
    copy = tmp_path / "copy.png"
    copy.write_bytes(files[4].read_bytes())
    other = saved(tmp_path / "other.webp", scene(5), "WebP", lossless=True)
    found = duplicates([*files, copy, other])
    assert found == (Group((4, 12), "bytes"), Group((5, 13), "pixels"))
    near = saved(tmp_path / "near.jpg", scene(4), "JPEG", quality=70)
    assert Group((4, 12, 14), "near") in duplicates([*files, copy, other, near])


def test_mirrored_only_if_asked(files: list[Path], tmp_path: Path) -> None:
    turned = scene(6).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    mirrored = saved(tmp_path / "mirrored.png", turned)
    w, h = turned.size
    side = turned.crop((round(0.08 * w), 0, w, h))
    part = saved(tmp_path / "part.png", side)
    assert duplicates([*files, mirrored]) == ()
    assert duplicates([*files, mirrored], mirrored=True) == (Group((6, 12), "near"),)
    assert duplicates([*files, part], mirrored=True) == (Group((6, 12), "near"),)


def test_nothing_depends_on_the_order_or_the_names(files: list[Path], tmp_path: Path) -> None:
    copies = [saved(tmp_path / f"c{n}.jpg", scene(n), "JPEG", quality=70) for n in range(0, 12, 3)]
    every = [*files, *copies]
    there = {frozenset(every[i] for i in g.members) for g in duplicates(every)}
    every.reverse()
    assert {frozenset(every[i] for i in g.members) for g in duplicates(every)} == there
    assert len(there) == len(copies)


def test_alike_is_not_the_same(tmp_path: Path) -> None:
    """One layout with other things in it, as products are photographed."""
    files = []
    for n in range(12):
        table = scene(99, 240, 180)
        table.paste(scene(n, 60, 45), (90, 70))
        files.append(saved(tmp_path / f"{n}.png", table))
    assert duplicates(files) == ()


def test_recoloured_is_another_picture(tmp_path: Path) -> None:
    red, green, blue = scene(1).split()
    other = Image.merge("RGB", (blue, red, green))
    files = [saved(tmp_path / "1.png", scene(1)), saved(tmp_path / "2.png", other)]
    assert duplicates(files) == ()


def test_tiny_and_empty_pictures_are_only_compared_exactly(tmp_path: Path) -> None:
    tiny = [np.full((8, 8), 100, np.uint8) for _ in range(3)]
    tiny[1][3, 3] += 30
    tiny[2][3, 3] += 33
    white = [np.full((64, 64), level, np.uint8) for level in (255, 254, 255)]
    files = [
        saved(tmp_path / f"{n}.png", Image.fromarray(pixels), compress_level=n)
        for n, pixels in enumerate([*tiny, *white])
    ]
    assert duplicates(files) == (Group((3, 5), "pixels"),)


def test_a_chain_is_one_group(files: list[Path], tmp_path: Path) -> None:
    versions = [
        saved(tmp_path / f"v{q}.jpg", scene(2), "JPEG", quality=q) for q in (95, 85, 75, 65)
    ]
    assert duplicates([*files, *versions]) == (Group((2, 12, 13, 14, 15), "near"),)


def test_what_was_found_is_found_again_without_reading(files: list[Path], tmp_path: Path) -> None:
    copy = saved(tmp_path / "copy.jpg", scene(3), "JPEG", quality=70)
    every = [*files, copy]
    for file in every:
        os.utime(file, (1_700_000_000, 1_700_000_000))
    first = duplicates(every)
    for file in every:
        file.write_bytes(bytes(file.stat().st_size))
        os.utime(file, (1_700_000_000, 1_700_000_000))
    assert duplicates(every) == first != ()


def test_a_damaged_cache_is_no_harm(files: list[Path], cache: Path) -> None:
    first = duplicates([*files, files[0]])
    (kept,) = (cache / "duplicates").iterdir()
    kept.write_bytes(encoded_as(scene(1))[:50])
    assert duplicates([*files, files[0]]) == first == (Group((0, 12), "bytes"),)


def test_files_that_are_gone_when_they_are_compared(files: list[Path], tmp_path: Path) -> None:
    copy = saved(tmp_path / "copy.jpg", scene(3), "JPEG", quality=70)
    found = survey([*files, copy])
    copy.unlink()
    assert find_duplicates(found) == ()


def test_none_and_one(files: list[Path]) -> None:
    assert duplicates([]) == ()
    assert duplicates(files[:1]) == ()


def test_a_cache_that_cannot_be_written(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISCERN_CACHE", str(saved(tmp_path / "file", scene(1)) / "cache"))
    assert duplicates([*files, files[0]]) == (Group((0, 12), "bytes"),)
