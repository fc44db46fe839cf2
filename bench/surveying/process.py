"""Processes that are given files and answer with groups of them: ours, and others'."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from material import process

OURS = Path(__file__).with_name("ours.py")


@dataclass(frozen=True)
class Looked:
    """What our process took, in seconds and MB, and the groups it found."""

    survey: float
    find: float
    survey_mb: float  # peak until the survey was done
    mb: float  # peak of all of it
    groups: Sequence[Sequence[int]]


def look(files: Sequence[Path]) -> Looked:
    """Survey and duplicates in a fresh process, with the cache as it is."""
    _, answer = answered([sys.executable, str(OURS)], files)
    return Looked(**answer)


def answered(command: Sequence[str], files: Sequence[Path]) -> tuple[float, Any]:
    """Seconds that `command FILES.json ANSWER.json` took as a process, and its answer."""
    with TemporaryDirectory() as folder:
        asked, answer = Path(folder) / "files.json", Path(folder) / "answer.json"
        asked.write_text(json.dumps([str(path) for path in files]))
        # No bars, which CleanVision draws whatever it is told.
        took, _ = process([*command, str(asked), str(answer)], TQDM_DISABLE="1")
        return took, json.loads(answer.read_text())
