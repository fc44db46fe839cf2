"""A model folder is there whole or not at all, and what changed in it is named."""

import errno
import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from discern.errors import ModelDamagedError, ModelFormatError, OutputError
from discern.model import ModelInfo, check_output, load, save_folder
from discern.model.info import FORMAT

Files = dict[str, bytes | Path]


def tree(folder: Path) -> dict[str, bytes]:
    """Everything below a folder, hidden files too."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def edit(folder: Path, **values: Any) -> None:
    """Change model.json."""
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A place of its own, so that whatever is left behind shows."""
    (tmp_path / "place").mkdir()
    return tmp_path / "place" / "model"


# --- written


def test_what_was_saved_is_loaded(out: Path, info: ModelInfo, files: Files) -> None:
    saved = save_folder(out, info, files)
    model = load(str(out))
    assert model.info == saved == replace(info, files=saved.files)
    assert model.path == out
    assert saved.files.keys() == files.keys()
    for name, content in files.items():
        data = content if isinstance(content, bytes) else content.read_bytes()
        assert (out / name).read_bytes() == data
        assert saved.files[name] == hashlib.sha256(data).hexdigest()
    assert [path.name for path in out.parent.iterdir()] == ["model"]


def test_others_may_read_it(model_folder: Path) -> None:
    assert model_folder.stat().st_mode & 0o777 == 0o755


def test_missing_folders_above_it_are_made(out: Path, info: ModelInfo, files: Files) -> None:
    save_folder(out / "deep" / "er", info, files)
    assert load(out / "deep" / "er").info.labels == info.labels


def test_an_output_that_exists_is_kept(model_folder: Path, info: ModelInfo, files: Files) -> None:
    before = tree(model_folder.parent)
    with pytest.raises(OutputError, match=r"exists\. Use --overwrite to replace it, or another -o"):
        save_folder(model_folder, info, files)
    assert tree(model_folder.parent) == before


def test_overwrite_replaces_all_of_it(
    model_folder: Path, info: ModelInfo, files: Files, tmp_path: Path
) -> None:
    (model_folder / "stale").touch()
    save_folder(model_folder, replace(info, seed=99), files, overwrite=True)
    assert load(model_folder).info.seed == 99
    assert not (model_folder / "stale").exists()
    assert not list(tmp_path.glob(".*"))


def test_overwrite_through_a_link_replaces_what_it_leads_to(
    model_folder: Path, info: ModelInfo, files: Files, tmp_path: Path
) -> None:
    link = tmp_path / "current"
    link.symlink_to(model_folder.name)
    save_folder(link, replace(info, seed=99), files, overwrite=True)
    assert link.is_symlink()
    assert load(model_folder).info.seed == 99
    assert not list(tmp_path.glob(".*"))


def test_an_empty_folder_may_be_overwritten(out: Path, info: ModelInfo, files: Files) -> None:
    out.mkdir()
    save_folder(out, info, files, overwrite=True)
    assert load(out).info.labels == info.labels


def test_a_folder_that_is_no_model_is_never_replaced(
    out: Path, info: ModelInfo, files: Files
) -> None:
    out.mkdir()
    (out / "photo.jpg").write_bytes(b"precious")
    with pytest.raises(OutputError, match="is not a model folder; it is not replaced"):
        save_folder(out, info, files, overwrite=True)
    assert tree(out) == {"photo.jpg": b"precious"}


def test_a_file_is_never_replaced(out: Path, info: ModelInfo, files: Files) -> None:
    out.write_bytes(b"precious")
    with pytest.raises(OutputError, match="is not a model folder"):
        save_folder(out, info, files, overwrite=True)
    with pytest.raises(OutputError, match="a file stands where a folder is needed"):
        check_output(out / "below", overwrite=False)
    assert out.read_bytes() == b"precious"


