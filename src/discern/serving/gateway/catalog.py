"""The catalog of a gateway: one model, of which the model servers say what it is."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from discern.errors import (
    ConfigError,
    OverloadedError,
    ServingError,
    UnknownModelError,
    UpstreamError,
)
from discern.serving.catalog import VersionStatus
from discern.serving.gateway.editions import Edition
from discern.serving.gateway.open_inference import OPEN_INFERENCE
from discern.serving.gateway.pool import Pool, Resolve, resolve_host
from discern.serving.gateway.servable import Desk, UpstreamServable
from discern.serving.gateway.sources import GivenFolder, OwnServers
from discern.serving.gateway.tensorflow import TENSORFLOW
from discern.serving.gateway.upstreams import parse_upstreams
from discern.serving.metrics import Metrics
from discern.serving.settings import ServeSettings
from discern.serving.versions import version_number
from discern.serving.workers import Workers

DIALECTS = {"open-inference": OPEN_INFERENCE, "tensorflow": TENSORFLOW}


class UpstreamCatalog:
    """The model `name`, or the only one, at model servers behind `upstreams`.

    Where `model` gives its folder, its meaning is read there; else the servers, discern's own,
    are asked, with the API `key` if they want one. While they have different versions, every
    one of them is asked for its newest.
    """

    def __init__(
        self,
        upstreams: Sequence[str],
        workers: Workers,
        settings: ServeSettings,
        metrics: Metrics,
        *,
        model: Path | None = None,
        name: str | None = None,
        key: str | None = None,
        poll_seconds: float = 2.0,
        resolve: Resolve = resolve_host,
    ) -> None:
        dialect, hosts = parse_upstreams(upstreams, key)
        if dialect == "tensorflow" and model is None:
            raise ConfigError(
                "TensorFlow Serving cannot say what its model's labels and preprocessing are. "
                "Give the model's folder: --model FOLDER"
            )
        self._dialect, self._folder, self._name = DIALECTS[dialect], model, name
        self._source: OwnServers | GivenFolder = OwnServers(name)
        self._pool = Pool(
            hosts,
            lambda address: self._source.look(address),
            self._changed,
            poll_seconds,
            settings.limits.seconds,
            resolve,
        )
        self._desk = Desk(self._pool, self._dialect, workers, settings, metrics)
        self._metrics = metrics
        self._served: set[tuple[str, str]] = set()  # names and versions, as the metrics know them
        self._last: Edition | None = None  # answers for the model while no server does

    async def start(self) -> None:
        """Look for the servers; one that is not there yet is waited for later, by `ready`.

        Raises ConfigError and ModelError for what waiting does not cure.
        """
        if self._folder is not None:
            self._source = await asyncio.to_thread(
                GivenFolder, self._folder, self._name, self._dialect
            )
        await self._pool.start()
        if self._pool.fault and not self.ready:
            await self.stop()
            raise self._pool.fault

    async def stop(self) -> None:
        await self._pool.stop()

    @property
    def ready(self) -> bool:
        """Whether a server can be asked now."""
        return any(a.editions and a.circuit.admits for a in self._pool.addresses)

    def find(self, name: str | None = None, version: str | None = None) -> UpstreamServable:
        """As `Catalog.find`. While no server answers, the model as it was last; asking it fails."""
        known = self._source.name
        if name is not None and known is not None and name != known:
            raise UnknownModelError(f"There is no model {name!r}; {known!r} is served.")
        if self._last is None:
            raise self._absence()
        edition = self._newest() if version is None else self._at(version)
        return UpstreamServable(edition, version is None, self._desk)

    def statuses(self) -> Mapping[str, Sequence[VersionStatus]]:
        if self._last is None:
            return {}
        available = {
            e.version for a in self._pool.addresses if a.circuit.admits for e in a.editions
        }
        versions = sorted({*available, self._last.version}, key=_age)
        return {
            self._last.name: [
                VersionStatus(version, "available" if version in available else "loading")
                for version in versions
            ]
        }

    def _newest(self) -> Edition:
        """The newest edition of the server that has the least to do."""
        assert self._last is not None
        address = self._pool.choose(lambda address: bool(address.editions))
        return address.editions[-1] if address else self._last

    def _at(self, version: str) -> Edition:
        assert self._last is not None
        editions = [e for a in self._pool.addresses for e in a.editions] or [self._last]
        for edition in editions:
            if edition.version == version:
                return edition
        known = ", ".join(sorted({edition.version for edition in editions}, key=_age))
        raise UnknownModelError(
            f"{self._last.name!r} has no version {version!r}; {known} can be asked."
        )

    def _absence(self) -> ServingError:
        if self._pool.fault is not None:
            return UpstreamError("The gateway cannot use its model server; its log says why.")
        return OverloadedError("The model server does not answer yet. Try again in a moment.")

    def _changed(self) -> None:
        """Take note of what the servers have now."""
        editions = [e for address in self._pool.addresses for e in address.editions]
        if editions:
            self._last = max(editions, key=lambda edition: _age(edition.version))
        served = {(edition.name, edition.version) for edition in editions}
        for name, version in served - self._served:
            self._metrics.loaded(name, version)
        for name, version in self._served - served:
            self._metrics.unloaded(name, version)
        self._served = served


def _age(version: str) -> tuple[int, str]:
    """What versions are sorted by: their number, where it is one."""
    number = version_number(version)
    return (-1 if number is None else number, version)
