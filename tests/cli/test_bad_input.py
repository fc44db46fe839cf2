"""Whatever is wrong: one to three lines that name the remedy, a code, and nothing half-written."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from discern.cli.exit_codes import EXIT_CODES, exit_code
from discern.errors import DiscernError, PictureFormatError

Discern = Callable[..., Any]
TRAIN = ("--backbone", "test_resnet", "--weights", "none", "--image-size", "32")


@pytest.fixture
def refused(discern: Discern, tmp_path: Path) -> Callable[..., str]:
    """Runs a command that must fail properly; its message."""

    def run(*words: object, code: int = 2) -> str:
        before = sorted(tmp_path.rglob("*"))
        ran = discern(*words)
        assert ran.code == code, ran
        assert ran.out == ""
        assert "Traceback" not in ran.err
        kind, _, message = ran.err.partition(": ")
        assert kind.endswith("Error")
        assert 1 <= len(message.strip().splitlines()) <= 3
        assert sorted(tmp_path.rglob("*")) == before
        return str(message)

    return run


Refused = Callable[..., str]


def test_an_empty_folder(refused: Refused) -> None:
    Path("data").mkdir()
    assert "no pictures" in refused("train", "data", "-o", "new", "-q")


def test_no_folder(refused: Refused) -> None:
    assert "Check that it exists" in refused("train", "data", "-o", "new", "-q")


def test_one_class(refused: Refused, make_photos: Callable[..., Path]) -> None:
    make_photos("data", 4, labels=("red",))
    assert "Add pictures of another class" in refused("train", "data", "-o", "new", "-q")


def test_a_class_with_one_picture(refused: Refused, photos: Path) -> None:
    for path in list((photos / "red").iterdir())[1:]:
        path.unlink()
    message = refused("train", photos, "-o", "new", "-q")
    assert "red/ has 1 picture" in message
    assert "--exclude red" in message


def test_no_picture_that_can_be_decoded(refused: Refused, model: Path, photos: Path) -> None:
    for path in photos.glob("*/*"):
        path.write_bytes(b"no picture")
    assert "None of the" in refused("train", photos, "-o", "new", "-q", *TRAIN)
    assert "no picture can be decoded" in refused("evaluate", model, photos, "-q")


def test_classes_that_differ_by_case(
    refused: Refused, photos: Path, make_photos: Callable[..., Path]
) -> None:
    make_photos("more", 2)
    (Path("more") / "red").rename(photos / "Red")
    assert "differ only in case" in refused("train", photos, "-o", "new", "-q")


def test_tables_with_holes(refused: Refused, photos: Path) -> None:
    table = photos / "labels.csv"
    table.write_text("image,label\nred/00.png,red\nblue/00.png,\n")
    assert "labels missing: rows 3" in refused("train", table, "-o", "new", "-q")
    table.write_text("image,label\nred/00.png,red\n../../etc/passwd,blue\n")
    assert "row 3" in refused("train", table, "-o", "new", "-q")


@pytest.mark.usefixtures("model")
def test_a_file_that_cannot_be_read_is_left_out(discern: Discern, photos: Path) -> None:
    with (photos / "red" / "huge.png").open("wb") as file:
        file.truncate(65 * 1024 * 1024)
    for mode in ("frozen", "scratch"):
        words = ("--mode", mode, "--epochs", "1", "--json")
        ran = discern("train", "photos", "-o", mode, *TRAIN, *words)
        assert ran.code == 0, ran.err
        assert "Left out: photos/red/huge.png" in ran.err
        assert list(json.loads(ran.out)["left_out"]) == ["photos/red/huge.png"]


def test_an_output_that_exists(refused: Refused, model: Path, photos: Path) -> None:
    stamp = (model / "model.json").stat().st_mtime_ns
    assert "--overwrite" in refused("train", photos, "-o", model, "-q", *TRAIN)
    assert (model / "model.json").stat().st_mtime_ns == stamp
    Path("report.html").write_text("mine")
    assert "--overwrite" in refused("evaluate", model, photos, "-o", "report.html", "-q")
    assert Path("report.html").read_text() == "mine"


def test_an_output_under_a_file(refused: Refused, photos: Path) -> None:
    Path("file").touch()
    assert "Choose another place" in refused("train", photos, "-o", "file/new", "-q")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_an_output_that_is_read_only(refused: Refused, photos: Path) -> None:
    Path("fixed").mkdir(mode=0o555)
    assert "permission denied" in refused("train", photos, "-o", "fixed/new", "-q")


@pytest.mark.usefixtures("model")
def test_a_read_only_file_system(
    refused: Refused, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tempfile

    def fixed(*_args: Any, **_named: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(tempfile, "TemporaryFile", fixed)
    assert "read-only" in refused("train", photos, "-o", "new", "-q", *TRAIN)


@pytest.mark.usefixtures("model")
def test_a_full_disk(refused: Refused, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert "the disk is full" in refused("train", photos, "-o", "new", "-q", *TRAIN)


@pytest.mark.parametrize("name", ["model.onnx", "seen.npy", "reference/expected.json"])
def test_a_changed_byte(refused: Refused, model: Path, name: str) -> None:
    data = bytearray((model / name).read_bytes())
    data[len(data) // 2] ^= 1
    (model / name).write_bytes(data)
    for words in (("verify", model), ("predict", model, "a.png"), ("evaluate", model, "photos")):
        message = refused(*words)
        assert name in message
        assert "has changed" in message


def test_a_newer_format(refused: Refused, model: Path) -> None:
    values = json.loads((model / "model.json").read_text())
    (model / "model.json").write_text(json.dumps(values | {"format": 99}))
    assert "Upgrade" in refused("verify", model)


def test_what_is_no_model(refused: Refused, photos: Path) -> None:
    assert "discern train" in refused("predict", photos, "a.png")


def test_names_that_are_unknown(refused: Refused, model: Path, photos: Path) -> None:
    train = ("train", photos, "-o", "new", "-q")
    assert "resnet50" in refused(*train, "--backbone", "resnet5O")
    assert "config.json" in refused(*train, "--backbone", "local-dir:nowhere")
    assert "finetune" in refused(*train, "--mode", "fintune")
    assert "cuda" in refused(*train, "--device", "gpu")
    assert "duration" in refused(*train, "--budget", "soon")
    assert "budget" in refused(*train, "--budget", "0")
    assert "seed" in refused(*train, "--seed", "-1")
    assert "Did you mean" in refused(*train, "--exclude", "redd")
    Path("data").mkdir()
    photos.rename("data/train")
    assert "split 'tset'" in refused("evaluate", model, "data", "--split", "tset")
    assert "onnxruntime" in refused("predict", model, "a.png", "--engine", "tensorrt")


def test_debug_shows_where(discern: Discern, photos: Path) -> None:
    with pytest.raises(DiscernError, match="finetune"):
        discern("train", photos, "-o", "new", "--mode", "fintune", "--debug")


def test_a_wrong_call(discern: Discern) -> None:
    assert discern("train").code == 2
    assert discern("no-such-command").code == 2


def test_every_error_has_a_code() -> None:
    assert {exit_code(kind("x")) for kind in EXIT_CODES} == {1, 2}
    assert exit_code(PictureFormatError("x")) == 2
    assert exit_code(DiscernError("x")) == 1


@pytest.mark.usefixtures("photos")
def test_a_reader_that_has_enough(model: Path) -> None:
    """It hears of thousands of pictures, more than a pipe holds, and goes after the first."""
    command = [sys.executable, "-c", "from discern.cli import main; main()", "predict"]
    with subprocess.Popen(
        [*command, model, *["photos/red"] * 600, "--jsonl"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith("{")
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()
        assert process.wait(timeout=30) == 1
