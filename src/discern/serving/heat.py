"""Heat maps of a model that is served from its folder."""

import hashlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from discern.images import PictureLimits
from discern.images.overlay import heat_layer, png
from discern.model import Model, ModelInfo
from discern.model.folder import GRAPH, TAIL
from discern.runtime.pipeline import Facts

if TYPE_CHECKING:
    from discern.model.explain import Explainer  # loads an engine, which a gateway has none of

log = logging.getLogger("discern.serving")


class HeatMaps:
    """Heat maps by the graph's own features, which cost about as much as another picture.

    What takes an explainer some dozens of runs, covering one part after the other, is not for a
    server. Safe to call from several threads.
    """

    def __init__(self, graph: Path, digest: str, explainer: "Explainer") -> None:
        self._graph, self._digest, self._explainer = graph, digest, explainer
        self._is_the_same: bool | None = None

    @classmethod
    def of(cls, model: Model, limits: PictureLimits) -> "HeatMaps | None":
        """The maps of a model folder; None where its graph does not give any."""
        if not gives_heat(model.info):
            return None
        from discern.model.explain import Explainer

        return cls(model.graph, model.info.files[GRAPH], Explainer.of(model, limits))

    def png(self, picture: bytes, label: str, metadata: Facts) -> bytes | None:
        """What in an encoded picture spoke for a label, as a PNG to lay over the picture.

        None where the folder has been replaced since it was loaded. Raises PictureError.
        """
        if not self._check():
            return None
        found = self._explainer.explain(picture, label, "cam", metadata)
        return png(heat_layer(found.heat))

    def _check(self) -> bool:
        """Whether the graph is still the one that answers; it is read with the first map."""
        if self._is_the_same is None:
            self._is_the_same = _digest(self._graph) == self._digest
            if not self._is_the_same:
                log.warning("%s: was replaced since it was loaded; no heat maps.", self._graph)
        return self._is_the_same


def gives_heat(info: ModelInfo) -> bool:
    """Whether a model's graph and its tail can make heat maps."""
    return bool(info.features) and TAIL in info.files


def _digest(file: Path) -> str | None:
    """The SHA-256 of a file; None where it is not there any more."""
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError:
        return None
