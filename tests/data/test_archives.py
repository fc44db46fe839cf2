"""zip and tar archives: read as what is in them, refused where they are hostile."""

import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from discern.data import Dataset, load_dataset
from discern.data.readers.archive_members import ArchiveLimits, members
from discern.data.unpacked import Notes
from discern.errors import DatasetError

PICTURES = ("cat/1.jpg", "cat/2.jpg", "dog/1.jpg")


def zipped(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, name.encode())
    return path


def tarred(path: Path, *names: str, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(name)
            archive.addfile(info, io.BytesIO(name.encode()))
    return path


def rows(data: Dataset) -> list[tuple[str, str]]:
    return sorted(zip(data.paths.tolist(), data.labels.tolist(), strict=True))


@pytest.mark.parametrize(
    ("suffix", "mode"),
    [("zip", ""), ("tar", "w"), ("tar.gz", "w:gz"), ("tgz", "w:gz"), ("tar.bz2", "w:bz2"),
     ("tar.xz", "w:xz"), ("TAR.GZ", "w:gz")],
)  # fmt: skip
def test_a_folder_per_class(tmp_path: Path, suffix: str, mode: str) -> None:
    path = tmp_path / f"photos.{suffix}"
    made = tarred(path, *PICTURES, mode=mode) if mode else zipped(path, *PICTURES)
    data = load_dataset(made)
    assert rows(data) == [(name, name[:3]) for name in PICTURES]
    assert data.source == f"{path.name}: a folder per class"
    assert [file.read_bytes().decode() for file in data.files()] == data.paths.tolist()
    assert data.root.name == path.name


def test_splits_litter_and_the_folder_around_them(tmp_path: Path) -> None:
    names = [f"photos/{split}/{name}" for split in ("train", "test") for name in PICTURES]
    litter = ("__MACOSX/photos/._1.jpg", "photos/.DS_Store", "photos/train/cat/Thumbs.db")
    data = load_dataset(zipped(tmp_path / "a.zip", *names, *litter))
    assert data.counts() == {s: {"cat": 2, "dog": 1} for s in ("train", "test")}
    assert not list(data.root.rglob(".*"))


def test_a_table_inside_and_a_layout_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("labels.csv", "image,label\n1.jpg,cat\n")
        archive.writestr("images/1.jpg", b"x")
    for layout in (None, "archive", "table"):
        data = load_dataset(tmp_path / "a.zip", layout=layout)
        assert rows(data) == [("images/1.jpg", "cat")]
    with pytest.raises(DatasetError, match="no zip or tar archive"):
        load_dataset(tmp_path, layout="archive")


def test_it_is_unpacked_once_until_it_changes(tmp_path: Path, cache: Path) -> None:
    path = zipped(tmp_path / "a.zip", *PICTURES)
    first = load_dataset(path)
    assert load_dataset(path).root == first.root
    zipped(path, *PICTURES, "dog/2.jpg")
    assert len(load_dataset(path)) == 4
    assert len([f for f in (cache / "unpacked").iterdir() if f.is_dir()]) == 2


OUT = ["../evil.jpg", "cat/../../evil.jpg", "/tmp/evil.jpg", "..\\evil.jpg", "C:\\evil.jpg", ".."]


def refused(path: Path, cache: Path, match: str) -> None:
    """The archive is refused, and neither the cache nor anything beside it has a new file."""
    before = set(path.parent.rglob("*"))
    with pytest.raises(DatasetError, match=match):
        load_dataset(path)
    assert set(path.parent.rglob("*")) == before
    assert not [f for f in cache.rglob("*") if f.suffix != ".lock" and f.name != "unpacked"]
    assert not list(cache.parent.rglob("evil*"))


@pytest.mark.parametrize("name", OUT)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_paths_that_lead_out(tmp_path: Path, cache: Path, name: str, kind: str) -> None:
    make = zipped if kind == "zip" else tarred
    refused(make(tmp_path / f"a.{kind}", *PICTURES, name), cache, "leads out of the folder")


@pytest.mark.parametrize("target", ["/etc/passwd", "../../x", "../x"])
@pytest.mark.parametrize("kind", ["zip", "tar", "hard"])
def test_links_that_lead_out(tmp_path: Path, cache: Path, target: str, kind: str) -> None:
    if kind == "zip":
        path = zipped(tmp_path / "a.zip", *PICTURES)
        with zipfile.ZipFile(path, "a") as archive:
            info = zipfile.ZipInfo("cat" if target == "../x" else "cat/l.jpg")
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, target)
    else:
        path = tmp_path / "a.tar"
        with tarfile.open(path, "w") as archive:
            info = tarfile.TarInfo("l.jpg" if kind == "hard" or target == "../x" else "cat/l.jpg")
            info.type = tarfile.LNKTYPE if kind == "hard" else tarfile.SYMTYPE
            info.linkname = target
            archive.addfile(info)
    refused(path, cache, "a link that leads out")


