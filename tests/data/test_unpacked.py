"""What is unpacked is whole or not there, once, however many ask for it."""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discern.data.safe_names import safe_path
from discern.data.shards import expanded, shard_split
from discern.data.unpacked import Notes, Origin, Packed, unpack
from discern.errors import DatasetError, OutputError
from discern.progress import SILENT

ORIGIN = Origin("set", ("test", 1))
PICTURES = [Packed(f"a/{i}.jpg", b"x" * i, "label, with comma", "train", "g\n") for i in range(50)]


def test_pictures_come_back_with_their_facts() -> None:
    data = unpack(ORIGIN, lambda _: PICTURES, SILENT).dataset("somewhere")
    rows = zip(data.paths, data.labels, data.splits, data.groups, strict=True)
    assert list(rows) == [(p.path, p.label, p.split, p.group) for p in PICTURES]
    assert [file.read_bytes() for file in data.files()] == [p.content for p in PICTURES]


def test_what_fails_leaves_nothing(cache: Path) -> None:
    def broken(_: Notes) -> Iterator[Packed]:
        yield from PICTURES
        raise DatasetError("the source ends here")

    with pytest.raises(DatasetError, match="ends here"):
        unpack(ORIGIN, broken, SILENT)
    assert [path.suffix for path in (cache / "unpacked").iterdir()] == [".lock"]
    assert len(unpack(ORIGIN, lambda _: PICTURES, SILENT).dataset("")) == len(PICTURES)


def test_a_cache_that_cannot_be_written(cache: Path) -> None:
    (cache / "unpacked").write_text("in the way")
    with pytest.raises(OutputError, match=r"Cannot unpack set below .*\n.*DISCERN_CACHE"):
        unpack(ORIGIN, lambda _: PICTURES, SILENT)


def slowly(marks: Path) -> None:
    """In a process of its own: unpack a picture at a time, and say that it was this one."""

    def pictures(_: Notes) -> Iterator[Packed]:
        (marks / str(os.getpid())).touch()
        for picture in PICTURES:
            time.sleep(0.01)
            yield picture

    assert len(unpack(ORIGIN, pictures, SILENT).dataset("")) == len(PICTURES)


def test_of_two_processes_one_works_and_one_waits(tmp_path: Path, cache: Path) -> None:
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=slowly, args=(tmp_path,)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(20)
    assert [process.exitcode for process in both] == [0, 0]
    assert len(list(tmp_path.iterdir())) == 1
    assert not list((cache / "unpacked").glob(".*.saving"))


@pytest.mark.parametrize("next_one", [ORIGIN, Origin("other set", ("test", 1))])
def test_what_a_killed_process_left_is_cleared(
    tmp_path: Path, cache: Path, next_one: Origin
) -> None:
    process = multiprocessing.get_context("fork").Process(target=slowly, args=(tmp_path,))
    process.start()
    stage = cache / "unpacked" / f".{ORIGIN.key}.saving"
    deadline = time.monotonic() + 20
    while not (stage / "set" / "a" / "5.jpg").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join(20)
    assert stage.exists()
    assert len(unpack(next_one, lambda _: PICTURES[:3], SILENT).dataset("")) == 3
    assert not stage.exists()


def test_what_another_process_writes_is_left_alone(tmp_path: Path) -> None:
    process = multiprocessing.get_context("fork").Process(target=slowly, args=(tmp_path,))
    process.start()
    deadline = time.monotonic() + 20
    while not list(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.005)
    unpack(Origin("other set", ()), lambda _: PICTURES, SILENT)
    process.join(20)
    assert process.exitcode == 0


class Heard:
    """A progress that remembers."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, int | None]] = []
        self.steps = 0

    @contextmanager
    def stage(self, name: str, total: int | None) -> Iterator[object]:
        self.stages.append((name, total))
        yield self.advance

    def advance(self, steps: int) -> None:
        self.steps += steps

    def say(self, message: str) -> None:
        raise AssertionError(message)


def test_progress_hears_of_it_once() -> None:
    heard = Heard()
    for _ in range(2):
        unpack(ORIGIN, lambda _: PICTURES, heard, total=50)  # type: ignore[arg-type]
    assert (heard.stages, heard.steps) == ([("Unpacking set", 50)], 50)


@given(st.text(st.sampled_from("ab./\\:C\0 "), max_size=12))
def test_a_safe_path_stays_below(name: str) -> None:
    try:
        path = safe_path(name, "somewhere")
    except DatasetError:
        return
    assert path == os.path.normpath(path)
    assert not path.startswith("/")
    assert ".." not in path.split("/")


def test_ranges() -> None:
    assert expanded("a{08..11}b") == ["a08b", "a09b", "a10b", "a11b"]
    assert expanded("{0..1}/{1..2}") == ["0/1", "0/2", "1/1", "1/2"]
    assert expanded("a{b}") == ["a{b}"]
    assert expanded("{0..99999999999}") == []


@pytest.mark.parametrize(
    ("name", "split"),
    [("train-00000-of-00002.parquet", "train"), ("validation.parquet", "validation"),
     ("cifar10-test-000001.tar", "test"), ("default/train/0000.parquet", "train"),
     ("data/part-0.parquet", ""), ("latest-0.tar", "")],
)  # fmt: skip
def test_splits_in_names(name: str, split: str) -> None:
    assert shard_split(Path("/x/test-set") / name, Path("/x/test-set")) == split
