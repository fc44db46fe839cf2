"""Dynamic batching: pictures that arrive together go through the engine together.

Only for engines that gain by it (CUDA). On CPUs one picture at a time on each core was as
fast (`bench/engines.py`), and nothing need wait for a batch.
"""

import queue
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from discern.runtime.engine import Engine, Images, Metadata, Outputs
from discern.serving.line import Job, Line

QUEUED_BATCHES = 4  # that may wait or be worked on


class _Inputs(NamedTuple):
    """What one request brings."""

    images: Images
    metadata: Metadata | None


class Batcher:
    """Runs an engine on batches of whatever is waiting.

    A batch is begun when it is full, or when its first picture has waited `seconds`: that much
    latency at most is spent on filling it. A request that brings more pictures than there is
    room for comes along whole; the engine divides what is more than its batch. `batched` is told
    how many pictures went together.
    """

    def __init__(
        self,
        engine: Engine,
        seconds: float,
        waited: Callable[[float], None] = lambda _s: None,
        batched: Callable[[int], None] = lambda _n: None,
    ) -> None:
        self.line = Line(QUEUED_BATCHES * engine.batch_size, waited)
        self._engine, self._seconds, self._batched = engine, seconds, batched
        threading.Thread(target=self._work, name="batcher", daemon=True).start()

    async def run(
        self, images: Images, deadline: float, metadata: Metadata | None = None
    ) -> Outputs:
        """The engine's outputs for these pictures; raises as `Line.ask`, and EngineError."""
        inputs = _Inputs(images, metadata)
        outputs: Outputs = await self.line.ask(inputs, deadline, len(images))
        return outputs

    def close(self) -> None:
        """End the thread when the pictures before are done."""
        self.line.close()

    def _work(self) -> None:
        while (first := self.line.take()) is not None:
            self._run([first, *self._companions(first)])
            del first  # as in `Workers`

    def _companions(self, first: Job) -> list[Job]:
        """What else is there, or arrives in time, until the batch is full."""
        found: list[Job] = []
        room, until = self._engine.batch_size - first.pictures, first.submitted + self._seconds
        while room > 0:
            try:
                job = self.line.take(max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            if job is None:
                break
            found.append(job)
            room -= job.pictures
        return found

    def _run(self, jobs: list[Job]) -> None:
        self._batched(sum(job.pictures for job in jobs))
        outputs = self._outputs([job.task for job in jobs])
        start = 0
        for job in jobs:
            stop = start + job.pictures
            if isinstance(outputs, Exception):
                self.line.finish(job, failure=outputs)
            else:
                rows = {name: values[start:stop] for name, values in outputs.items()}
                self.line.finish(job, rows)
            start = stop
        del job, jobs, outputs  # an exception knows the frames it came through: see `Line.ask`

    def _outputs(self, parts: list[_Inputs]) -> Outputs | Exception:
        """What the engine gives, or its failure: who asked is told, and the thread goes on."""
        try:
            images = np.concatenate([part.images for part in parts])
            return self._engine.run(images, self._metadata(parts))
        except Exception as exc:
            return exc

    def _metadata(self, parts: list[_Inputs]) -> Metadata | None:
        """All requests' metadata [N, M], zeros where nothing is known; None if nowhere."""
        if all(part.metadata is None for part in parts):
            return None
        size = self._engine.metadata_size
        rows = [
            np.zeros((len(p.images), size), np.float32) if p.metadata is None else p.metadata
            for p in parts
        ]
        return np.concatenate(rows)
