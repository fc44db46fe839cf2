"""The folder of a comparison: each candidate's row as soon as it is done, then the outcome."""

import hashlib
import json
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from discern.errors import OutputError
from discern.evaluation.comparison import Answers, Costs
from discern.runtime.speed import Speed
from discern.training.outcome import training_folder
from discern.whole_folder import write_atomically, writing

MARK, ROWS, MODEL = "comparison.json", "candidates", "model"
FORMAT = 1


@dataclass(frozen=True)
class Row:
    """What is kept of one candidate."""

    answers: Answers
    costs: Costs


@dataclass(frozen=True)
class ComparisonFolder:
    """Where a comparison is written; `identity` says of what data and settings it is."""

    path: Path
    identity: Mapping[str, Any]
    run: int  # rows of earlier runs do not count
    taken: str | None  # the backbone whose model was written last

    @property
    def model(self) -> Path:
        return self.path / MODEL

    def training(self, backbone: str) -> Path:
        """The output that a candidate's training is told; it keeps its checkpoints beside it."""
        return self.path / ROWS / _file_name(backbone)

    def read(self, backbone: str) -> Row | None:
        """The candidate's row, if this run has it already."""
        try:
            values = json.loads(self._row(backbone, ".json").read_text(encoding="utf-8"))
            if values["of"] != self._of(backbone):
                return None
            with np.load(self._row(backbone, ".npz"), allow_pickle=False) as arrays:
                answers = Answers(**arrays)
            costs = values["costs"]
            return Row(answers, Costs(**costs | {"speed": Speed(**costs["speed"])}))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, backbone: str, row: Row) -> None:
        """Keep a candidate's row; the answers go first, so that a row that is there is whole."""
        buffer = BytesIO()
        np.savez_compressed(buffer, **vars(row.answers))
        write_atomically(self._row(backbone, ".npz"), buffer.getvalue())
        values = {"of": self._of(backbone), "costs": asdict(row.costs)}
        write_atomically(self._row(backbone, ".json"), json.dumps(values, indent=1).encode())

    def finish(self, taken: str, files: Mapping[str, str], backbones: Iterable[str]) -> None:
        """Write the outcome, and remove what only a killed run would have gone on from."""
        for name, content in files.items():
            write_atomically(self.path / name, content.encode("utf-8", "backslashreplace"))
        self.mark(taken)
        for name in backbones:
            shutil.rmtree(training_folder(self.training(name)), ignore_errors=True)

    def mark(self, taken: str | None) -> None:
        """Write what tells a comparison from any other folder."""
        values = {
            "format": FORMAT,
            "identity": self.identity,
            "run": self.run,
            "taken": taken,
        }
        write_atomically(self.path / MARK, json.dumps(values, indent=1).encode())

    def _of(self, backbone: str) -> dict[str, Any]:
        return {"identity": self.identity, "run": self.run, "backbone": backbone}

    def _row(self, backbone: str, suffix: str) -> Path:
        return self.path / ROWS / f"{_file_name(backbone)}{suffix}"


def open_comparison(
    path: Path, identity: Mapping[str, Any], *, overwrite: bool
) -> ComparisonFolder:
    """The comparison in this folder, new or gone on with.

    With `overwrite`, one of other data or settings, or one that is complete, is begun anew.
    OutputError for those without it, and always for a folder that is no comparison.
    """
    identity = json.loads(json.dumps(identity))
    known = _read_mark(path)
    if known is None:
        _refuse_other(path)
        run, taken = 1, None
    elif known["identity"] == identity and not (overwrite and known["taken"]):
        run, taken = known["run"], known["taken"]
    elif overwrite:
        run, taken = known["run"] + 1, None
    else:
        raise OutputError(
            f"{path} holds a comparison of other data or settings. "
            "Use --overwrite to begin anew, or another -o."
        )
    folder = ComparisonFolder(path, identity, run, taken)
    folder.mark(taken)
    return folder


def _read_mark(path: Path) -> dict[str, Any] | None:
    try:
        values = json.loads((path / MARK).read_text(encoding="utf-8"))
        known = {"identity", "run", "taken"} <= values.keys() and values["format"] == FORMAT
        return values if known else None
    except (OSError, ValueError, AttributeError, KeyError):
        return None


def _refuse_other(path: Path) -> None:
    with writing(path):
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise OutputError(f"{path} exists and is no comparison; it is not replaced.")


def _file_name(backbone: str) -> str:
    """A name for files: readable, and another one for every backbone."""
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", backbone)[-60:].strip(".-")
    return f"{readable}-{hashlib.sha256(backbone.encode()).hexdigest()[:8]}"
