"""What a form is that a model can be exported to."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from discern.errors import ExportError
from discern.model import Model
from discern.runtime.engine import Engine, Images

Precision = Literal["f32", "f16", "int8"]


@dataclass(frozen=True)
class Conversion:
    """What a converter works from, and where to."""

    model: Model
    graph: Path  # the file, or the folder for forms that are one, to be written; its parent exists
    calibration: Images | None  # uint8 [n, H, W, 3] of training pictures; for int8 forms only

    def calibrated_on(self) -> Images:
        """The calibration pictures; ExportError where there are none."""
        if self.calibration is None:
            raise ExportError("An int8 form is calibrated on pictures. Give some with --data DATA.")
        return self.calibration


@dataclass(frozen=True)
class Form:
    """One form: how it is made, and how it is run in its own runtime."""

    name: str  # as on the command line: "openvino-int8"
    precision: Precision  # which bar the parity gate holds it to
    graph: str  # its place in the export: "1/model.xml"
    about: str  # one line: what it is for
    convert: Callable[[Conversion], None]
    open: Callable[[Path], Engine]  # the graph → an engine of its own runtime, on one thread
    # makes what both need and this machine lacks, and tells what it does: called before either
    prepare: Callable[[Callable[[str], None]], None] = lambda _say: None
