"""A model that model servers answer for."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic

from discern.errors import UnknownModelError
from discern.model import ModelInfo
from discern.runtime.engine import Images, Outputs
from discern.runtime.pipeline import to_pixels
from discern.serving.gateway.dialect import Dialect, checked
from discern.serving.gateway.editions import Edition
from discern.serving.gateway.pool import Pool
from discern.serving.gateway.sources import FILE, FILE_SECONDS, file_in, file_request
from discern.serving.gateway.trip import Trip
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


class UpstreamServable:
    """One request's view of a model: prepared here, inferred elsewhere.

    A version may be taken out of service between `find` and the answer. One that was asked for
    by number is then unknown; who asked for the latest is answered by the one that took its
    place, from pixels prepared for that. So `version` and `info` are those of the answer given
    last; they fit to it until something else is awaited.
    """

    def __init__(self, edition: Edition, follows: bool, desk: Desk) -> None:
        self._follows, self._desk = follows, desk
        self._become(edition)

    def _become(self, edition: Edition) -> None:
        self._edition = edition
        self.name: str = edition.name
        self.version: str = edition.version
        self.info: ModelInfo = edition.info

    async def picture(self, data: bytes, deadline: float) -> Outputs:
        """As `Servable.picture`; no thread is held while the model server is waited for."""
        workers, limits = self._desk.workers, self._desk.settings.limits.of_pictures()

        async def prepare(info: ModelInfo) -> Images:
            spec = info.preprocess
            return await workers.run(lambda: to_pixels(data, spec, limits)[None], deadline)

        outputs = await self._ask(prepare, deadline)
        return {name: values[0] for name, values in outputs.items()}

    async def pixels(self, images: Images, deadline: float) -> Outputs:
        """As `Servable.pixels`."""

        async def prepare(info: ModelInfo) -> Images:
            check_pixels(images, info)
            return images

        return await self._ask(prepare, deadline)

    async def file(self, name: str) -> bytes | None:
        """As `Servable.file`; each is fetched once."""
        edition = self._edition
        if name not in edition.files and edition.pinned and name in edition.info.files:
            edition.files[name] = await self._fetched(edition, name)
        return edition.files.get(name)

    async def _ask(
        self, prepare: Callable[[ModelInfo], Awaitable[Images]], deadline: float
    ) -> Outputs:
        """The outputs of this edition, or of the one that took its place."""
        trip, edition = Trip(self._desk.pool, deadline), self._edition
        images, prepared_for = await prepare(edition.info), edition.info.preprocess
        while True:
            outputs = await self._infer(trip, edition, images)
            if outputs is not None:
                self._become(edition)
                self._desk.metrics.predicted(edition.name, edition.version, len(images))
                return outputs
            edition = self._next(trip, edition)
            if edition.info.preprocess != prepared_for:
                images, prepared_for = await prepare(edition.info), edition.info.preprocess

    async def _infer(self, trip: Trip, edition: Edition, images: Images) -> Outputs | None:
        """The answer of whoever has this edition and answers; None if there is nobody left."""
        dialect = self._desk.dialect

        def read(response: bytes) -> Outputs:
            return checked(dialect.outputs(response, edition), edition.info, len(images))

        request = dialect.request(edition, images)
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

    async def _fetched(self, edition: Edition, name: str) -> bytes | None:
        trip = Trip(self._desk.pool, monotonic() + FILE_SECONDS)
        request = file_request(edition.name, edition.version, name)
        try:
            while (address := trip.next(edition)) is not None:
                data = await trip.ask(address, edition, FILE, request, file_in)
                if data is not None:
                    return data
            raise trip.failure
        except UnknownModelError:
            return None
