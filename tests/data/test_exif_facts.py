"""What a picture's file says of when, where and with what it was taken."""

import os
import struct
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from discern.data import load_dataset
from discern.errors import DatasetError
from discern.images.exif import exif_facts

BERLIN = {1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)}
ALL = {
    "taken_at": "2024-05-31T14:30:05",
    "lat": "52.520000",
    "lon": "13.405000",
    "device": "Pixel 8",
}


def picture(
    kind: str = "JPEG",
    *,
    model: str | None = "Pixel 8",
    photo: dict[int, Any] | None = None,
    gps: dict[int, Any] | None = None,
) -> bytes:
    """A small picture with these tags; by default all that is looked for."""
    exif = Image.Exif()
    if model is not None:
        exif[0x0110] = model
    exif.get_ifd(0x8769).update({0x9003: "2024:05:31 14:30:05"} if photo is None else photo)
    exif.get_ifd(0x8825).update(BERLIN if gps is None else gps)
    if kind == "TIFF":  # Pillow saves no time or place into one; EXIF is a TIFF without pixels
        return exif.tobytes().removeprefix(b"Exif\0\0")
    file = BytesIO()
    options = {} if kind in ("GIF", "BMP") else {"exif": exif}
    Image.new("RGB", (8, 6), "red").save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_all_facts_of_each_format(kind: str, tmp_path: Path) -> None:
    data = picture(kind)
    path = tmp_path / "picture"
    path.write_bytes(data)
    assert exif_facts(data) == exif_facts(path) == exif_facts(str(path)) == ALL


@pytest.mark.parametrize("kind", ["GIF", "BMP"])
def test_formats_that_carry_none(kind: str) -> None:
    assert exif_facts(picture(kind)) == {}


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ({"model": None}, {"taken_at", "lat", "lon"}),
        ({"model": " \0junk"}, {"taken_at", "lat", "lon"}),
        ({"photo": {}}, {"lat", "lon", "device"}),
        ({"photo": {0x9003: "0000:00:00 00:00:00"}}, {"lat", "lon", "device"}),
        ({"photo": {0x9003: "    :  :     :  :  "}}, {"lat", "lon", "device"}),
        ({"photo": {0x9003: "2024:13:31 14:30:05"}}, {"lat", "lon", "device"}),
        ({"photo": {0x9004: "2024:05:31 14:30:05"}}, set(ALL)),
        ({"gps": {}}, {"taken_at", "device"}),
        ({"gps": {2: BERLIN[2], 4: BERLIN[4]}}, {"taken_at", "device"}),  # north or south?
        ({"gps": BERLIN | {2: (91.0, 0.0, 0.0)}}, {"taken_at", "device"}),
        ({"gps": {1: "N", 2: (0.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)}}, {"taken_at", "device"}),
        ({"gps": BERLIN | {2: (52.0,)}}, {"taken_at", "device"}),
    ],
)
def test_what_is_absent_or_impossible_is_left_out(tags: dict[str, Any], found: set[str]) -> None:
    facts = exif_facts(picture(**tags))
    assert facts == {name: value for name, value in ALL.items() if name in found}


def test_south_and_west_are_negative() -> None:
    facts = exif_facts(picture(gps=BERLIN | {1: "S", 3: "W"}))
    assert (facts["lat"], facts["lon"]) == ("-52.520000", "-13.405000")


def test_both_byte_orders() -> None:
    little = Image.Exif()
    little.endian = "<"
    big = Image.Exif()
    big.endian = ">"
    for exif in (little, big):
        exif[0x0110] = "A model of more than four letters"
        file = BytesIO()
        Image.new("RGB", (8, 6)).save(file, "JPEG", exif=exif)
        assert exif_facts(file.getvalue()) == {"device": "A model of more than four letters"}


def test_a_fraction_without_denominator_is_no_place() -> None:
    data = picture()
    minutes = struct.pack("<II", 31, 1)
    assert data.count(minutes) == 1
    broken = data.replace(minutes, bytes(8))
    assert exif_facts(broken) == {k: v for k, v in ALL.items() if k in ("taken_at", "device")}


def test_files_that_cannot_be_read_say_nothing(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (tmp_path, tmp_path / "missing", pipe, "\0"):
        assert exif_facts(path) == {}


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(["JPEG", "PNG", "WEBP", "TIFF"]), st.data())
def test_damage_never_raises(kind: str, data: st.DataObject) -> None:
    whole = bytearray(picture(kind))
    for _ in range(data.draw(st.integers(1, 12))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    facts = exif_facts(bytes(whole[: data.draw(st.integers(0, len(whole)))]))
    assert facts.keys() <= ALL.keys()
    assert all(text and text.isprintable() for text in facts.values())


@given(st.binary(max_size=200))
def test_anything_never_raises(data: bytes) -> None:
    assert exif_facts(data).keys() <= ALL.keys()


def test_a_folder_with_the_facts_of_its_files(tmp_path: Path) -> None:
    for name, data in {"a/1": picture(), "a/2": b"broken", "b/1": picture(gps={})}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.jpg").write_bytes(data)
    data = load_dataset(tmp_path, metadata="exif")
    assert {name: column.tolist() for name, column in data.metadata.items()} == {
        "taken_at": [ALL["taken_at"], "", ALL["taken_at"]],
        "lat": ["52.520000", "", ""],
        "lon": ["13.405000", "", ""],
        "device": ["Pixel 8", "", "Pixel 8"],
    }
    assert data.source == "a folder per class; EXIF in 2 of 3 files"


def test_a_folder_has_no_columns(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.jpg").touch()
    with pytest.raises(DatasetError, match=r"has no column 'age'.\nUse --metadata exif") as caught:
        load_dataset(tmp_path, metadata=["exif", "age"])
    assert "name a table with that column" in str(caught.value)


def test_what_the_table_says_wins_over_the_file(tmp_path: Path) -> None:
    for name in ("1", "2"):
        (tmp_path / f"{name}.jpg").write_bytes(picture())
    (tmp_path / "labels.csv").write_text("image,label,device,age\n1.jpg,a,Leica,7\n2.jpg,b,,8\n")
    data = load_dataset(tmp_path / "labels.csv", metadata=["exif", "age", "device"])
    assert list(data.metadata) == ["age", "device", "taken_at", "lat", "lon"]
    assert data.metadata["device"].tolist() == ["Leica", "Pixel 8"]
    assert data.metadata["age"].tolist() == ["7", "8"]
    assert data.metadata["lat"].tolist() == ["52.520000"] * 2
