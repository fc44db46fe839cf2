"""`discern predict`: what is named is answered, in order, in the form asked for."""

import csv
import errno
import http.server
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

Discern = Callable[..., Any]


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.usefixtures("photos")
def test_files_folders_and_globs_keep_their_order(discern: Discern, model: Path) -> None:
    ran = discern(
        "predict", model, "photos/red/03.png", "photos/blue", "photos/*/00.png", "--jsonl"
    )
    answers = [json.loads(line) for line in ran.out.splitlines()]
    names = [str(Path(a["picture"])) for a in answers]
    blue = [f"photos/blue/{i:02d}.png" for i in range(8)]
    assert names == [
        "photos/red/03.png",
        *blue,
        *(f"photos/{c}/00.png" for c in ("blue", "green", "red")),
    ]
    assert ran.code == 0
    assert sum(a["label"] == Path(a["picture"]).parent.name for a in answers) >= 10
    assert all(abs(sum(a["scores"].values()) - 1) < 1e-3 for a in answers)


@pytest.mark.usefixtures("photos")
def test_a_list_on_stdin(discern: Discern, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["photos/red/01.png", "photos/blue/01.png"]
    monkeypatch.setattr(sys, "stdin", io.StringIO("\r\n".join(names) + "\n\n"))
    ran = discern("predict", model, "-", "--jsonl")
    assert [json.loads(line)["picture"] for line in ran.out.splitlines()] == names
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n"))
    ran = discern("predict", model, "-")
    assert ran.code == 2
    assert "stdin is empty" in ran.err


@pytest.mark.usefixtures("photos")
def test_a_bad_picture_costs_its_row(discern: Discern, model: Path) -> None:
    Path("bad.png").write_bytes(b"no picture")
    words = ("photos/red/00.png", "bad.png", "none.png", "photos/blue/00.png")
    ran = discern("predict", model, *words, "--csv", "out.csv")
    assert ran.code == 0
    assert ran.out == ""
    assert "4 pictures, 2 of them could not be used" in ran.err
    found = rows(Path("out.csv").read_text())
    assert [row["picture"] for row in found] == list(words)
    assert [bool(row["error"]) for row in found] == [False, True, True, False]
    assert [bool(row["label"]) for row in found] == [True, False, False, True]
    assert discern("predict", model, "bad.png", "--quiet").code == 1


@pytest.mark.usefixtures("photos")
def test_all_forms_say_the_same(discern: Discern, model: Path) -> None:
    words = ("predict", model, "photos/green")
    document = json.loads(discern(*words, "--json").out)
    lines = [json.loads(line) for line in discern(*words, "--jsonl").out.splitlines()]
    assert document["predictions"] == lines
    discern(*words, "--csv", "out.csv")
    table = rows(Path("out.csv").read_text())
    assert [(r["picture"], r["label"], float(r["probability"])) for r in table] == [
        (p["picture"], p["label"], p["probability"]) for p in lines
    ]
    shown = discern(*words).out.splitlines()
    assert [line.split()[1:] for line in shown] == [[p["label"], p["picture"]] for p in lines]


@pytest.mark.usefixtures("photos")
def test_many_are_answered_as_one_by_one(discern: Discern, model: Path) -> None:
    together = json.loads(discern("predict", model, "photos/red", "--json").out)["predictions"]
    for answer in together[:3]:
        (alone,) = json.loads(discern("predict", model, answer["picture"], "--json").out)[
            "predictions"
        ]
        assert alone["label"] == answer["label"]
        assert abs(alone["probability"] - answer["probability"]) < 1e-4


@pytest.mark.usefixtures("photos")
def test_a_csv_that_exists_is_kept(discern: Discern, model: Path) -> None:
    Path("out.csv").write_text("mine")
    ran = discern("predict", model, "photos/red", "--csv", "out.csv")
    assert (ran.code, Path("out.csv").read_text()) == (2, "mine")
    assert "--overwrite" in ran.err
    assert discern("predict", model, "photos/red", "--csv", "out.csv", "--overwrite").code == 0
    assert len(rows(Path("out.csv").read_text())) == 8


@pytest.mark.usefixtures("photos")
def test_a_csv_that_fails_leaves_nothing(
    discern: Discern, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_self: Path, _target: Path) -> Path:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", full)
    ran = discern("predict", model, "photos/red", "--csv", "out.csv")
    assert ran.code == 2
    assert "the disk is full" in ran.err
    assert not list(Path().glob("out.csv*"))


def test_one_form_at_a_time(discern: Discern, model: Path) -> None:
    ran = discern("predict", model, "a.png", "--csv", "out.csv", "--json")
    assert ran.code == 2
    assert "exclude each other" in ran.err


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("empty", "holds no pictures"),
        ("photos/*.gif", "matches no file"),
    ],
)
def test_what_names_no_picture(discern: Discern, model: Path, word: str, message: str) -> None:
    Path("empty").mkdir()
    ran = discern("predict", model, word)
    assert ran.code == 2
    assert message in ran.err
    assert ran.out == ""


@pytest.mark.usefixtures("photos")
def test_a_url_is_fetched_in_its_turn(discern: Discern, model: Path) -> None:
    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        at = f"http://127.0.0.1:{server.server_port}/photos/red"
        ran = discern(
            "predict", model, "photos/red/00.png", f"{at}/00.png", f"{at}/9.png", "--json"
        )
        server.shutdown()
    file, fetched, missing = json.loads(ran.out)["predictions"]
    assert (fetched["label"], fetched["scores"]) == (file["label"], file["scores"])
    assert fetched["picture"] == f"{at}/00.png"
    assert "404" in missing["error"]


@pytest.mark.usefixtures("photos")
def test_a_name_that_is_no_utf8(discern: Discern, model: Path) -> None:
    name = os.fsdecode(b"bl\xffu.png")
    Path("photos/blue/00.png").rename(name)
    for form in ((), ("--jsonl",), ("--json",), ("--csv", "out.csv")):
        assert discern("predict", model, name, *form).code == 0, form
    line = discern("predict", model, name, "--jsonl").out
    assert os.fsencode(json.loads(line)["picture"]) == b"bl\xffu.png"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_bar_on_the_terminal_takes_nothing_from_stdout(model: Path, tmp_path: Path) -> None:
    """stderr is a terminal, stdout a file: the answers are in the file."""
    import pty

    Image.new("RGB", (40, 40), (60, 90, 190)).save(tmp_path / "a.png")
    command = [sys.executable, "-c", "from discern.cli import main; main()"]
    ours, theirs = pty.openpty()
    words = ["predict", str(model), str(tmp_path / "a.png")]
    ran = subprocess.run(
        [*command, *words], stdout=subprocess.PIPE, stderr=theirs, text=True, check=True
    )
    os.close(theirs)
    os.close(ours)
    assert "a.png" in ran.stdout
