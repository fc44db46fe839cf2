"""The same pictures through others' tools: time by turns, and what each finds of the planted."""

import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from discern.data import load_dataset
from material import fresh_cache, python_with
from serving.table import Figure
from surveying.limit import decoding_seconds
from surveying.planting import KINDS, Kind, Planted, plant
from surveying.process import OURS, answered
from surveying.score import Groups, found, untouched_share

REQUIREMENTS = ("cleanvision==0.3.7", "imagehash==4.3.2")
SCRIPTS = Path(__file__).parents[1] / "peers"
PEERS = {
    "CleanVision": SCRIPTS / "cleanvision_issues.py",
    "perceptual hash": SCRIPTS / "perceptual_hash.py",
}


def peers(data: Path, copies: int, rounds: int) -> list[Figure]:
    """Whole processes on the pictures as they are, nothing cached; then recall on the planted."""
    python = python_with("look-peers", REQUIREMENTS)
    if python is None:
        return [Figure("the peers cannot be installed; they are left out")]
    commands = {name: [str(python), str(script)] for name, script in PEERS.items()}
    with TemporaryDirectory() as folder:
        material = plant(load_dataset(data), Path(folder), copies)
        return [
            *_times(commands, list(load_dataset(data).files()), rounds),
            *_recalls(commands, material),
        ]


def _times(commands: dict[str, list[str]], files: Sequence[Path], rounds: int) -> list[Figure]:
    """Medians over rounds; the ratios are those of each round."""
    taken = [_round(commands, files) for _ in range(rounds)]
    ours, limit = (statistics.median(row[key] for row in taken) for key in ("ours", "limit"))
    return [
        Figure(
            f"{len(files)} pictures, cold, s; {name}",
            ours,
            limit,
            statistics.median(row[name] for row in taken),
            ratio=statistics.median(row["ours"] / row[name] for row in taken),
        )
        for name in commands
    ]


def _round(commands: dict[str, list[str]], files: Sequence[Path]) -> dict[str, float]:
    """Seconds of each, by turns."""
    with fresh_cache():
        ours, _ = answered([sys.executable, str(OURS)], files)
    theirs = {name: answered(command, files)[0] for name, command in commands.items()}
    return {"ours": ours, "limit": decoding_seconds(files), **theirs}


def _recalls(commands: dict[str, list[str]], material: Planted) -> list[Figure]:
    with fresh_cache():
        ours = _groups([sys.executable, str(OURS)], material)
    theirs = {name: _groups(command, material) for name, command in commands.items()}
    return [figure for name in theirs for figure in _beside(name, ours, theirs[name], material)]


def _groups(command: list[str], material: Planted) -> Groups:
    return answered(command, material.files)[1]["groups"]  # type: ignore[no-any-return]


def _beside(name: str, ours: Groups, theirs: Groups, material: Planted) -> list[Figure]:
    def share(groups: Groups, kind: Kind) -> float:
        return float(found(groups, material, kind).mean())

    return [
        Figure(f"what {name} finds of the planted:"),
        *(Figure(kind.name, share(ours, kind), peer=share(theirs, kind)) for kind in KINDS[:-1]),
        Figure(
            "untouched pictures with another photograph",
            untouched_share(ours, material),
            peer=untouched_share(theirs, material),
        ),
    ]
