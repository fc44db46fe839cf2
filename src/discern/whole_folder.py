"""A folder written whole or not at all: into a sibling first, which is then renamed."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from discern.errors import OutputError


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


def check_folder(folder: Path, overwrite: bool, *, mark: str, kind: str) -> None:
    """Refuse, before any work is done, an output that could not be written at its end.

    A folder that has no file `mark` in it is no `kind` ("a model folder"), and never replaced.
    """
    with writing(folder):
        _bring_back(folder)
        if folder.exists() and not overwrite:
            raise OutputError(f"{folder} exists. Use --overwrite to replace it, or another -o.")
        if folder.exists() and not (folder / mark).is_file() and not _is_empty(folder):
            raise OutputError(f"{folder} exists and is not {kind}; it is not replaced.")
        if (folder / ".git").exists():
            raise OutputError(
                f"{folder} is a git repository, which is not replaced. Use a folder in it."
            )
        folder.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder.parent).close()


@contextmanager
def whole_folder(folder: Path, overwrite: bool, *, mark: str, kind: str) -> Iterator[Path]:
    """An empty sibling to fill; at the end it is renamed to `folder`.

    OutputError where it cannot be written; then nothing is left behind, and what was there
    before still is.
    """
    check_folder(folder, overwrite, mark=mark, kind=kind)
    target = folder.resolve()  # through a link, what it leads to is replaced, not the link
    with writing(folder), _staged(target) as stage:
        yield stage
        _swap(stage, target, overwrite)


def add_file(path: Path, content: bytes | Path) -> None:
    """Write a file, or copy one, and see that it is on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, Path):
        shutil.copyfile(content, path)
    else:
        path.write_bytes(content)
    with path.open("rb") as file:
        os.fsync(file.fileno())


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file of the cache so that no other process sees half of it."""
    part = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        part.replace(path)


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


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
    """Where the old folder stands for the moment in which the new one takes its name."""
    return folder.with_name(f".{folder.name}.replaced")


def _bring_back(folder: Path) -> None:
    """Undo a replacement that was killed between its two renames."""
    target = folder.resolve()
    if not target.exists() and _aside(target).exists():
        _aside(target).rename(target)
