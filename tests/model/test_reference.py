"""Reference pictures are small, decodable, and come back as they were kept."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from discern.errors import ModelDamagedError, PictureError
from discern.images import decode
from discern.model.reference import (
    AT_LEAST,
    AT_MOST,
    EXPECTED,
    KEEP_BYTES,
    SIDE,
    Reference,
    read_references,
    reference_files,
    small_form,
    small_forms,
    spread,
    suffix,
)


def noise(height: int, width: int, kind: str = "PNG") -> bytes:
    """A picture that hardly compresses."""
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def test_a_small_picture_is_kept_as_it_is() -> None:
    data = noise(100, 120)
    assert len(data) <= KEEP_BYTES
    assert small_form(data) is data


@pytest.mark.parametrize(("height", "width"), [(900, 600), (200, 1500), (400, 400)])
def test_a_large_one_is_shrunk_in_its_proportions(height: int, width: int) -> None:
    data = noise(height, width)
    assert len(data) > KEEP_BYTES
    small = small_form(data)
    image = decode(small)
    assert max(image.size) <= SIDE
    assert image.width / image.height == pytest.approx(width / height, rel=0.01)
    assert len(small) < len(data)
    assert suffix(small) == ".jpg"


@pytest.mark.parametrize("data", [b"", b"no picture", noise(20, 20)[:60]])
def test_what_cannot_be_decoded_is_no_reference(data: bytes) -> None:
    with pytest.raises(PictureError):
        small_form(data)


def test_the_first_that_can_be_decoded_are_taken(pictures: list[Path], tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"bad")
    found = small_forms([bad, tmp_path / "none", *pictures], limit=3)
    assert found == [path.read_bytes() for path in pictures[:3]]


def test_a_file_over_the_limits_is_not_read(pictures: list[Path], tmp_path: Path) -> None:
    huge = tmp_path / "huge.png"
    with huge.open("wb") as file:
        file.truncate(10**10)  # sparse: reading it would take 10 GB of memory
    assert small_forms([huge, pictures[0]], limit=1) == [pictures[0].read_bytes()]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("JPEG", ".jpg"), ("PNG", ".png"), ("GIF", ".gif"), ("BMP", ".bmp"), ("WEBP", ".img")],
)
def test_suffixes(kind: str, expected: str) -> None:
    assert suffix(noise(8, 8, kind)) == expected


def test_what_was_written_is_read(tmp_path: Path) -> None:
    references = [Reference(f"{i}.png", noise(8, 8 + i), {"ä": 0.25, "b": 0.75}) for i in range(3)]
    for name, data in reference_files(references).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    assert read_references(tmp_path) == references


@pytest.mark.parametrize(
    "expected",
    [
        None,
        "{",
        "5",
        "[5]",
        "[{}]",
        '[{"picture": "none.png", "probabilities": {}}]',
        '[{"picture": "0.png", "probabilities": []}]',
        '[{"picture": "0.png", "probabilities": {}}]',
        '[{"picture": "0.png", "probabilities": {"a": "x"}}]',
        '[{"picture": "../secret", "probabilities": {"a": 1}}]',
        '[{"picture": 5, "probabilities": {"a": 1}}]',
    ],
)
def test_expectations_that_cannot_be_used(tmp_path: Path, expected: str | None) -> None:
    path = tmp_path / EXPECTED
    path.parent.mkdir()
    (tmp_path / "secret").write_bytes(noise(8, 8))
    (path.parent / "0.png").write_bytes(noise(8, 8))
    if expected is not None:
        path.write_text(expected)
    with pytest.raises(ModelDamagedError, match=r"expected\.json"):
        read_references(tmp_path)


def test_clear_answers_are_preferred_where_there_are_enough() -> None:
    margins = np.full(30, 0.5)
    margins[::2] = 0.01
    assert spread(margins) == list(range(1, 30, 2))
    assert spread(np.full(40, 0.5)) == list(range(AT_MOST))
    few = np.full(20, 0.01)
    few[: AT_LEAST - 1] = 0.5
    assert spread(few) == list(range(AT_MOST))
    assert spread(np.array([0.01, 0.5])) == [0, 1]
