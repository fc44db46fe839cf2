"""A catalog that follows a model repository on disk, for the model server.

Every `poll_seconds` it looks at the folders. A new version, or one whose files or settings have
changed, is loaded beside what is in service, verified on its own reference pictures in the very
engine that will serve it, and then takes its place in one step: requests under way finish on
the servable they found. One that fails is said once, and left alone until its folder changes;
what was in service stays.

A version that was removed from disk goes, but for the last of its model that can answer; that
one goes with its model's folder. A repository that cannot be read, or is empty all at once,
counts as not mounted: everything stays.

Everything here runs in one event loop. The thread that looks and loads only returns values.
"""

import asyncio
import logging
import math
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from discern.errors import (
    ConfigError,
    DiscernError,
    ModelDamagedError,
    ModelError,
    OverloadedError,
    UnknownModelError,
)
from discern.serving.catalog import State, VersionStatus
from discern.serving.local import LocalServable, Opener
from discern.serving.memory import trim_memory
from discern.serving.metrics import Metrics
from discern.serving.versions import (
    Source,
    Stock,
    scan,
    stamp_of,
    version_number,
    with_vanished,
)
from discern.serving.workers import Workers

log = logging.getLogger("discern.serving")


@dataclass(frozen=True)
class _Served:
    source: Source
    servable: LocalServable


@dataclass(frozen=True)
class _Failed:
    source: Source | None  # None: it was not even tried
    why: str


@dataclass
class _Model:
    """Where one model's versions stand."""

    served: dict[int, _Served] = field(default_factory=dict)
    failed: dict[int, _Failed] = field(default_factory=dict)
    leaving: dict[int, weakref.ref[LocalServable]] = field(default_factory=dict)
    awaited: set[int] = field(default_factory=set)  # to be loaded next, or being loaded

    def is_settled(self, number: int, source: Source) -> bool:
        """Whether this very source is served, or has failed."""
        known = (self.served.get(number), self.failed.get(number))
        return any(state is not None and state.source == source for state in known)

    def statuses(self) -> Iterator[VersionStatus]:
        leaving = {number for number, servable in self.leaving.items() if servable() is not None}
        for number in sorted({*self.served, *self.failed, *self.awaited, *leaving}):
            failed = self.failed.get(number)
            yield VersionStatus(str(number), self._state(number), failed.why if failed else None)

    def _state(self, number: int) -> State:
        if number in self.served:
            return "available"
        if number in self.awaited:
            return "loading"
        return "end" if number in self.failed else "unloading"


