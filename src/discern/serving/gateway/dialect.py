"""How a model server is spoken to, and what an answer must be to be believed."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from discern.errors import UpstreamError
from discern.model import ModelInfo
from discern.runtime.engine import Images, Metadata, Outputs
from discern.serving.gateway.editions import Edition
from discern.serving.protocols.tensors import shown

TOLERANCE = 0.05  # of probabilities' sum: engines calculate with less than f32, too
PROBABILITIES = "probabilities"

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Dialect:
    """A protocol's two methods that a gateway needs, over bytes."""

    infer: str  # the method's path
    request: Callable[[Edition, Images, Metadata | None], bytes]  # None: the model takes none
    outputs: Callable[[bytes, Edition], Mapping[str, Floats]]  # raises UpstreamError
    gives_all: bool  # outputs; else the probabilities only
    ready: str
    ready_request: Callable[[str], bytes]  # of a model's name
    is_ready: Callable[[bytes], bool]  # raises UpstreamError


def parsed(kind: Any, response: bytes) -> Any:
    """A response as a message."""
    try:
        return kind.FromString(response)
    except DecodeError as exc:
        raise garbage(f"it is no {kind.DESCRIPTOR.full_name}") from exc


def garbage(what: str) -> UpstreamError:
    """The error for an answer that makes no sense."""
    return UpstreamError(f"The model server's answer cannot be used: {what}.")


def check_version(edition: Edition, answered: str) -> None:
    """Refuse what another version than the one asked for answered; some servers do not say."""
    if edition.pinned and answered not in ("", edition.version):
        raise garbage(f"version {shown(answered)} answered for {edition.version}")


def floats_of(name: str, shape: Sequence[int], data: bytes) -> Floats:
    """An output of its raw bytes, little-endian f32."""
    _check_size(name, shape, len(data) // 4 if len(data) % 4 == 0 else -1)
    return np.frombuffer(data, "<f4").reshape(shape)


def floats_of_values(name: str, shape: Sequence[int], values: Iterable[float]) -> Floats:
    """An output of single values."""
    array = np.fromiter(values, np.float32)
    _check_size(name, shape, array.size)
    return array.reshape(shape)


def _check_size(name: str, shape: Sequence[int], values: int) -> None:
    if any(size < 0 for size in shape) or math.prod(shape) != values:
        raise garbage(f"{name} says {shown(list(shape))}, but its data is of another size")


def checked(outputs: Mapping[str, Floats], info: ModelInfo, pictures: int) -> Outputs:
    """The model's outputs, [N, …] each, if that is what they are; raises UpstreamError."""
    for name in info.outputs:
        if name not in outputs:
            raise garbage(f"it has no {name}")
        _check_output(name, outputs[name], _width(name, info), pictures)
    return {name: outputs[name] for name in info.outputs}


def _width(name: str, info: ModelInfo) -> int | None:
    """How many values a picture has in this output; None where that is not known."""
    if name == PROBABILITIES:
        return len(info.labels)
    size = info.backbone.get("embedding_size") if name == "embedding" else None
    return size if isinstance(size, int) else None


def _check_output(name: str, values: Floats, width: int | None, pictures: int) -> None:
    shape = list(values.shape)
    if len(shape) != 2 or shape[0] != pictures or width not in (None, shape[1]):
        expected = f"[{pictures}, {'any' if width is None else width}]"
        raise garbage(f"{name} has the shape {shown(shape)}, the model's is {expected}")
    if not np.isfinite(values).all():
        raise garbage(f"{name} has values that are no numbers")
    if name == PROBABILITIES and not _are_probabilities(values):
        raise garbage(f"{name} are none, they do not add up to 1")


def _are_probabilities(values: Floats) -> bool:
    return bool(
        (values >= -TOLERANCE).all() and (np.abs(values.sum(axis=1) - 1) <= TOLERANCE).all()
    )
