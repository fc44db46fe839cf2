"""What a training that was killed goes on from: tensors in safetensors, no pickle."""

import json
import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from discern.errors import OutputError
from discern.whole_folder import writing

State = dict[str, torch.Tensor]


@dataclass
class Position:
    """How far training has come."""

    epoch: int = 0  # finished epochs
    best_epoch: int = 0
    best_loss: float = float("inf")
    seconds: float = 0.0  # spent in the loop, over all its starts
    history: list[dict[str, float]] = field(default_factory=list)


class Checkpoints:
    """The training folder beside the output: the plan, the last state, the best state."""

    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        self.folder = folder
        self._identity = json.loads(json.dumps(identity))
        if self._read("identity.json") != self._identity:
            shutil.rmtree(self.folder, ignore_errors=True)
            with writing(self.folder):
                self.folder.mkdir(parents=True)
            self._write("identity.json", self._identity)

    def read_plan(self) -> dict[str, Any] | None:
        """The plan of the run that is being resumed; None at a first start."""
        plan: dict[str, Any] | None = self._read("plan.json")
        return plan

    def write_plan(self, plan: dict[str, Any]) -> None:
        self._write("plan.json", plan)

    def save(self, position: Position, state: State, best: State | None) -> None:
        """Keep the state after an epoch, and the best weights if they are new."""
        # The best state goes first: a kill between the two repeats the epoch, to the same end.
        if best is not None:
            self._save_tensors("best.safetensors", best, {})
        self._save_tensors("last.safetensors", state, {"position": json.dumps(asdict(position))})

    def load(self) -> tuple[Position, State] | None:
        """The last finished epoch's position and state."""
        path = self.folder / "last.safetensors"
        if not path.exists():
            return None
        with safe_open(path, framework="pt") as file:
            position = Position(**json.loads(file.metadata()["position"]))
            return position, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118

    def best(self) -> State:
        """The weights of the best epoch so far."""
        with safe_open(self.folder / "best.safetensors", framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118

    def _read(self, name: str) -> Any:
        try:
            return json.loads((self.folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def _write(self, name: str, values: Any) -> None:
        part = self.folder / f"{name}.tmp"
        with writing(self.folder):
            part.write_text(json.dumps(values, indent=1), encoding="utf-8")
            part.replace(self.folder / name)

    def _save_tensors(self, name: str, state: State, metadata: dict[str, str]) -> None:
        part = self.folder / f"{name}.tmp"
        tensors = {key: value.detach().cpu().contiguous() for key, value in state.items()}
        with writing(self.folder):
            try:
                save_file(tensors, part, metadata)
            except Exception as exc:  # safetensors wraps the system's error in its own type
                part.unlink(missing_ok=True)
                raise OutputError(f"Cannot write {part}: {exc}. Free some space.") from exc
            with part.open("rb") as file:
                os.fsync(file.fileno())
            part.replace(self.folder / name)
