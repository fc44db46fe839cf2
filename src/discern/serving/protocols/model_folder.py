"""Models' meaning for gateways: labels, preprocessing, report, from the one who has the folder.

The gRPC service `discern.ModelFolder` (`protos/model_folder.proto`) lists the versions that can
be asked and hands out their `model.json` and the files that their users need. Each version comes
with a digest, so that a gateway notices when a version was replaced by another of its number. It
also makes heat maps, for which a gateway would need the graph.
"""

import hashlib
from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

import grpc
import numpy as np

from discern.errors import OverloadedError, UnknownModelError
from discern.model.folder import INFO
from discern.serving.catalog import Catalog, Servable
from discern.serving.facts import NOTHING
from discern.serving.metrics import Metrics
from discern.serving.protocols.grpc_server import Admit, Call, admit_all, service
from discern.serving.protocols.messages import message
from discern.serving.protocols.tensors import shown
from discern.serving.settings import ServeSettings

SERVICE = "discern.ModelFolder"


def grpc_service(
    catalog: Catalog, settings: ServeSettings, metrics: Metrics, admit: Admit = admit_all
) -> grpc.GenericRpcHandler:
    """The service, answering from `catalog`."""
    papers = _Papers()

    async def list_versions(_request: Any, _call: Call) -> Any:
        return message("discern.ListResponse")(
            versions=[
                {"name": s.name, "version": s.version, "digest": papers.digest(s)}
                for s in _available(catalog)
            ]
        )

    async def file(request: Any, _call: Call) -> Any:
        servable = catalog.find(request.name or None, request.version or None)
        if request.file == INFO:
            return message("discern.FileResponse")(data=papers.info(servable))
        if (data := await servable.file(request.file)) is None:
            raise UnknownModelError(f"The model has no file {shown(request.file)} to show.")
        return message("discern.FileResponse")(data=data)

    async def explain(request: Any, call: Call) -> Any:
        servable = catalog.find(request.name or None, request.version or None)
        given = np.array(request.metadata, np.float32) if request.metadata else NOTHING
        png = await servable.heatmap(request.picture, request.label, call.deadline, given)
        return message("discern.ExplainResponse")(png=png or b"")

    handlers = {"List": list_versions, "File": file, "Explain": explain}
    return service(SERVICE, handlers, settings, metrics, admit)


def digest_of(info: bytes) -> str:
    """What tells a version's `model.json` from any other."""
    return hashlib.sha256(info).hexdigest()


class _Papers:
    """Every servable's `model.json` and its digest, made once: gateways ask every few seconds."""

    def __init__(self) -> None:
        self._made: WeakKeyDictionary[Servable, tuple[bytes, str]] = WeakKeyDictionary()

    def info(self, servable: Servable) -> bytes:
        return self._of(servable)[0]

    def digest(self, servable: Servable) -> str:
        return self._of(servable)[1]

    def _of(self, servable: Servable) -> tuple[bytes, str]:
        if servable not in self._made:
            info = servable.info.to_json().encode()
            self._made[servable] = info, digest_of(info)
        return self._made[servable]


def _available(catalog: Catalog) -> Iterator[Servable]:
    """The servables that can be asked, of each model the oldest first."""
    for name, statuses in catalog.statuses().items():
        for status in statuses:
            if status.state == "available":
                try:
                    yield catalog.find(name, status.version)
                except (UnknownModelError, OverloadedError):  # it has just gone
                    continue