class FolderRepository:
    """The models in `folder`, as `<name>/<version>/`, each as its `serving.toml` says."""

    def __init__(
        self, folder: Path, opener: Opener, metrics: Metrics, poll_seconds: float = 2.0
    ) -> None:
        self._folder, self._opener, self._metrics = folder, opener, metrics
        self._poll_seconds = poll_seconds
        self._models: dict[str, _Model] = {}
        self._stocks: Mapping[str, Stock] | None = None  # as seen at the last look
        self._troubles: dict[str, str] = {}  # by what is concerned; each is said once
        self._loader = Workers(threads=1, capacity=1)
        self._task: asyncio.Task[None] | None = None
        self._retired: list[weakref.ref[LocalServable]] = []  # their memory is not given back yet
        self._was_complete = False  # once every model could answer

    async def start(self) -> None:
        """Load everything wanted, and follow the folder from then on.

        Raises ConfigError if there is no such repository or nothing in it, ModelError if none
        of its models can be loaded.
        """
        self._task = asyncio.create_task(self._look())
        try:
            await self._task
            self._require_one()
        except BaseException:
            await self.stop()
            raise
        self._task = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Unload everything; a load that is under way is not waited for."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._loader.close()
        for name in list(self._models):
            self._drop(name)

    @property
    def ready(self) -> bool:
        """Whether every model that has a version to serve can answer.

        Once this was so, it stays so while anything is served: a model that is added and loads,
        or is broken, must not take the others out of service.
        """
        return self._serves_something and (self._was_complete or self._is_complete)

    @property
    def _is_complete(self) -> bool:
        return all(model.served for model in self._models.values())

    @property
    def _serves_something(self) -> bool:
        return any(model.served for model in self._models.values())

    def find(self, name: str | None = None, version: str | None = None) -> LocalServable:
        model = self._models.get(name := self._name(name))
        if model is None or not model.served:
            raise self._absent(name, model)
        number = max(model.served) if version is None else version_number(version)
        if number in model.served:
            return model.served[number].servable
        if number in model.awaited:
            raise OverloadedError(f"{name!r} {version} is being loaded. Try again in a moment.")
        known = ", ".join(map(str, sorted(model.served)))
        raise UnknownModelError(f"{name!r} has no version {version!r}; {known} can be asked.")

    def statuses(self) -> Mapping[str, Sequence[VersionStatus]]:
        return {name: list(model.statuses()) for name, model in sorted(self._models.items())}

    def _name(self, name: str | None) -> str:
        if name is not None:
            return name
        if len(self._models) == 1:
            return next(iter(self._models))
        if self._stocks is None:
            raise OverloadedError("The models are being loaded. Try again in a moment.")
        raise UnknownModelError(f"Say which model: {self._names()}.")

    def _names(self) -> str:
        return ", ".join(sorted(self._models)) or "none is served"

    def _absent(self, name: str, model: _Model | None) -> DiscernError:
        if self._stocks is None or (model is not None and model.awaited):
            return OverloadedError(f"{name!r} is being loaded. Try again in a moment.")
        if model is not None:
            return UnknownModelError(f"{name!r} could not be loaded; its status says why.")
        return UnknownModelError(f"There is no model {name!r}. Models: {self._names()}.")

    def _require_one(self) -> None:
        """Raise what keeps everything from being served, if something does."""
        if self._serves_something:
            return
        models = self._models.values()
        reasons = [failed.why for model in models for failed in model.failed.values()]
        if reasons := list(dict.fromkeys([*reasons, *self._troubles.values()])):
            more = f" ({len(reasons) - 1} more failed.)" if len(reasons) > 1 else ""
            raise ModelError(f"{self._folder}: no model can be served. {reasons[0]}{more}")
        raise ConfigError(
            f"{self._folder}: has no models. They stand in it as NAME/VERSION; make one with: "
            f"discern train DATA -o {self._folder / 'NAME' / '1'}"
        )

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self._poll_seconds)
            try:
                await self._look()
            except ConfigError as exc:
                self._note("", _reason(exc))
            except Exception:  # a bug here must not end the following for good
                log.exception("%s: looking for new versions failed", self._folder)

    async def _look(self) -> None:
        """Look once, and do what follows from what is seen."""
        seen = await self._loader.run(lambda: scan(self._folder), math.inf)
        stocks, self._stocks = with_vanished(seen, self._stocks or {}), seen
        if not stocks and self._models:
            raise ConfigError(f"{self._folder}: is empty. What was in it is served on.")
        self._note("", None)
        for name in self._models.keys() - stocks.keys():
            self._drop(name)
        for name, stock in stocks.items():
            self._expect(name, stock)
        for name, stock in stocks.items():
            if stock.trouble is None:
                await self._update(name, stock)
        self._was_complete |= self._serves_something and self._is_complete
        await self._give_back_memory()

    def _expect(self, name: str, stock: Stock) -> None:
        """Take note of what is to be loaded of a model, before any of it is."""
        self._note(name, stock.trouble)
        candidates = stock.candidates()
        if not (candidates or stock.trouble or name in self._models):
            return
        model = self._models.setdefault(name, _Model())
        first = candidates[:1] if stock.policy == "latest" else candidates
        if stock.trouble is None:
            model.awaited = {n for n in first if not model.is_settled(n, stock.sources[n])}
        elif not model.served:
            model.failed = {n: _Failed(None, stock.trouble) for n in first}

    async def _update(self, name: str, stock: Stock) -> None:
        """Load what is new of a model, newest first, then give up what is not wanted any more."""
        if (model := self._models.get(name)) is None:
            return
        wanted = set()
        for number in stock.candidates():
            await self._bring(name, model, number, stock.sources[number])
            if number in model.served:
                wanted.add(number)
                if stock.policy == "latest":
                    break
        model.failed = {n: f for n, f in model.failed.items() if f.source and n in stock.sources}
        for number in model.served.keys() - (wanted or set(sorted(model.served)[-1:])):
            self._unload(name, model, number)
        if not (model.served or model.failed):
            del self._models[name]

    async def _bring(self, name: str, model: _Model, number: int, source: Source) -> None:
        """Serve a version from this source, if it can be; else it is as before, and failed."""
        if model.is_settled(number, source):
            return
        model.awaited.add(number)
        try:
            servable = await self._loader.run(lambda: self._open(name, number, source), math.inf)
        except Exception as exc:  # whatever a model does to its engine, the others are served on
            self._refuse(name, model, number, source, exc)
        else:
            self._take(name, model, number, _Served(source, servable))
        finally:
            model.awaited.discard(number)

    def _open(self, name: str, number: int, source: Source) -> LocalServable:
        """In the loader's thread."""
        servable = self._opener.open(name, str(number), source.folder, source.how)
        if stamp_of(source.folder) != source.stamp:
            raise ModelDamagedError(f"{source.folder}: changed while it was being read.")
        return servable

    def _take(self, name: str, model: _Model, number: int, served: _Served) -> None:
        self._retire(model, number)
        model.served[number] = served
        model.failed.pop(number, None)
        self._metrics.loaded(name, str(number))
        log.info("%s %d: in service (%s)", name, number, served.servable.engine.name)

    def _refuse(
        self, name: str, model: _Model, number: int, source: Source, exc: Exception
    ) -> None:
        self._metrics.load_failed(name)
        before, why = model.failed.get(number), _reason(exc)
        model.failed[number] = _Failed(source, why)
        if before is None or before.why != why:  # else it was said already
            expected = isinstance(exc, DiscernError | OSError | MemoryError)
            log.error("%s %d: not taken: %s", name, number, why, exc_info=None if expected else exc)

    def _unload(self, name: str, model: _Model, number: int) -> None:
        self._retire(model, number)
        del model.served[number]
        self._metrics.unloaded(name, str(number))
        log.info("%s %d: out of service", name, number)

    def _retire(self, model: _Model, number: int) -> None:
        """Remember, without keeping it, a servable whose last requests may be under way."""
        model.leaving = {n: ref for n, ref in model.leaving.items() if ref() is not None}
        if number in model.served:
            model.leaving[number] = weakref.ref(model.served[number].servable)
            self._retired.append(model.leaving[number])

    async def _give_back_memory(self) -> None:
        """Of servables whose last request is done."""
        alive = [servable for servable in self._retired if servable() is not None]
        if len(alive) < len(self._retired):
            self._retired = alive
            await self._loader.run(trim_memory, math.inf)

    def _drop(self, name: str) -> None:
        model = self._models.pop(name)
        for number in list(model.served):
            self._unload(name, model, number)

    def _note(self, concerned: str, trouble: str | None) -> None:
        """Log what keeps the repository or a model from being followed, once."""
        if trouble is None:
            if self._troubles.pop(concerned, None):
                log.info("%s: can be read again", self._folder / concerned)
        elif self._troubles.get(concerned) != trouble:
            self._troubles[concerned] = trouble
            log.error("%s What is served stays as it is.", trouble)


def _reason(exc: Exception) -> str:
    """What to say about a load that failed, in one line."""
    if isinstance(exc, DiscernError):
        return " ".join(str(exc).split())
    return f"{type(exc).__name__}: {exc}"
