"""How fast an export is beside its source, on this machine, in rounds by turns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from discern.images import PreprocessSpec
from discern.runtime.engine import Engine
from discern.runtime.speed import answering, answers_a_second, latencies

ROUNDS, SECONDS = 5, 0.2  # of each engine, in each of both ways


@dataclass(frozen=True)
class Pace:
    """What a graph reached; decoding and resizing are counted in."""

    latency_ms: float  # median, one picture at a time on one core
    pictures_per_second: float  # every core busy; the median of the rounds


def paces(
    engines: Mapping[str, Engine], spec: PreprocessSpec, pictures: Sequence[bytes]
) -> dict[str, Pace]:
    """Time engines on these encoded pictures, by turns, so that noise hits all alike."""
    times: dict[str, list[float]] = {name: [] for name in engines}
    rates: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(ROUNDS):
        for name, engine in engines.items():
            answer = answering(engine, spec, pictures, 1)
            times[name] += latencies(answer, SECONDS)
            rates[name].append(answers_a_second(answer, SECONDS))
    return {
        name: Pace(1000 * float(np.median(times[name])), float(np.median(rates[name])))
        for name in engines
    }