def test_checking_an_output_leaves_nothing(out: Path) -> None:
    check_output(out, overwrite=False)
    assert not list(out.parent.iterdir())


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_failure_in_the_middle_leaves_what_was_there(
    out: Path, info: ModelInfo, files: Files, overwrite: bool
) -> None:
    if overwrite:
        save_folder(out, info, files)
    before = tree(out.parent)
    with pytest.raises(OutputError, match="No such file"):
        save_folder(out, info, files | {"z": out / "gone"}, overwrite=overwrite)
    with pytest.raises(TypeError):  # a bug is not dressed up, but leaves nothing either
        save_folder(out, info, files | {"z": 5}, overwrite=overwrite)  # type: ignore[dict-item]
    assert tree(out.parent) == before
    assert len(list(out.parent.iterdir())) == overwrite


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (errno.ENOSPC, "the disk is full. Free some space"),
        (errno.EDQUOT, "the disk quota is used up. Free some space"),
        (errno.EROFS, "the file system is read-only. Choose another place."),
        (errno.EACCES, "permission denied. Choose another place."),
        (errno.EIO, "Input/output error."),
    ],
)
@pytest.mark.parametrize("step", ["mkdir", "fsync", "rename"])
def test_what_the_system_refuses_is_said_with_a_remedy(
    out: Path,
    info: ModelInfo,
    files: Files,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    remedy: str,
    step: str,
) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, step, refuse)
        with pytest.raises(OutputError) as caught:
            save_folder(out, info, files)
    assert str(caught.value).startswith(f"Cannot write {out}: {remedy}")
    assert not list(out.parent.iterdir())


