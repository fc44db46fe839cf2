"""The JSON form of an inspection."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from discern.inspection.inspection import (
    BadFile,
    DuplicateGroup,
    Inspection,
    LabelFindings,
    Looks,
    Odd,
    Outlier,
    Suspect,
)

_Finding: TypeAlias = BadFile | Odd | Suspect | Outlier
_MEASURES = ("width", "height", "bytes", "brightness", "contrast", "sharpness")


def document(inspection: Inspection) -> dict[str, Any]:
    """What was found as plain JSON values; pictures by their paths as the dataset has them."""
    dataset = inspection.dataset
    return {
        "data": str(dataset.root),
        "source": dataset.source,
        "fingerprint": dataset.fingerprint,
        "pictures": len(dataset),
        "classes": list(dataset.classes),
        "counts": dataset.counts(),
        "looks": _looks(inspection.looks),
        "bad": _named(inspection, inspection.bad),
        "odd": _named(inspection, inspection.odd),
        "duplicates": [_group(inspection, group) for group in inspection.duplicates],
        "labels": None if inspection.labels is None else _labels(inspection, inspection.labels),
        "remarks": list(inspection.remarks),
        "seconds": float(inspection.seconds),
    }


def _looks(looks: Looks) -> dict[str, Any]:
    """How the pictures look as a whole; a column for each would be larger than all the rest."""
    return {
        "pictures": len(looks.samples),
        "formats": _tally(looks.format),
        "modes": _tally(looks.mode),
        **{name: _spread(getattr(looks, name)) for name in _MEASURES},
    }


def _tally(names: npt.NDArray[np.str_]) -> dict[str, int]:
    """How often each name occurs, the most frequent first."""
    return dict(Counter(map(str, names.tolist())).most_common())


def _spread(values: npt.NDArray[Any]) -> dict[str, float] | None:
    """The smallest, the middle and the largest value; None where there is none."""
    if not len(values):
        return None
    middle = float(np.median(values))
    return {"least": values.min().item(), "median": middle, "most": values.max().item()}


def _named(inspection: Inspection, findings: Iterable[_Finding]) -> list[dict[str, Any]]:
    """Findings with the picture's path in place of its position."""
    plain = ((_path(inspection, finding.sample), asdict(finding)) for finding in findings)
    return [
        {"path": path, **{name: value for name, value in fields.items() if name != "sample"}}
        for path, fields in plain
    ]


def _group(inspection: Inspection, group: DuplicateGroup) -> dict[str, Any]:
    return {
        "kind": group.kind,
        "paths": [_path(inspection, sample) for sample in group.samples],
        "labels": list(group.labels),
        "splits": list(group.splits),
        "conflict": group.conflict,
        "leak": group.leak,
    }


def _labels(inspection: Inspection, found: LabelFindings) -> dict[str, Any]:
    return {
        "backbone": found.backbone,
        "checked": int(found.checked),
        "estimated_errors": int(found.estimated_errors),
        "suspects": _named(inspection, found.suspects),
        "outliers": _named(inspection, found.outliers),
    }


def _path(inspection: Inspection, sample: int) -> str:
    return str(inspection.dataset.paths[sample])
