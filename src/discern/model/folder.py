"""The model folder on disk: written whole or not at all, and read only if nothing changed."""

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from discern.errors import ModelDamagedError, OutputError
from discern.model.info import RESTORE, ModelInfo, read_info

INFO, GRAPH = "model.json", "model.onnx"
TAIL = "tail.onnx"  # from what the graph pools to logits: heat maps are made with it
UNKNOWN = "unknown.npz"  # arrays of the "none of these" score
SEEN = "seen.npy"  # uint64 [n], sorted: short hashes of the pictures that took part in training


def check_output(folder: Path, overwrite: bool) -> None:
    """Refuse, before any work is done, an output that could not be written at its end."""
    with writing(folder):
        _bring_back(folder)
        if folder.exists() and not overwrite:
            raise OutputError(f"{folder} exists. Use --overwrite to replace it, or another -o.")
        if folder.exists() and not (folder / INFO).is_file() and not _is_empty(folder):
            raise OutputError(f"{folder} exists and is not a model folder; it is not replaced.")
        folder.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder.parent).close()


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


Describe = Callable[[Path, ModelInfo], Mapping[str, bytes]]  # a folder → files that tell of it


def save_folder(
    folder: Path,
    info: ModelInfo,
    files: Mapping[str, bytes | Path],
    *,
    overwrite: bool = False,
    describe: Describe = lambda _folder, _info: {},
) -> ModelInfo:
    """Write `files` (by relative name) and `model.json` to a sibling, then rename it into place.

    `describe` sees the complete sibling and gives more files, such as a report of it. Returns the
    info with the files' hashes. OutputError where it cannot be written; then nothing is left
    behind, and what was there before still is.
    """
    check_output(folder, overwrite)
    target = folder.resolve()  # through a link, what it leads to is replaced, not the link
    with writing(folder), _staged(target) as stage:
        info = _fill(stage, replace(info, files={}), files)
        info = _fill(stage, info, describe(stage, info))
        _swap(stage, target, overwrite)
    return info


def load_info(folder: Path) -> ModelInfo:
    """The folder's info, after checking every file against its hash."""
    info = read_info(folder / INFO)
    if GRAPH not in info.files:
        raise ModelDamagedError(f"{folder / INFO}: has no hash of {GRAPH}. {RESTORE}")
    for name, expected in info.files.items():
        try:
            actual = _sha256(folder / name)
        except FileNotFoundError as exc:
            raise ModelDamagedError(f"{folder / name}: is missing. {RESTORE}") from exc
        except OSError as exc:
            raise ModelDamagedError(f"{folder / name}: cannot be read ({exc.strerror}).") from exc
        if actual != expected:
            raise ModelDamagedError(f"{folder / name}: has changed since it was written. {RESTORE}")
    return info


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Turn what the system says about a write that failed into what to do about it."""
    try:
        yield
    except OSError as exc:
        remedy = {
            errno.ENOSPC: "the disk is full. Free some space and run the same command again",
            errno.EDQUOT: "the disk quota is used up. Free some space and run it again",
            errno.EROFS: "the file system is read-only. Choose another place",
            errno.EACCES: "permission denied. Choose another place",
            errno.EPERM: "permission denied. Choose another place",
            errno.ENOTDIR: "a file stands where a folder is needed. Choose another place",
            errno.ENOTEMPTY: "it exists by now. Use --overwrite to replace it, or another -o",
            errno.EEXIST: "a file stands where a folder is needed. Choose another place",
        }.get(exc.errno or 0, exc.strerror or str(exc))
        raise OutputError(f"Cannot write {target}: {remedy}.") from exc


@contextmanager
def _staged(folder: Path) -> Iterator[Path]:
    """A sibling to write into; what a killed run left there is cleared first."""
    stage = folder.with_name(f".{folder.name}.saving")
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir()
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _fill(stage: Path, info: ModelInfo, files: Mapping[str, bytes | Path]) -> ModelInfo:
    """Write these files and a `model.json` that knows them and what is there already."""
    for name, content in files.items():
        _write(stage / name, content)
    hashes = dict(info.files) | {name: _sha256(stage / name) for name in files}
    info = replace(info, files=dict(sorted(hashes.items())))
    _write(stage / INFO, info.to_json().encode())
    return info


def _write(path: Path, content: bytes | Path) -> None:
    path.parent.mkdir(exist_ok=True)
    if isinstance(content, Path):
        shutil.copyfile(content, path)
    else:
        path.write_bytes(content)
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _swap(stage: Path, folder: Path, overwrite: bool) -> None:
    """Rename `stage` to `folder`; what stood there is moved aside first and deleted last."""
    if not (overwrite and folder.exists()):
        stage.rename(folder)  # refused by the system if another process was quicker
        return
    old = _aside(folder)
    shutil.rmtree(old, ignore_errors=True)
    folder.rename(old)
    try:
        stage.rename(folder)
    except BaseException:
        old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _aside(folder: Path) -> Path:
    """Where the old model stands for the moment in which the new one takes its name."""
    return folder.with_name(f".{folder.name}.replaced")


def _bring_back(folder: Path) -> None:
    """Undo a replacement that was killed between its two renames."""
    target = folder.resolve()
    if not target.exists() and _aside(target).exists():
        _aside(target).rename(target)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
