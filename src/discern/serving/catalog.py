"""What there is to serve: the two interfaces that every protocol speaks to.

A *servable* is one version of one model, ready to answer (TensorFlow Serving's word). A
*catalog* holds them. `discern serve` has a catalog of one model, the model server one that
follows a repository on disk, the gateway one whose servables answer from afar.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from discern.model import ModelInfo
from discern.model.facts import FactReader
from discern.model.interpreter import Interpreter
from discern.runtime import Prediction
from discern.runtime.engine import Images, Metadata, Outputs
from discern.serving.facts import NOTHING, Given

State = Literal["loading", "available", "unloading", "end"]


class Servable(Protocol):
    """One version of one model. Deadlines are times of `time.monotonic()`.

    Behind a gateway, a version that is taken out of service may be succeeded by another within
    one request. So what stands below is to be read after an answer, before another await.
    """

    name: str
    version: str
    info: ModelInfo
    interpreter: Interpreter
    facts: FactReader | None  # what it takes beside the picture; None for nothing

    async def picture(self, data: bytes, deadline: float, metadata: Given = NOTHING) -> Outputs:
        """One encoded picture's outputs, without a batch dimension: probabilities [C], …

        What is known beside it is given as facts by name or as a row [M]. Raises PictureError,
        RequestError for facts that the model does not take, OverloadedError, DeadlineError,
        EngineError, UpstreamError.
        """
        ...

    async def pixels(
        self, images: Images, deadline: float, metadata: Metadata | None = None
    ) -> Outputs:
        """The outputs for pictures that are prepared already, uint8 [N, H, W, 3]; [N, …] each.

        `metadata` [N, M] is what is known beside them. Raises RequestError for inputs of another
        shape, and what `picture` raises.
        """
        ...

    async def predict(
        self,
        data: bytes,
        deadline: float,
        metadata: Given = NOTHING,
        coverage: float | None = None,
    ) -> Prediction:
        """What one encoded picture's outputs mean, by all the rules that the model carries.

        RequestError for a `coverage` of sets that it cannot promise, and what `picture` raises.
        """
        ...

    @property
    def explains(self) -> bool:
        """Whether there are heat maps."""
        ...

    async def heatmap(
        self, data: bytes, label: str, deadline: float, metadata: Given = NOTHING
    ) -> bytes | None:
        """A PNG to lay over an encoded picture: what in it spoke for the label.

        None where there is none. Raises what `picture` raises.
        """
        ...

    async def file(self, name: str) -> bytes | None:
        """A file of the model folder that its users need: its report, a reference picture, …"""
        ...


@dataclass(frozen=True)
class VersionStatus:
    """Where a version stands; `error` says why it was not taken, or was given up."""

    version: str
    state: State
    error: str | None = None


class Catalog(Protocol):
    """The models being served."""

    async def start(self) -> None:
        """Load what there is; returns when `ready` can be true, raises if it never will."""
        ...

    async def stop(self) -> None: ...

    @property
    def ready(self) -> bool:
        """Whether every model that should be there can answer."""
        ...

    def find(self, name: str | None = None, version: str | None = None) -> Servable:
        """A model by name, the only one if there is one, at a version or its latest.

        Raises UnknownModelError, and OverloadedError while it is still being loaded.
        """
        ...

    def statuses(self) -> Mapping[str, Sequence[VersionStatus]]:
        """Every model's versions, oldest first."""
        ...
