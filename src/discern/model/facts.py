"""Facts beside a picture on their way to the graph: what is given, and what its file says."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from discern.data.metadata import MetadataSpec
from discern.data.readers import EXIF
from discern.images.exif import exif_facts
from discern.model.info import ModelInfo
from discern.runtime.pipeline import Facts

NOTHING: Mapping[str, object] = {}


@dataclass(frozen=True)
class FactReader:
    """Reads facts as the model was trained on them; with `exif`, also those in pictures' files."""

    spec: MetadataSpec
    exif: bool

    def read(
        self, picture: bytes | str | os.PathLike[str] | None, given: Mapping[str, object] = NOTHING
    ) -> Facts:
        """A picture's row [M]; what is given wins over what its bytes or its file say.

        ConfigError for a name that the model does not know, or a value that cannot be read.
        """
        row = self.spec.encode(given, strict=True)  # before anything is put to it
        if not self.exif or picture is None:
            return row
        known = {n: v for n, v in exif_facts(picture).items() if n in self.spec.columns}
        return self.spec.encode(known | {n: v for n, v in given.items() if v not in (None, "")})


def fact_reader(info: ModelInfo) -> FactReader | None:
    """The reader for a model; None for one that was trained on pictures alone."""
    if info.metadata is None:
        return None
    trained = info.training.get("config", {}).get("metadata", ())
    return FactReader(MetadataSpec.from_dict(info.metadata), EXIF in trained)
