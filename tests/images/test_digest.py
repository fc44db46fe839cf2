"""The table of digests: files are read once, and a changed one is never taken for the old one."""

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from discern.images.digest import DIGEST_BYTES, DigestTable, digest, file_digests, stamp

LONG_AGO = 1_600_000_000_000_000_000  # ns


def write(path: Path, data: bytes, modified: int = LONG_AGO) -> Path:
    """A file with this content and modification time."""
    path.write_bytes(data)
    os.utime(path, ns=(modified, modified))
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def digests(table: Path, *files: Path) -> list[bytes | None]:
    return list(file_digests(files, table))


def test_a_digest_names_the_bytes() -> None:
    assert digest(b"a") == digest(b"a") != digest(b"b")
    assert len(digest(b"a")) == DIGEST_BYTES


def test_each_file_gets_its_digest_in_order(tmp_path: Path, table: Path) -> None:
    files = [write(tmp_path / name, name.encode()) for name in ("b", "a", "c")]
    expected = [digest(b"b"), digest(b"a"), digest(b"c")]
    assert digests(table, *files) == expected
    assert digests(table, *reversed(files)) == expected[::-1]


def test_a_file_with_the_same_stamp_is_not_read_again(tmp_path: Path, table: Path) -> None:
    file = write(tmp_path / "a", b"old")
    digests(table, file)
    write(file, b"new")  # same size, same time: only reading it would tell
    assert digests(table, file) == [digest(b"old")]


@pytest.mark.parametrize(("data", "modified"), [(b"longer", LONG_AGO), (b"new", LONG_AGO + 1)])
def test_another_size_or_time_is_another_file(
    tmp_path: Path, table: Path, data: bytes, modified: int
) -> None:
    file = write(tmp_path / "a", b"old")
    digests(table, file)
    write(file, data, modified)
    assert digests(table, file) == [digest(data)]


def test_a_file_changed_a_moment_ago_is_not_remembered(tmp_path: Path, table: Path) -> None:
    now = time.time_ns()
    file = write(tmp_path / "a", b"old", now)
    digests(table, file)
    write(file, b"new", now)
    assert digests(table, file) == [digest(b"new")]


def test_how_old_a_file_is_counts_when_it_was_read(tmp_path: Path, table: Path) -> None:
    """Not when it is remembered: between the two there may be hours of work."""
    opened = DigestTable(table)
    file = write(tmp_path / "a", b"old", time.time_ns())
    before, seen = stamp(file), digest(b"old")
    assert before is not None
    at_the_end = time.time_ns() + 3_600_000_000_000
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time_ns", lambda: at_the_end)
        opened.remember({str(file): (before, seen)})
    assert opened.lookup(str(file), before) is None
    opened.close()


def test_the_same_file_under_a_relative_name(
    tmp_path: Path, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "a", b"old")
    digests(table, file)
    write(file, b"new")
    monkeypatch.chdir(tmp_path)
    assert digests(table, Path("a")) == [digest(b"old")]


def test_files_that_cannot_be_read_have_none(tmp_path: Path, table: Path) -> None:
    good, empty = write(tmp_path / "good", b"x"), write(tmp_path / "empty", b"")
    found = digests(table, tmp_path / "missing", good, tmp_path, empty)
    assert found == [None, digest(b"x"), None, None]


def test_a_name_that_is_not_unicode(tmp_path: Path, table: Path) -> None:
    file = write(tmp_path / os.fsdecode(b"caf\xe9.png"), b"old")
    digests(table, file)
    write(file, b"new")
    assert digests(table, file) == [digest(b"old")]


def test_what_was_read_before_an_interruption_is_kept(tmp_path: Path, table: Path) -> None:
    files = [write(tmp_path / name, b"old") for name in "abc"]
    walk = file_digests(files, table)
    next(walk), next(walk)
    walk.close()
    for file in files:
        write(file, b"new")
    assert digests(table, *files) == [digest(b"old"), digest(b"old"), digest(b"new")]


@pytest.mark.parametrize("trouble", ["a file", "not a database"])
def test_a_table_that_cannot_be_used_costs_reading_again(
    tmp_path: Path, table: Path, trouble: str
) -> None:
    if trouble == "a file":
        table.write_bytes(b"")
    else:
        table.mkdir()
        (table / "digests.sqlite3").write_bytes(b"no database, and long enough to be told\n" * 99)
    file = write(tmp_path / "a", b"x")
    assert digests(table, file) == [digest(b"x")]
    assert digests(table, file) == [digest(b"x")]


def test_a_table_that_cannot_be_written_loses_no_answer(tmp_path: Path, table: Path) -> None:
    file = write(tmp_path / "a", b"x")
    digests(table, file)
    with closing(sqlite3.connect(table / "digests.sqlite3")) as db:
        db.execute("DELETE FROM files")
        db.execute("CREATE TRIGGER t BEFORE INSERT ON files BEGIN SELECT RAISE(FAIL, 'no'); END")
        db.commit()
    assert digests(table, file) == [digest(b"x")]
    write(file, b"y")
    assert digests(table, file) == [digest(b"y")]


def test_processes_share_the_table(tmp_path: Path, table: Path) -> None:
    files = [write(tmp_path / f"{i:03d}", f"old {i:03d}".encode()) for i in range(150)]
    code = (
        "import sys; from pathlib import Path; from discern.images.digest import file_digests\n"
        "files = sorted(Path(sys.argv[1]).glob('[0-9]*'))[int(sys.argv[3]):][:100]\n"
        "for _ in range(20): assert None not in list(file_digests(files, Path(sys.argv[2])))\n"
    )
    arguments = [sys.executable, "-c", code, str(tmp_path), str(table)]
    running = [subprocess.Popen([*arguments, start]) for start in ("0", "50")]
    assert [process.wait() for process in running] == [0, 0]
    for file in files:
        write(file, b"new " + file.name.encode())
    assert digests(table, *files) == [digest(b"old " + file.name.encode()) for file in files]
