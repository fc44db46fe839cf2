"""Data at URLs: over HTTP from this machine, and from an object store that speaks S3."""

import functools
import http.server
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from discern.data import load_dataset
from discern.data.remote import is_remote, printable
from discern.errors import DatasetError

NAMES = ("cat/1.jpg", "cat/2.jpg", "dog/1.jpg")


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing of it."""

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the URL at which its files are."""
    pytest.importorskip("fsspec.implementations.http")
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def zipped(path: Path, *names: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, f"picture {name}")


def test_an_archive_over_http(served: tuple[Path, str], cache: Path) -> None:
    folder, url = served
    zipped(folder / "photos.zip", *NAMES)
    data = load_dataset(f"{url}/photos.zip?token=secret")
    assert data.labels.tolist() == ["cat", "cat", "dog"]
    assert data.source == f"photos.zip: a folder per class, fetched from {url}/photos.zip"
    assert data.file(0).read_text() == "picture cat/1.jpg"
    kept = {path for path in (cache / "unpacked").iterdir() if path.is_dir()}
    assert load_dataset(f"{url}/photos.zip?token=other").root == data.root
    assert kept == {path for path in (cache / "unpacked").iterdir() if path.is_dir()}
    zipped(folder / "photos.zip", *NAMES, "dog/2.jpg")
    assert len(load_dataset(f"{url}/photos.zip")) == 4


def test_a_range_of_shards_over_http(served: tuple[Path, str]) -> None:
    folder, url = served
    for i in range(3):
        (folder / "1.jpg").write_bytes(b"picture")
        (folder / "1.cls").write_text(str(i))
        with tarfile.open(folder / f"train-{i:04d}.tar", "w") as archive:
            archive.add(folder / "1.jpg", f"{i}.jpg")
            archive.add(folder / "1.cls", f"{i}.cls")
    data = load_dataset(f"{url}/train-{{0000..0002}}.tar")
    assert data.counts() == {"train": {"0": 1, "1": 1, "2": 1}}
    assert data.paths.tolist() == [f"train-{i:04d}.tar/{i}.jpg" for i in range(3)]


def test_what_is_not_there(served: tuple[Path, str], cache: Path) -> None:
    _, url = served
    with pytest.raises(DatasetError, match=r"none.zip: cannot be fetched: ") as caught:
        load_dataset(f"{url}/none.zip?signature=secret")
    assert "secret" not in str(caught.value)
    assert not (cache / "unpacked").exists()
    with pytest.raises(DatasetError, match=r"cannot be listed. Name a file"):
        load_dataset(f"{url}/")


@pytest.fixture(scope="module")
def bucket() -> Iterator[Any]:
    """A bucket in a store of our own, as a file system."""
    server = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    store = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    with pytest.MonkeyPatch.context() as patch:
        store.start()
        host, port = store.get_host_and_port()
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        files = s3fs.S3FileSystem()
        files.mkdir("pictures")
        yield files
        store.stop()


def test_a_folder_in_an_object_store(bucket: Any) -> None:
    for name in ("a/.hidden/1.jpg", *(f"a/{name}" for name in NAMES)):
        bucket.pipe(f"pictures/{name}", name.encode())
    data = load_dataset("s3://pictures/a")
    assert sorted(data.paths.tolist()) == list(NAMES)
    assert data.source == "a folder per class, fetched from s3://pictures/a"
    assert data.file(2).read_bytes() == b"a/dog/1.jpg"
    bucket.pipe("pictures/a/dog/1.jpg", b"a/dog/9.jpg")  # as many bytes as before
    assert load_dataset("s3://pictures/a/").file(2).read_bytes() == b"a/dog/9.jpg"


def test_a_table_in_an_object_store(bucket: Any) -> None:
    bucket.pipe("pictures/b/labels.csv", b"image,label\n1.jpg,cat\n2.jpg,dog\n")
    bucket.pipe({f"pictures/b/images/{i}.jpg": b"" for i in (1, 2)})
    data = load_dataset("s3://pictures/b")
    assert data.paths.tolist() == ["images/1.jpg", "images/2.jpg"]


def test_parquet_in_an_object_store(bucket: Any, tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = pa.table({"image": [b"x", b"y"], "label": ["cat", "dog"]})
    pq.write_table(table, tmp_path / "t.parquet")
    bucket.pipe("pictures/c/data/train-0.parquet", (tmp_path / "t.parquet").read_bytes())
    assert load_dataset("s3://pictures/c").counts() == {"train": {"cat": 1, "dog": 1}}
    one = load_dataset("s3://pictures/c/data/train-0.parquet")
    assert one.labels.tolist() == ["cat", "dog"]


def test_a_bucket_that_is_not_there(bucket: Any) -> None:
    assert bucket.exists("pictures")
    with pytest.raises(DatasetError, match=r"s3://none/x: cannot be fetched"):
        load_dataset("s3://none/x")


def test_without_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(DatasetError, match=r"pip install 'discern\[remote\]'"):
        load_dataset("s3://bucket/photos")


def test_a_store_that_nobody_knows() -> None:
    pytest.importorskip("fsspec")
    with pytest.raises(DatasetError, match=r"cannot be fetched: .*rotocol"):
        load_dataset("nowhere://bucket/photos")


def test_what_is_a_url() -> None:
    assert is_remote("s3://bucket/x")
    assert not is_remote("photos/a:b")
    assert not is_remote(Path("s3://bucket/x"))
    assert printable("https://me:word@host/a.zip?sig=1") == "https://host/a.zip"
