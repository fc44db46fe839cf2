"""A model that model servers answer for."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic

import numpy as np

from discern.errors import UnknownModelError
from discern.model import ModelInfo
from discern.model.facts import FactReader
from discern.model.interpreter import Interpreter
from discern.runtime import Prediction
from discern.runtime.engine import Images, Metadata, Outputs
from discern.runtime.pipeline import to_pixels, unstacked
from discern.serving.facts import NOTHING, Given, as_request, check_rows, row_of
from discern.serving.gateway.dialect import Dialect, checked
from discern.serving.gateway.editions import Edition
from discern.serving.gateway.pool import Pool
from discern.serving.gateway.sources import (
    EXPLAIN,
    FILE,
    FILE_SECONDS,
    explain_request,
    file_in,
    file_request,
    png_in,
)
from discern.serving.gateway.trip import Trip
from discern.serving.heat import gives_heat
from discern.serving.local import check_pixels
from discern.serving.metrics import Metrics
from discern.serving.settings import ServeSettings
from discern.serving.workers import Workers


@dataclass(frozen=True)
class Desk:
    """What all servables of a gateway share."""

    pool: Pool
    dialect: Dialect
    workers: Workers
    settings: ServeSettings
    metrics: Metrics


@dataclass(frozen=True)
class Inputs:
    """Prepared pictures [N, H, W, 3], and what is known beside them [N, M] if anything is."""

    images: Images
    metadata: Metadata | None


class UpstreamServable:
    """One request's view of a model: prepared here, inferred elsewhere.

    A version may be taken out of service between `find` and the answer. One that was asked for
    by number is then unknown; who asked for the latest is answered by the one that took its
    place, from pixels prepared for that. So what stands in its attributes is of the answer
    given last; it fits to it until something else is awaited.
    """

    @property
    def explains(self) -> bool:
        """As `Servable.explains`: discern's own model servers make heat maps."""
        return self._edition.pinned and gives_heat(self.info)

    def __init__(self, edition: Edition, follows: bool, desk: Desk) -> None:
        self._follows, self._desk = follows, desk
        self._become(edition)

    def _become(self, edition: Edition) -> None:
        self._edition = edition
        self.name: str = edition.name
        self.version: str = edition.version
        self.info: ModelInfo = edition.info
        self.interpreter: Interpreter = edition.interpreter
        self.facts: FactReader | None = edition.facts

    async def picture(self, data: bytes, deadline: float, metadata: Given = NOTHING) -> Outputs:
        """As `Servable.picture`; no thread is held while the model server is waited for."""
        workers, limits = self._desk.workers, self._desk.settings.limits.of_pictures()

        async def prepare(edition: Edition) -> Inputs:
            def work() -> Inputs:
                pixels = to_pixels(data, edition.info.preprocess, limits)
                row = row_of(edition.facts, data, metadata)
                return Inputs(pixels[None], None if row is None else row[None])

            return await workers.run(work, deadline)

        return next(unstacked(await self._ask(prepare, deadline), 1))

    async def pixels(
        self, images: Images, deadline: float, metadata: Metadata | None = None
    ) -> Outputs:
        """As `Servable.pixels`."""

        async def prepare(edition: Edition) -> Inputs:
            check_pixels(images, edition.info)
            if metadata is not None:
                check_rows(edition.facts, metadata, len(images))
            return Inputs(images, metadata)

        return await self._ask(prepare, deadline)

    async def predict(
        self,
        data: bytes,
        deadline: float,
        metadata: Given = NOTHING,
        coverage: float | None = None,
    ) -> Prediction:
        """As `Servable.predict`."""
        as_request(lambda: self._edition.interpreter.covering(coverage))  # before anybody is asked
        outputs = await self.picture(data, deadline, metadata)
        edition = self._edition
        interpret = as_request(lambda: edition.interpreter.covering(coverage))
        if interpret.unknown is None:  # else it may take longer than the event loop should
            return interpret(outputs)
        found = await self._desk.workers.run(lambda: interpret(outputs), deadline, pictures=0)
        self._become(edition)  # meanwhile, another picture's answer may have come
        return found

    async def heatmap(
        self, data: bytes, label: str, deadline: float, metadata: Given = NOTHING
    ) -> bytes | None:
        """As `Servable.heatmap`, of the version that answered last; None if it has gone."""
        if not self.explains:
            return None
        edition = self._edition
        row = row_of(edition.facts, data, metadata)
        request = explain_request(edition, data, label, row)
        found = await self._served(edition, EXPLAIN, request, png_in, deadline)
        return found or None

    async def file(self, name: str) -> bytes | None:
        """As `Servable.file`; each is fetched once."""
        edition = self._edition
        if name not in edition.files and edition.pinned and name in edition.info.files:
            request = file_request(edition.name, edition.version, name)
            until = monotonic() + FILE_SECONDS
            edition.files[name] = await self._served(edition, FILE, request, file_in, until)
        return edition.files.get(name)

    async def _ask(
        self, prepare: Callable[[Edition], Awaitable[Inputs]], deadline: float
    ) -> Outputs:
        """The outputs of this edition, or of the one that took its place."""
        trip, edition = Trip(self._desk.pool, deadline), self._edition
        inputs, prepared_for = await prepare(edition), edition
        while True:
            outputs = await self._infer(trip, edition, inputs)
            if outputs is not None:
                self._become(edition)
                self._desk.metrics.predicted(edition.name, edition.version, len(inputs.images))
                return outputs
            edition = self._next(trip, edition)
            if not _takes_the_same(edition, prepared_for):
                inputs, prepared_for = await prepare(edition), edition

    async def _infer(self, trip: Trip, edition: Edition, inputs: Inputs) -> Outputs | None:
        """The answer of whoever has this edition and answers; None if there is nobody left."""
        dialect = self._desk.dialect

        def read(response: bytes) -> Outputs:
            return checked(dialect.outputs(response, edition), edition.info, len(inputs.images))

        request = dialect.request(edition, inputs.images, _rows(edition, inputs))
        while (address := trip.next(edition)) is not None:
            outputs = await trip.ask(address, edition, dialect.infer, request, read)
            if outputs is not None:
                return outputs
        return None

    def _next(self, trip: Trip, edition: Edition) -> Edition:
        """The edition to go on with; raises what went wrong if there is none."""
        other = trip.other(edition) if self._follows else None
        if other is None:
            raise trip.failure
        return other

    async def _served(
        self,
        edition: Edition,
        method: str,
        request: bytes,
        read: Callable[[bytes], bytes],
        deadline: float,
    ) -> bytes | None:
        """What a server that has this edition answers; None if it has gone."""
        trip = Trip(self._desk.pool, deadline)
        try:
            while (address := trip.next(edition)) is not None:
                data = await trip.ask(address, edition, method, request, read)
                if data is not None:
                    return data
            raise trip.failure
        except UnknownModelError:
            return None


def _takes_the_same(edition: Edition, other: Edition) -> bool:
    return edition.info.preprocess == other.info.preprocess and edition.facts == other.facts


def _rows(edition: Edition, inputs: Inputs) -> Metadata | None:
    """The model's second input if it has one; not every server lets it be left out."""
    if edition.facts is None or inputs.metadata is not None:
        return inputs.metadata
    return np.zeros((len(inputs.images), edition.facts.spec.size), np.float32)
