"""What is rendered is written whole, and never over what somebody else made."""

import os
from pathlib import Path

import pytest

pytest.importorskip("jinja2")
from jinja2 import UndefinedError

from discern.deploy import rendering
from discern.deploy.rendering import MARK, copied, render, rendered, write
from discern.errors import OutputError

FILES = {"README.md": "how", "scripts/go.sh": "#!/bin/sh\n", "board.json": b"{}"}


def test_files_are_written_and_scripts_can_be_run(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"weights")
    write({**FILES, "models/a/1/model.onnx": source}, tmp_path / "out")
    assert (tmp_path / "out/README.md").read_text() == "how"
    assert (tmp_path / "out/models/a/1/model.onnx").read_bytes() == b"weights"
    assert os.access(tmp_path / "out/scripts/go.sh", os.X_OK)
    assert not os.access(tmp_path / "out/README.md", os.X_OK)


def test_what_was_rendered_may_be_rendered_again(tmp_path: Path) -> None:
    write(FILES, tmp_path / "out")
    with pytest.raises(OutputError, match="--overwrite"):
        write(FILES, tmp_path / "out")
    write({"other": "file"}, tmp_path / "out", overwrite=True)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"other", MARK}


def test_what_somebody_else_made_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/diary.txt").write_text("dear diary")
    with pytest.raises(OutputError, match="not a folder that discern deploy wrote"):
        write(FILES, tmp_path / "theirs", overwrite=True)
    write(FILES, tmp_path / "repository")
    (tmp_path / "repository/.git").mkdir()
    with pytest.raises(OutputError, match="git repository"):
        write(FILES, tmp_path / "repository", overwrite=True)
    assert (tmp_path / "repository/.git").is_dir()


def test_nothing_is_left_behind_by_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        write({**FILES, "model": tmp_path / "missing"}, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_templates_leave_other_languages_braces_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (
        'a = "${#b} {{ c }} {# d #} [[ e ]]"\n{% if yes %}\n{= name =}\n{% endif %}\n{## why ##}\n'
    )
    (tmp_path / "any").mkdir()
    (tmp_path / "any/file").write_text(text)
    monkeypatch.setattr(rendering, "TEMPLATES", tmp_path)
    rendering._environment.cache_clear()
    try:
        made = rendered("any", yes=True, name="clothes")
        assert made == {"file": 'a = "${#b} {{ c }} {# d #} [[ e ]]"\nclothes\n'}
        with pytest.raises(UndefinedError, match="name"):
            render("any/file", yes=True)
    finally:
        rendering._environment.cache_clear()


def test_folders_are_copied_file_by_file(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("b", "in/a"):
        (tmp_path / name).write_text(name)
    assert copied(tmp_path, "models/x/1") == {
        "models/x/1/b": tmp_path / "b",
        "models/x/1/in/a": tmp_path / "in/a",
    }
