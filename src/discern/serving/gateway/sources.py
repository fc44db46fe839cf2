"""Where the gateway learns what the models are: from discern's model server, or from a folder."""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import grpc

from discern.errors import ConfigError, ModelError, UnknownModelError
from discern.model import ModelInfo, load
from discern.model.facts import fact_reader
from discern.model.folder import INFO, UNKNOWN
from discern.model.info import info_from_json
from discern.model.interpreter import interpreter_of
from discern.runtime.pipeline import Facts
from discern.serving.gateway.address import Address
from discern.serving.gateway.dialect import PROBABILITIES, Dialect, parsed
from discern.serving.gateway.editions import Edition
from discern.serving.local import visible_files
from discern.serving.protocols.messages import message
from discern.serving.protocols.model_folder import SERVICE, digest_of
from discern.serving.single import name_and_version

log = logging.getLogger("discern.serving")

LIST, FILE, EXPLAIN = f"/{SERVICE}/List", f"/{SERVICE}/File", f"/{SERVICE}/Explain"
LOOK_SECONDS = 1.0  # that a server may take to say what it has
FILE_SECONDS = 10.0


class OwnServers:
    """discern's model servers, which say themselves what they have.

    Serves the model `name`, or the only one that the servers have.
    """

    def __init__(self, name: str | None) -> None:
        self.name = name
        self._editions: WeakValueDictionary[tuple[str, str, str], Edition] = WeakValueDictionary()
        self._refused: set[str] = set()  # digests of what was said to be unusable

    async def look(self, address: Address) -> tuple[Edition, ...]:
        """The editions at an address, the newest last.

        Raises ConfigError if it cannot be used as it is, UnknownModelError while it has not got
        the model, UpstreamError and grpc.aio.AioRpcError if it fails.
        """
        try:
            response = await address.call(LIST, b"", LOOK_SECONDS)
        except grpc.aio.AioRpcError as exc:
            if exc.code() is not grpc.StatusCode.UNIMPLEMENTED:
                raise
            raise ConfigError(
                "The upstream is not discern's model server, so it cannot say what its model's "
                "labels and preprocessing are. Give the model's folder: --model FOLDER"
            ) from exc
        listed = parsed(message("discern.ListResponse"), response).versions
        name = self._choose_name([version.name for version in listed])
        found = [await self._edition(address, each) for each in listed if each.name == name]
        return tuple(edition for edition in found if edition is not None)

    def _choose_name(self, names: Iterable[str]) -> str | None:
        known = list(dict.fromkeys(names))
        if self.name is None and len(known) > 1:
            raise ConfigError(
                f"The upstream has several models: {', '.join(known)}. Say which: --name NAME"
            )
        if self.name is None and known:
            self.name = known[0]
        if known and self.name not in known:
            raise UnknownModelError(f"It has no model {self.name!r}, but {', '.join(known)}.")
        return self.name

    async def _edition(self, address: Address, listed: Any) -> Edition | None:
        """What was listed, fetched if it is not known yet; None if it has gone, or is unusable."""
        key = (listed.name, listed.version, listed.digest)
        if listed.digest not in self._refused and key not in self._editions:
            made = await self._made(address, listed)
            if made is not None:  # another look may have been quicker: all share one edition
                return self._editions.setdefault(key, made)
        return self._editions.get(key)

    async def _made(self, address: Address, listed: Any) -> Edition | None:
        where = f"{address.name}: {listed.name} {listed.version}"
        try:
            data = await fetch_file(address, listed.name, listed.version, INFO)
            if digest_of(data) != listed.digest:  # replaced since it was listed
                return None
            info, unknown = info_from_json(data, where), b""
            if info.unknown:
                unknown = await fetch_file(address, listed.name, listed.version, UNKNOWN)
                if sha256(unknown).hexdigest() != info.files.get(UNKNOWN):
                    return None
            return await asyncio.to_thread(_pinned, listed, info, unknown)
        except grpc.aio.AioRpcError as exc:
            if exc.code() is grpc.StatusCode.NOT_FOUND:
                return None
            raise
        except ModelError as exc:
            self._refused.add(listed.digest)
            log.error("%s", exc)
            return None


def _pinned(listed: Any, info: ModelInfo, unknown: bytes) -> Edition:
    """The edition of a version that was listed; raises ModelError."""
    interpreter = interpreter_of(info, lambda: unknown)
    return Edition(listed.name, listed.version, info, interpreter, fact_reader(info), pinned=True)


async def fetch_file(address: Address, name: str, version: str, file: str) -> bytes:
    """A file of a model folder; raises grpc.aio.AioRpcError, UpstreamError."""
    response = await address.call(FILE, file_request(name, version, file), FILE_SECONDS)
    return file_in(response)


def file_request(name: str, version: str, file: str) -> bytes:
    made = message("discern.FileRequest")(name=name, version=version, file=file)
    data: bytes = made.SerializeToString()
    return data


def file_in(response: bytes) -> bytes:
    data: bytes = parsed(message("discern.FileResponse"), response).data
    return data


def explain_request(edition: Edition, picture: bytes, label: str, metadata: Facts) -> bytes:
    """A question for the heat map of an encoded picture."""
    made = message("discern.ExplainRequest")(
        name=edition.name, version=edition.version, picture=picture, label=label
    )
    if metadata is not None:
        made.metadata.extend(metadata.tolist())
    data: bytes = made.SerializeToString()
    return data


def png_in(response: bytes) -> bytes:
    data: bytes = parsed(message("discern.ExplainResponse"), response).png
    return data


class GivenFolder:
    """Other servers, which have the model of this folder under `name`, or the folder's own."""

    def __init__(self, folder: Path, name: str | None, dialect: Dialect) -> None:
        model = load(folder)
        own_name, version = name_and_version(folder)
        self.name = name or own_name
        self._dialect = dialect
        info, interpreter = model.info, model.interpreter
        if not dialect.gives_all:
            info = replace(info, outputs=(PROBABILITIES,))
            if interpreter.unknown and interpreter.unknown.needs_embedding:
                interpreter = replace(interpreter, unknown=None)
        self._edition = Edition(
            self.name,
            version,
            info,
            interpreter,
            fact_reader(info),
            pinned=False,
            files=dict(visible_files(model)),
        )

    async def look(self, address: Address) -> tuple[Edition, ...]:
        """The one edition, if this server can answer; raises as `OwnServers.look`."""
        dialect = self._dialect
        try:
            response = await address.call(
                dialect.ready, dialect.ready_request(self.name), LOOK_SECONDS
            )
        except grpc.aio.AioRpcError as exc:
            if exc.code() is grpc.StatusCode.NOT_FOUND:
                raise UnknownModelError(f"It has no model {self.name!r}.") from exc
            if exc.code() is grpc.StatusCode.UNIMPLEMENTED:
                raise ConfigError("The upstream does not speak the protocol of its URL.") from exc
            raise
        return (self._edition,) if dialect.is_ready(response) else ()
