"""How fast a graph answers on this machine, from encoded pictures to outputs."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from discern.images import PreprocessSpec
from discern.runtime import machine
from discern.runtime.choose import open_engine
from discern.runtime.engine import Engine, Goal
from discern.runtime.pipeline import to_pixels

FEWEST = 5  # answers timed, however slow they are
WARM_UP = 2  # answers before, which pay for memory and caches


@dataclass(frozen=True)
class Speed:
    """What one graph reached on one machine; decoding and resizing are counted in."""

    latency_ms: float  # median, one picture at a time
    p95_ms: float  # what 95 % of them stayed within
    pictures_per_second: float  # every core busy
    engine: str
    precision: str
    cores: int


def measure_speed(
    graph: Path,
    spec: PreprocessSpec,
    pictures: Sequence[bytes],
    *,
    seconds: float = 1.0,
    engine: str = "auto",
    precision: str = "auto",
    device: str = "auto",
) -> Speed:
    """Time the graph on these encoded pictures, for about `seconds` each way.

    Once by one picture at a time on an engine made for latency, once with every core taking
    pictures on an engine made for throughput. Raises PictureError where a picture cannot be
    decoded, EngineError where the graph cannot be run.
    """
    sample = np.stack([to_pixels(picture, spec) for picture in pictures])

    def opened(goal: Goal) -> Engine:
        return open_engine(
            graph, sample=sample, engine=engine, precision=precision, device=device, goal=goal
        )

    quick = opened("latency")
    times = latencies(answering(quick, spec, pictures, at_once=1), seconds)  # [n] seconds
    busy = opened("throughput")
    every_core = answering(busy, spec, pictures, busy.batch_size)
    rate = answers_a_second(every_core, seconds) * busy.batch_size
    return Speed(
        latency_ms=1000 * float(np.median(times)),
        p95_ms=1000 * float(np.quantile(times, 0.95)),
        pictures_per_second=rate,
        engine=busy.name,
        precision=busy.precision,
        cores=machine.cores(),
    )


Answer = Callable[[int], object]  # answers the k-th of an endless row of batches


def answering(
    engine: Engine, spec: PreprocessSpec, pictures: Sequence[bytes], at_once: int
) -> Answer:
    """The work to be timed: from `at_once` encoded pictures to outputs, in an endless row."""

    def answer(k: int) -> object:
        batch = (pictures[i % len(pictures)] for i in range(k * at_once, (k + 1) * at_once))
        return engine.run(np.stack([to_pixels(picture, spec) for picture in batch]))

    return answer


def latencies(answer: Answer, seconds: float) -> list[float]:
    """Seconds that each of some answers took, one after the other."""
    for k in range(WARM_UP):
        answer(k)
    times: list[float] = []
    while len(times) < FEWEST or sum(times) < seconds:
        started = time.perf_counter()
        answer(len(times))
        times.append(time.perf_counter() - started)
    return times


def answers_a_second(answer: Answer, seconds: float) -> float:
    """Answers a second with every core giving them."""
    answer(0)
    workers = machine.cores()

    def work(first: int) -> float:
        started, done, passed = time.perf_counter(), 0, 0.0
        while not done or passed < seconds:
            answer(first + done * workers)
            done, passed = done + 1, time.perf_counter() - started
        return done / passed  # by its own clock: no thread's rate suffers from another's end

    with ThreadPoolExecutor(workers) as pool:
        return sum(pool.map(work, range(workers)))