def test_links_inside_are_left_aside(tmp_path: Path) -> None:
    path = tarred(tmp_path / "a.tar", *PICTURES)
    with tarfile.open(path, "a") as archive:
        info = tarfile.TarInfo("dog/2.jpg")
        info.type, info.linkname = tarfile.SYMTYPE, "../cat/1.jpg"
        archive.addfile(info)
    data = load_dataset(path)
    assert len(data) == 3
    assert data.source == "a.tar, 1 link ignored: a folder per class"
    assert load_dataset(path).source == data.source  # also from the cache


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices(tmp_path: Path, cache: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        info = tarfile.TarInfo("cat/1.jpg")
        info.type = kind
        archive.addfile(info)
    refused(tmp_path / "a.tar", cache, "a device")


def test_bombs(tmp_path: Path, cache: Path) -> None:
    zeros = bytes(70 << 20)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cat/1.jpg", zeros)
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        info = tarfile.TarInfo("cat/1.jpg")
        info.size = len(zeros)
        tar.addfile(info, io.BytesIO(zeros))
    for name in ("a.zip", "a.tar.gz"):
        refused(tmp_path / name, cache, "unpacks to more than 64 MB.*\n.*unpack it yourself")


def test_a_header_made_to_fill_memory(tmp_path: Path, cache: Path) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("cat/1.jpg")
        info.pax_headers = {"comment": "x" * (5 << 20)}
        archive.addfile(info)
    refused(tmp_path / "a.tar.gz", cache, "a header larger than any real one")


def test_too_many_files(tmp_path: Path) -> None:
    limits = ArchiveLimits(max_files=2)
    with pytest.raises(DatasetError, match="more than 2 files"):
        list(members(zipped(tmp_path / "a.zip", *PICTURES), Notes(), limits))


def test_a_name_that_is_too_long(tmp_path: Path, cache: Path) -> None:
    path = tarred(tmp_path / "a.tar", *PICTURES, f"cat/{'x' * 300}.jpg")
    refused(path, cache, "a name that this disk cannot take")


def test_an_archive_that_names_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "in" / "cat").mkdir(parents=True)
    (tmp_path / "in" / "cat" / "1.jpg").touch()
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(tmp_path / "in", ".")
    assert rows(load_dataset(tmp_path / "a.tar")) == [("cat/1.jpg", "cat")]


def test_one_name_twice(tmp_path: Path, cache: Path) -> None:
    refused(tarred(tmp_path / "a.tar", *PICTURES, "cat/1.jpg"), cache, "holds 'cat/1.jpg' twice")
    refused(tarred(tmp_path / "b.tar", "cat/1.jpg", "cat/1.jpg/2.jpg"), cache, "twice")


Break = Callable[[bytes], bytes]


@pytest.mark.parametrize("suffix", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
@pytest.mark.parametrize("how", [lambda b: b[: len(b) // 4], lambda _: b"no archive at all"])
def test_damaged_archives(tmp_path: Path, cache: Path, suffix: str, how: Break) -> None:
    path = tmp_path / f"a.{suffix}"
    mode = {"zip": "", "tar": "w"}.get(suffix, f"w:{suffix[4:]}")
    made = tarred(path, *PICTURES, mode=mode) if mode else zipped(path, *PICTURES)
    made.write_bytes(how(made.read_bytes()))
    refused(path, cache, "damaged or no archive")


def test_an_encrypted_zip(tmp_path: Path, cache: Path) -> None:
    path = zipped(tmp_path / "a.zip", *PICTURES)
    content = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = content.find(mark)
        while start >= 0:
            content[start + at] |= 1
            start = content.find(mark, start + 1)
    path.write_bytes(content)
    refused(path, cache, "is encrypted")
