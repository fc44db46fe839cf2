"""What settings add to the defaults: two sets of answers to the same pictures."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from discern.evaluation.significance import Difference, difference_interval
from discern.model.calibration import fit_temperature, softmax
from discern.training.held_out import HeldOut
from discern.training.outcome import Outcome, columns


@dataclass(frozen=True)
class Gain:
    """What the best settings add to the defaults, on the same pictures; 95 % intervals."""

    on: str
    pictures: int
    accuracy: Difference
    log_loss: Difference


Answers = tuple[np.ndarray, np.ndarray, np.ndarray]  # samples [n], truth [n], calibrated [n, C]


def kept(folder: Path, number: int) -> Answers:
    with np.load(folder / f"{number}.npz") as file:
        samples, truth, logits = file["samples"], file["truth"], file["logits"]
    return samples, truth, logits / fit_temperature(logits, truth)


def gain(on: str, best: Answers, default: Answers) -> Gain:
    """The difference on the pictures that both have answered."""
    _, ours, theirs = np.intersect1d(best[0], default[0], return_indices=True)
    hits, losses = _judged(best[1][ours], best[2][ours])
    other_hits, other_losses = _judged(default[1][theirs], default[2][theirs])
    return Gain(
        on,
        len(ours),
        difference_interval(hits, other_hits),
        difference_interval(losses, other_losses),
    )


def _judged(truth: np.ndarray, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which answers are right [n], and what each costs [n]."""
    p = softmax(logits)[np.arange(len(truth)), truth]
    return (logits.argmax(1) == truth).astype(float), -np.log(np.maximum(p, 1e-15))


def read_gain(values: Mapping[str, Any]) -> Gain:
    """The gain of which `asdict` gave these values."""
    accuracy, log_loss = (Difference(**values[key]) for key in ("accuracy", "log_loss"))
    return Gain(values["on"], values["pictures"], accuracy, log_loss)


def scored_gain(best: Outcome, default: Outcome, classes: tuple[str, ...]) -> list[Gain]:
    """The difference on the split that nothing was chosen on."""
    split = next((s for s in ("test", "validation") if s in best.answered), None)
    if split is None:
        return []
    return [gain(split, *(_on_split(outcome, split, classes) for outcome in (best, default)))]


def _on_split(outcome: Outcome, split: str, classes: tuple[str, ...]) -> Answers:
    answered, held = outcome.answered[split], outcome.held_out
    temperature = 1.0 if held is None else fit_temperature(held.logits, held.truth, held.weights)
    truth = columns(np.array(answered.truth), classes)
    return np.arange(len(truth)), truth, answered.logits / temperature


def forget(folder: Path, number: int) -> None:
    """Drop a trial's answers: neither the defaults' nor the best's, nobody will ask for them."""
    (folder / f"{number}.npz").unlink(missing_ok=True)


def keep(folder: Path, number: int, held: HeldOut) -> None:
    """Keep a trial's answers beside the study, to compare them with another's in the end."""
    buffer = io.BytesIO()
    np.savez(buffer, samples=held.samples, truth=held.truth, logits=held.logits)
    part = folder / f"{number}.npz.tmp"
    part.write_bytes(buffer.getvalue())
    part.replace(folder / f"{number}.npz")
