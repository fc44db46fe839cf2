"""What a request of a tensor protocol asks about, answered as one batch or not at all."""

import asyncio
from collections.abc import Sequence

import numpy as np

from discern.errors import OverloadedError, PictureError
from discern.model import ModelInfo
from discern.runtime.engine import Images, Outputs
from discern.serving.catalog import Servable
from discern.serving.settings import QueueSettings

Pictures = Images | list[bytes]  # pixels [N, H, W, 3], or N encoded pictures
SHARE = 4  # one request's pictures take at most a quarter of the line


async def run_pictures(
    servable: Servable, pictures: Pictures, deadline: float, queue: QueueSettings
) -> Outputs:
    """All outputs, [N, …] each; raises as `Servable.picture` and `Servable.pixels`."""
    if isinstance(pictures, list):
        return await run_encoded(servable, pictures, deadline, queue)
    return await servable.pixels(pictures, deadline)


async def run_encoded(
    servable: Servable, pictures: Sequence[bytes], deadline: float, queue: QueueSettings
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
                outputs = await servable.picture(pictures[index], deadline)
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
