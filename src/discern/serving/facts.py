"""Facts beside a picture, as requests give them: by name, or encoded already."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np

from discern.data.metadata import MetadataSpec
from discern.data.metadata_fields import Category, Field, Number, Place, Time
from discern.errors import ConfigError, RequestError
from discern.model.facts import FactReader
from discern.runtime.engine import METADATA, Metadata
from discern.runtime.pipeline import Facts

Given = Mapping[str, object] | Metadata  # facts by name, or a row [M] as the graph takes it
NOTHING: Mapping[str, object] = MappingProxyType({})
NONE_TAKEN = f"The model was trained on pictures alone; leave {METADATA} out."

T = TypeVar("T")


def row_of(reader: FactReader | None, picture: bytes, given: Given) -> Facts:
    """A picture's row [M]: what is given, and else what its bytes say; None for no such model.

    RequestError for facts that the model does not take, or cannot read.
    """
    if isinstance(given, np.ndarray):
        check_rows(reader, given[None], 1)
        return given
    if reader is None:
        if given:
            raise RequestError(NONE_TAKEN)
        return None
    return as_request(lambda: reader.read(picture, given))


def check_rows(reader: FactReader | None, rows: Metadata, pictures: int) -> None:
    """Refuse rows that are not what the graph takes with these pictures, float32 [N, M]."""
    if reader is None:
        raise RequestError(NONE_TAKEN)
    expected = (pictures, reader.spec.size)
    if rows.shape != expected or rows.dtype != np.float32:
        raise RequestError(
            f"{METADATA} is {rows.dtype} {list(rows.shape)}; expected float32 {list(expected)}."
        )
    if not np.isfinite(rows).all():
        raise RequestError(f"{METADATA} has values that are no numbers.")


def as_request(read: Callable[[], T]) -> T:
    """What `read` gives; a ConfigError is the client's mistake here, and a RequestError."""
    try:
        return read()
    except ConfigError as exc:
        raise RequestError(str(exc)) from exc


def described(spec: MetadataSpec) -> list[dict[str, Any]]:
    """The facts that can be given, each with its name, its kind, and an example."""
    return [fact for each in spec.fields for fact in _described(each)]


def _described(each: Field) -> list[dict[str, Any]]:
    match each:
        case Number(name, mean):
            return [_fact(name, "number", float(f"{mean:.4g}"))]
        case Time(name, hours):
            return [_fact(name, "time", "2024-05-31T14:30" if hours else "2024-05-31")]
        case Category(name, values):
            return [_fact(name, "category", values[0]) | {"values": list(values)}]
        case Place():
            return _place(each)


def _place(place: Place) -> list[dict[str, Any]]:
    """The middle of where the training pictures were taken."""
    x, y, z = place.mean
    north, east = np.degrees([np.arctan2(z, np.hypot(x, y)), np.arctan2(y, x)])
    return [
        _fact(place.latitude, "latitude", round(float(north), 4)),
        _fact(place.longitude, "longitude", round(float(east), 4)),
    ]


def _fact(name: str, kind: str, example: object) -> dict[str, Any]:
    return {"name": name, "kind": kind, "example": example}
