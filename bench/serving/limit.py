"""What the machine allows: decode and infer with nothing around it, behind an ideal queue."""

import heapq
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle

import numpy as np

from discern.model import Model
from discern.runtime import Predictor
from discern.runtime.machine import cores
from discern.runtime.pipeline import to_pixels


def predictor_rate(model: Model, pictures: Sequence[bytes], seconds: float) -> float:
    """Pictures a second from bytes in memory to answers, on all cores."""
    answers = model.predictor().outputs(cycle(pictures))
    for _ in range(4 * cores()):
        next(answers)
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        next(answers)
        done += 1
    took = time.perf_counter() - started
    answers.close()  # type: ignore[attr-defined]
    return done / took


def service_seconds(model: Model, pictures: Sequence[bytes], seconds: float) -> list[float]:
    """How long single pictures take a core from bytes to answer, while all cores work."""
    predictor = model.predictor()
    end = time.perf_counter() + seconds

    def work(first: int) -> list[float]:
        took, mine = [], cycle(pictures[first :: cores()])
        while (started := time.perf_counter()) < end:
            _answer(predictor, next(mine))
            took.append(time.perf_counter() - started)
        return took

    with ThreadPoolExecutor(cores()) as pool:
        return [t for found in pool.map(work, range(cores())) for t in found[5:]]


def _answer(predictor: Predictor, data: bytes) -> None:
    predictor.engine.run(to_pixels(data, predictor.preprocess)[None])


def ideal_latencies(due: Iterable[float], service: Sequence[float], seed: int = 0) -> np.ndarray:
    """Seconds until each request is answered by an ideal first-come queue before the cores."""
    took = np.random.default_rng(seed)
    free = [0.0] * cores()
    latencies = []
    for moment in due:
        done = max(moment, heapq.heappop(free)) + took.choice(service)
        heapq.heappush(free, done)
        latencies.append(done - moment)
    return np.array(latencies)