def test_the_old_model_is_back_when_the_new_one_cannot_take_its_place(
    model_folder: Path, info: ModelInfo, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(model_folder)
    rename = os.rename

    def refuse_the_new(source: Any, target: Any, **options: Any) -> None:
        if Path(source).suffix == ".saving":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        rename(source, target, **options)

    monkeypatch.setattr(os, "rename", refuse_the_new)
    with pytest.raises(OutputError, match="Input/output error"):
        save_folder(model_folder, info, files, overwrite=True)
    assert tree(model_folder) == before
    assert not list(model_folder.parent.glob(".*"))


def test_a_replacement_killed_between_its_renames_is_undone(
    model_folder: Path, info: ModelInfo, files: Files
) -> None:
    before = tree(model_folder)
    model_folder.rename(model_folder.with_name(f".{model_folder.name}.replaced"))
    with pytest.raises(OutputError, match="exists"):
        check_output(model_folder, overwrite=False)
    assert tree(model_folder) == before
    save_folder(model_folder, info, files, overwrite=True)
    assert not list(model_folder.parent.glob(".*"))


def test_what_a_killed_save_left_is_cleared(out: Path, info: ModelInfo, files: Files) -> None:
    left = out.with_name(f".{out.name}.saving")
    left.mkdir()
    (left / "half").touch()
    save_folder(out, info, files)
    assert [path.name for path in out.parent.iterdir()] == ["model"]
    assert not (out / "half").exists()


def test_of_two_trainings_into_one_folder_the_second_is_refused(
    out: Path, info: ModelInfo, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It appears after the check, before the rename."""
    fsync, rival = os.fsync, out.parent / "rival"
    save_folder(rival, replace(info, seed=7), files)

    def finish_first(descriptor: int) -> None:
        fsync(descriptor)
        if rival.exists():
            rival.replace(out)

    monkeypatch.setattr(os, "fsync", finish_first)
    with pytest.raises(OutputError, match=r"exists by now.*--overwrite"):
        save_folder(out, info, files)
    assert load(out).info.seed == 7
    assert [path.name for path in out.parent.iterdir()] == ["model"]


# --- read


@pytest.mark.parametrize(
    "name", ["model.onnx", "seen.npy", "reference/expected.json", "reference/03.png"]
)
def test_a_changed_byte_is_found_and_its_file_named(model_folder: Path, name: str) -> None:
    path = model_folder / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelDamagedError, match="has changed since it was written") as caught:
        load(model_folder)
    assert str(path) in str(caught.value)


def test_every_file_is_under_a_hash(model_folder: Path) -> None:
    assert tree(model_folder).keys() - {"model.json"} == load(model_folder).info.files.keys()


def test_a_missing_file_is_named(model_folder: Path) -> None:
    (model_folder / "model.onnx").unlink()
    with pytest.raises(ModelDamagedError, match=r"model\.onnx: is missing\. Copy the folder again"):
        load(model_folder)


def test_a_file_that_cannot_be_read_is_not_called_missing(model_folder: Path) -> None:
    (model_folder / "seen.npy").unlink()
    (model_folder / "seen.npy").mkdir()
    with pytest.raises(ModelDamagedError, match=r"seen\.npy: cannot be read \(Is a directory\)"):
        load(model_folder)


def test_a_newer_format_says_what_to_upgrade(model_folder: Path) -> None:
    edit(model_folder, format=FORMAT + 1, labels=None)
    with pytest.raises(ModelFormatError) as caught:
        load(model_folder)
    assert f"has format {FORMAT + 1}; this discern reads up to {FORMAT}" in str(caught.value)
    assert "pip install --upgrade discern" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"not json"])
def test_model_json_that_is_not_json(model_folder: Path, content: bytes) -> None:
    (model_folder / "model.json").write_bytes(content)
    with pytest.raises(ModelDamagedError, match=r"model\.json: is not JSON"):
        load(model_folder)


@pytest.mark.parametrize("content", ["[]", "null", "1", "{}", '{"format": "1"}'])
def test_json_of_somebody_else(model_folder: Path, content: str) -> None:
    (model_folder / "model.json").write_text(content)
    with pytest.raises(ModelFormatError, match="is not discern's"):
        load(model_folder)


@pytest.mark.parametrize("kind", ["missing", "empty", "file"])
def test_what_is_no_model_folder(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "thing"
    if kind == "empty":
        path.mkdir()
    elif kind == "file":
        path.touch()
    with pytest.raises(ModelFormatError, match=r"thing: is not a model folder.*discern train"):
        load(path)


@pytest.mark.parametrize(
    "values",
    [
        {"labels": None},
        {"labels": "cat"},
        {"labels": [1, 2]},
        {"labels": []},
        {"labels": ["cat", "cat"]},
        {"files": ["model.onnx"]},
        {"files": {"model.onnx": 5}},
        {"preprocess": []},
        {"preprocess": {"width": 16}},
        {"preprocess": {"height": 0, "width": 16}},
        {"preprocess": {"height": 16, "width": 16, "sharpen": True}},
    ],
)
def test_a_wrong_value_is_damage_and_named(model_folder: Path, values: dict[str, Any]) -> None:
    edit(model_folder, **values)
    with pytest.raises(ModelDamagedError, match=r"model\.json") as caught:
        load(model_folder)
    assert next(iter(values)) in str(caught.value)


def test_a_value_that_is_not_there(model_folder: Path) -> None:
    path = model_folder / "model.json"
    values = json.loads(path.read_text())
    del values["temperature"]
    path.write_text(json.dumps(values))
    with pytest.raises(ModelDamagedError, match="temperature"):
        load(model_folder)


def test_a_graph_without_a_hash(model_folder: Path) -> None:
    files = json.loads((model_folder / "model.json").read_text())["files"]
    del files["model.onnx"]
    edit(model_folder, files=files)
    with pytest.raises(ModelDamagedError, match=r"model\.onnx"):
        load(model_folder)


def test_what_a_later_minor_version_adds_is_passed_over(model_folder: Path) -> None:
    edit(model_folder, colour="blue")
    assert load(model_folder).info.seed == 3


@pytest.mark.parametrize("name", ["../secret", "reference/../../secret", "", ".", "a\0b"])
def test_a_model_names_no_file_outside_its_folder(model_folder: Path, name: str) -> None:
    secret = model_folder.parent / "secret"
    secret.write_bytes(b"s")
    _list_also(model_folder, name, secret)
    with pytest.raises(ModelDamagedError, match=r"model\.json: files"):
        load(model_folder)


def test_a_model_names_no_absolute_file(model_folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"s")
    _list_also(model_folder, str(secret), secret)
    with pytest.raises(ModelDamagedError, match=r"model\.json: files"):
        load(model_folder)


def _list_also(folder: Path, name: str, like: Path) -> None:
    """Add a name with the hash of `like`, so that the hash is no reason to refuse it."""
    files = json.loads((folder / "model.json").read_text())["files"]
    edit(folder, files=files | {name: hashlib.sha256(like.read_bytes()).hexdigest()})


def test_a_copy_is_the_same_model(model_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(model_folder, tmp_path / "copy")
    assert load(tmp_path / "copy").info == load(model_folder).info
