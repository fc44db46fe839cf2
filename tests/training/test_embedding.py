"""Each picture through the backbone once: what is kept, what is shared, what is left out."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discern.errors import OutputError, TrainingError
from discern.images.digest import DIGEST_BYTES
from discern.runtime.engine import create_engine
from discern.runtime.pipeline import to_pixels
from discern.runtime.row_cache import RowCache
from discern.training.backbones import Backbone
from discern.training.embedding import embed

Photos = Callable[..., Path]


def files(root: Path) -> list[Path]:
    return sorted(root.glob("*/*.png"))


def test_an_embedding_is_what_the_network_says_of_the_picture(
    backbone: Backbone, photos: Photos
) -> None:
    paths = files(photos(3))
    found = embed(paths, backbone)
    pixels = np.stack([to_pixels(path, backbone.preprocess) for path in paths])
    expected = create_engine(backbone.graph, "onnxruntime").run(pixels)["embedding"]
    assert np.abs(found.matrix[found.rows] - expected).max() < 1e-5


def test_the_order_of_the_files_is_that_of_the_answers(backbone: Backbone, photos: Photos) -> None:
    paths = files(photos(7))
    there, back = embed(paths, backbone), embed(paths[::-1], backbone)
    assert np.array_equal(there.matrix[there.rows], back.matrix[back.rows][::-1])


def test_a_second_run_reads_no_pixel(backbone: Backbone, photos: Photos) -> None:
    paths = files(photos(4))
    first = embed(paths, backbone)
    for path in paths:
        size = path.stat().st_size
        path.write_bytes(bytes(size))
        os.utime(path, (1_700_000_000, 1_700_000_000))
    again = embed(paths, backbone)
    assert np.array_equal(first.matrix, again.matrix)
    assert again.failures == {}


def test_copies_share_a_row(backbone: Backbone, photos: Photos) -> None:
    paths = files(photos(2))
    for n in range(3):
        paths.append(shutil.copy(paths[0], paths[0].with_name(f"copy{n}.png")))
    found = embed(paths, backbone)
    assert len(found.matrix) == 6
    assert set(found.rows[6:]) == {found.rows[0]}


def test_a_bad_picture_is_left_out_with_its_copies_and_its_reason(
    backbone: Backbone, photos: Photos, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = photos(2)
    (root / "red" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n, and no more")
    shutil.copy(root / "red" / "bad.png", root / "blue" / "bad.png")
    (root / "green" / "empty.png").touch()
    with (root / "green" / "huge.png").open("wb") as file:
        file.truncate(65 * 1024 * 1024)
    monkeypatch.chdir(root)
    paths = files(Path())
    found = embed(paths, backbone)
    bad = ["blue/bad.png", "green/empty.png", "green/huge.png", "red/bad.png"]
    assert sorted(found.failures) == bad, "named as they were given"
    assert all(found.failures.values())
    assert [str(p) for p, row in zip(paths, found.rows, strict=True) if row < 0] == bad
    assert "allowed" in found.failures["green/huge.png"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_copy_is_read_where_the_first_cannot_be(backbone: Backbone, photos: Photos) -> None:
    path = files(photos(1))[0]
    copy = shutil.copy2(path, path.with_name("copy.png"))
    embed([path, copy], backbone)
    shutil.rmtree(Path(os.environ["DISCERN_CACHE"]) / "embeddings")
    path.chmod(0)
    assert embed([path, copy], backbone).rows.tolist() == [-1, 0]


def test_a_copy_is_embedded_where_the_first_has_changed_unseen(
    backbone: Backbone, photos: Photos, cache: Path
) -> None:
    path, other, *_ = files(photos(1))
    copy = shutil.copy2(path, path.with_name("copy.png"))
    before = embed([path, copy], backbone)
    shutil.rmtree(cache / "embeddings")
    data = other.read_bytes()
    status = path.stat()
    path.write_bytes(data[: status.st_size].ljust(status.st_size, b"\0"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    found = embed([path, copy], backbone)
    assert np.array_equal(found.matrix[found.rows[1]], before.matrix[0])


def test_interrupted_work_is_kept(
    backbone: Backbone, photos: Photos, told: Any, cache: Path
) -> None:
    paths = files(photos(12))
    with pytest.raises(KeyboardInterrupt):
        embed(paths, backbone, progress=told(stage="Embedding", steps=16))
    kept = RowCache(cache / "embeddings" / f"{backbone.key}-f32", (np.float32, 96)).known()
    assert 16 <= len(kept) < 36
    assert len(embed(paths, backbone).matrix) == 36


def test_a_deadline_that_has_passed(backbone: Backbone, photos: Photos) -> None:
    paths = files(photos(12))
    with pytest.raises(TrainingError, match=r"of 36 pictures embedded; these are kept"):
        embed(paths, backbone, deadline=time.monotonic())


def test_processes_share_the_cache(backbone: Backbone, photos: Photos, cache: Path) -> None:
    paths = files(photos(8))
    code = (
        "import sys; from pathlib import Path\n"
        "from discern.training.backbones import load_backbone\n"
        "from discern.training.embedding import embed\n"
        "b = load_backbone('test_resnet', weights='none', image_size=32)\n"
        "found = embed([Path(p) for p in sys.argv[1:]], b)\n"
        "assert len(found.matrix) == 24 and not found.failures"
    )
    command = [sys.executable, "-c", code]
    both = [subprocess.Popen([*command, *map(str, part)]) for part in (paths, paths[::-1])]
    assert [process.wait(timeout=60) for process in both] == [0, 0]
    assert not list((cache / "embeddings").rglob("*.tmp"))
    folder = cache / "embeddings" / f"{backbone.key}-f32"
    assert len(RowCache(folder, (np.float32, 96)).known()) == 24


def filled(folder: Path) -> tuple[RowCache, dict[bytes, int]]:
    """A cache of two segments with three pictures each."""
    cache, keys = RowCache(folder, (np.float32, 4)), [bytes([n] * DIGEST_BYTES) for n in range(6)]
    for n, key in enumerate(keys):
        cache.add(key, np.full(4, n, np.float32))
        if n in (2, 5):
            cache.flush()
    return RowCache(folder, (np.float32, 4)), {key: row for row, key in enumerate(reversed(keys))}


def test_the_cache_gives_what_was_put_in(tmp_path: Path) -> None:
    cache, rows = filled(tmp_path / "cache")
    assert cache.known() == rows.keys()
    assert cache.read(rows)[:, 0].tolist() == [5, 4, 3, 2, 1, 0]
    with pytest.raises(KeyError, match="1 rows are missing"):
        cache.read({b"x" * DIGEST_BYTES: 0})


@pytest.mark.parametrize("part", ["keys", "values"])
@pytest.mark.parametrize("size", [0, 70, 140, None])
def test_a_damaged_segment_is_left_out(tmp_path: Path, part: str, size: int | None) -> None:
    cache, rows = filled(tmp_path / "cache")
    damaged = min((tmp_path / "cache").glob(f"*.{part}.npy"))
    if size is None:
        damaged.unlink()
    else:
        os.truncate(damaged, size)
    known = cache.known()
    assert len(known) == 3
    cache.read({key: row for row, key in enumerate(key for key in rows if key in known)})


def test_a_segment_of_another_width_is_left_out(tmp_path: Path) -> None:
    filled(tmp_path / "cache")
    assert RowCache(tmp_path / "cache", (np.float32, 5)).known() == set()


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    cache = RowCache(tmp_path / "cache", (np.float32, 4))
    cache.add(b"x" * DIGEST_BYTES, np.zeros(4, np.float32))
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="the disk is full"):
        cache.flush()
    assert not list((tmp_path / "cache").iterdir())
