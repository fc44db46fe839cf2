"""What a request of a tensor protocol asks about, answered as one batch or not at all."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from discern.errors import OverloadedError, PictureError
from discern.model import ModelInfo
from discern.runtime.engine import Images, Metadata, Outputs
from discern.serving.catalog import Servable
from discern.serving.facts import NOTHING
from discern.serving.settings import QueueSettings

Pictures = Images | list[bytes]  # pixels [N, H, W, 3], or N encoded pictures
SHARE = 4  # one request's pictures take at most a quarter of the line


@dataclass(frozen=True)
class Question:
    """N pictures, and what is known beside them [N, M] if the request says it."""

    pictures: Pictures
    metadata: Metadata | None = None


async def run_question(
    servable: Servable, question: Question, deadline: float, queue: QueueSettings
) -> Outputs:
    """All outputs, [N, …] each; raises as `Servable.picture` and `Servable.pixels`."""
    pictures, metadata = question.pictures, question.metadata
    if isinstance(pictures, list):
        return await run_encoded(servable, pictures, deadline, queue, metadata)
    return await servable.pixels(pictures, deadline, metadata)


async def run_encoded(
    servable: Servable,
    pictures: Sequence[bytes],
    deadline: float,
    queue: QueueSettings,
    metadata: Metadata | None = None,
) -> Outputs:
    """The outputs for encoded pictures, [N, …] each.

    The first that fails ends the others. Raises as `Servable.picture`; a PictureError says
    which of the pictures it is about.
    """
    # All at once would be more than the line takes on, on a machine that has nothing else to do.
    slots = asyncio.Semaphore(max(1, queue.capacity() // SHARE))

    async def run(index: int) -> tuple[ModelInfo, Outputs]:
        async with slots:
            try:
                given = NOTHING if metadata is None else metadata[index]
                outputs = await servable.picture(pictures[index], deadline, given)
                return servable.info, outputs
            except PictureError as exc:
                raise type(exc)(f"picture {index}: {exc}") from exc

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(run(index)) for index in range(len(pictures))]
    except BaseExceptionGroup as failures:
        first = failures.exceptions[0]
        raise first from first.__cause__
    answers = [task.result() for task in tasks]
    if any(info is not servable.info for info, _ in answers):  # behind a gateway
        raise OverloadedError("The model was replaced while it answered. Ask again.")
    return _stacked([outputs for _, outputs in answers])


def _stacked(outputs: list[Outputs]) -> Outputs:
    return {name: np.stack([each[name] for each in outputs]) for name in outputs[0]}
