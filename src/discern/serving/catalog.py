"""What there is to serve: the two interfaces that every protocol speaks to.

A *servable* is one version of one model, ready to answer (TensorFlow Serving's word). A
*catalog* holds them. `discern serve` has a catalog of one model, the model server one that
follows a repository on disk, the gateway one whose servables answer from afar.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from discern.model import ModelInfo
from discern.runtime.engine import Images, Outputs

State = Literal["loading", "available", "unloading", "end"]


class Servable(Protocol):
    """One version of one model. Deadlines are times of `time.monotonic()`.

    Behind a gateway, a version that is taken out of service may be succeeded by another within
    one request. So `version` and `info` are to be read after an answer, before another await.
    """

    name: str
    version: str
    info: ModelInfo

    async def picture(self, data: bytes, deadline: float) -> Outputs:
        """One encoded picture's outputs, without a batch dimension: probabilities [C], …

        Raises PictureError, OverloadedError, DeadlineError, EngineError, UpstreamError.
        """
        ...

    async def pixels(self, images: Images, deadline: float) -> Outputs:
        """The outputs for pictures that are prepared already, uint8 [N, H, W, 3]; [N, …] each.

        Raises RequestError for pixels of another shape, and what `picture` raises.
        """
        ...

    async def file(self, name: str) -> bytes | None:
        """A file of the model folder that people may see: its report, a reference picture."""
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
