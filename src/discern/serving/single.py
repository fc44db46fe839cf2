"""A catalog of one model folder, for `discern serve`."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from discern.errors import OverloadedError, UnknownModelError
from discern.serving.catalog import VersionStatus
from discern.serving.local import LocalServable, ModelSettings, Opener
from discern.serving.metrics import Metrics
from discern.serving.versions import version_number


class SingleModel:
    """One model folder, named after it: `clothes/` is clothes, `clothes/3/` its version 3."""

    def __init__(
        self, folder: Path, opener: Opener, metrics: Metrics, how: ModelSettings = ModelSettings()
    ) -> None:
        self._folder, self._opener, self._metrics, self._how = folder, opener, metrics, how
        self.name, self.version = name_and_version(folder)
        self._servable: LocalServable | None = None

    async def start(self) -> None:
        self._servable = await asyncio.to_thread(
            self._opener.open, self.name, self.version, self._folder, self._how
        )
        self._metrics.loaded(self.name, self.version)

    async def stop(self) -> None:
        if self._servable is not None:
            self._servable = None
            self._metrics.unloaded(self.name, self.version)

    @property
    def ready(self) -> bool:
        return self._servable is not None

    def find(self, name: str | None = None, version: str | None = None) -> LocalServable:
        if name not in (None, self.name):
            raise UnknownModelError(f"There is no model {name!r}; {self.name!r} is served.")
        if version not in (None, self.version):
            raise UnknownModelError(
                f"{self.name!r} has no version {version!r}; {self.version} is served."
            )
        if self._servable is None:
            raise OverloadedError(f"{self.name!r} is being loaded. Try again in a moment.")
        return self._servable

    def statuses(self) -> Mapping[str, Sequence[VersionStatus]]:
        state = VersionStatus(self.version, "available" if self.ready else "loading")
        return {self.name: [state]}


def name_and_version(folder: Path) -> tuple[str, str]:
    """What a model folder's place says about it."""
    path = folder.resolve()
    number = version_number(path.name)
    return (path.name, "1") if number is None else (path.parent.name, str(number))
