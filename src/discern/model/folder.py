"""The model folder on disk: written whole or not at all, and read only if nothing changed."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from discern.errors import ModelDamagedError
from discern.model.info import RESTORE, ModelInfo, read_info
from discern.whole_folder import add_file, check_folder, whole_folder

INFO, GRAPH = "model.json", "model.onnx"
TAIL = "tail.onnx"  # from what the graph pools to logits: heat maps are made with it
UNKNOWN = "unknown.npz"  # arrays of the "none of these" score
SEEN = "seen.npy"  # uint64 [n], sorted: short hashes of the pictures that took part in training
TOGETHER = "together.npy"  # uint64 [k, 2]: short hashes of copies, and which show one picture
KIND = "a model folder"

Describe = Callable[[Path, ModelInfo], Mapping[str, bytes]]  # a folder → files that tell of it


def check_output(folder: Path, overwrite: bool) -> None:
    """Refuse, before any work is done, an output that could not be written at its end."""
    check_folder(folder, overwrite, mark=INFO, kind=KIND)


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
    with whole_folder(folder, overwrite, mark=INFO, kind=KIND) as stage:
        info = _fill(stage, replace(info, files={}), files)
        return _fill(stage, info, describe(stage, info))


def load_info(folder: Path) -> ModelInfo:
    """The folder's info, after checking every file against its hash."""
    info = read_info(folder / INFO)
    if GRAPH not in info.files:
        raise ModelDamagedError(f"{folder / INFO}: has no hash of {GRAPH}. {RESTORE}")
    check_hashes(folder, info.files)
    return info


def check_hashes(folder: Path, files: Mapping[str, str]) -> None:
    """ModelDamagedError, naming the file, where one is missing or has another sha256."""
    for name, expected in files.items():
        try:
            actual = sha256_of(folder / name)
        except FileNotFoundError as exc:
            raise ModelDamagedError(f"{folder / name}: is missing. {RESTORE}") from exc
        except OSError as exc:
            raise ModelDamagedError(f"{folder / name}: cannot be read ({exc.strerror}).") from exc
        if actual != expected:
            raise ModelDamagedError(f"{folder / name}: has changed since it was written. {RESTORE}")


def _fill(stage: Path, info: ModelInfo, files: Mapping[str, bytes | Path]) -> ModelInfo:
    """Write these files and a `model.json` that knows them and what is there already."""
    for name, content in files.items():
        add_file(stage / name, content)
    hashes = dict(info.files) | {name: sha256_of(stage / name) for name in files}
    info = replace(info, files=dict(sorted(hashes.items())))
    add_file(stage / INFO, info.to_json().encode())
    return info


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
