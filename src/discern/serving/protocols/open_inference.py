"""The Open Inference Protocol, version 2: what its REST and gRPC forms share.

https://github.com/kserve/open-inference-protocol. A model has the input `images`: prepared
pixels as UINT8 [N, H, W, 3], or encoded pictures as BYTES [N]. One that was trained with facts
beside the pictures has another, `metadata`, their encoded form as FP32 [N, M], which may be left
out. Beside its own outputs it gives `label`, the most probable label's name, to those who ask
for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from discern.errors import RequestError
from discern.model import ModelInfo
from discern.runtime.engine import METADATA, Metadata
from discern.serving.catalog import Catalog, Servable
from discern.serving.protocols import tensors
from discern.serving.protocols.encoded_pictures import Pictures, Question, run_question
from discern.serving.protocols.tensors import Buffer, Values, shown
from discern.serving.settings import ServeSettings

SERVER = "discern"
EXTENSIONS = ("binary_tensor_data", "model_repository")
PLATFORM = "onnx"
LABEL = "label"
PIXELS, PICTURES, FLOATS = "UINT8", "BYTES", "FP32"

Value = Pictures | Metadata  # of an input


class TensorInfo(NamedTuple):
    """What a model takes or gives; −1 where a size is free."""

    name: str
    datatype: str
    shape: list[int]


@dataclass(frozen=True)
class Offer:
    """An input as a request announces it, `shape` not yet checked."""

    name: str
    datatype: str
    shape: Sequence[Any]


@dataclass(frozen=True)
class Tensor:
    """One output."""

    name: str
    datatype: str
    shape: list[int]
    values: Values


def model_inputs(servable: Servable) -> list[TensorInfo]:
    """What the model takes."""
    spec = servable.info.preprocess
    images = TensorInfo(servable.info.inputs[0], PIXELS, [-1, spec.height, spec.width, 3])
    if servable.facts is None:
        return [images]
    return [images, TensorInfo(METADATA, FLOATS, [-1, servable.facts.spec.size])]


def model_outputs(info: ModelInfo) -> list[TensorInfo]:
    """What the model gives."""
    sizes = {"probabilities": len(info.labels), "embedding": info.backbone.get("embedding_size")}
    given = [TensorInfo(name, FLOATS, [-1, sizes.get(name) or -1]) for name in info.outputs]
    return [*given, TensorInfo(LABEL, PICTURES, [-1])]


def versions(catalog: Catalog, name: str) -> list[str]:
    """The versions of a model that can be asked, oldest first."""
    states = catalog.statuses().get(name, ())
    return [state.version for state in states if state.state == "available"]


def check_inputs(servable: Servable, names: Sequence[str]) -> None:
    """Refuse any inputs but those that the model has."""
    images = servable.info.inputs[0]
    known = [tensor.name for tensor in model_inputs(servable)]
    for name in names:
        if name not in known:
            raise RequestError(
                f"There is no input {shown(name)}; the model takes {', '.join(map(repr, known))}."
            )
    if images not in names or len(set(names)) < len(names):
        raise RequestError(f"{len(names)} inputs; send {images!r}, once.")


def check_outputs(info: ModelInfo, names: Sequence[str]) -> tuple[str, ...]:
    """The outputs to give: those asked for, all of the model's own if none is."""
    known = (*info.outputs, LABEL)
    for name in names:
        if name not in known:
            raise RequestError(
                f"There is no output {shown(name)}; the model gives {', '.join(known)}."
            )
    if len(set(names)) < len(names):
        raise RequestError("An output is asked for twice.")
    return tuple(names) or info.outputs


def check_offer(offer: Offer, servable: Servable, at_most: int) -> tuple[int, ...]:
    """The shape that the input's data must have."""
    each: tuple[int, ...] = ()
    info = servable.info
    if offer.name == METADATA and servable.facts is not None:
        if offer.datatype != FLOATS:
            raise RequestError(
                f"{METADATA} has the datatype {shown(offer.datatype)}; expected {FLOATS}."
            )
        each = (servable.facts.spec.size,)
    elif offer.datatype == PIXELS:
        each = (info.preprocess.height, info.preprocess.width, 3)
    elif offer.datatype != PICTURES:
        raise RequestError(
            f"{offer.name} has the datatype {shown(offer.datatype)}; expected UINT8, the prepared "
            "pixels, or BYTES, the encoded pictures."
        )
    return tensors.batch_shape(offer.name, offer.shape, each, at_most)


def from_raw(offer: Offer, shape: tuple[int, ...], data: Buffer) -> Value:
    """An input of its bytes."""
    if offer.datatype == PIXELS:
        return tensors.pixels_from_bytes(offer.name, data, shape)
    if offer.datatype == FLOATS:
        return tensors.floats_from_bytes(offer.name, data, shape)
    return tensors.strings_from_bytes(offer.name, data, shape[0])


def question(servable: Servable, given: Mapping[str, Any]) -> Question:
    """What a request asks about, of its inputs by name; RequestError if they do not fit."""
    pictures, metadata = given[servable.info.inputs[0]], given.get(METADATA)
    if metadata is not None and len(metadata) != len(pictures):
        raise RequestError(
            f"{METADATA} has {len(metadata)} rows for {len(pictures)} pictures; send one for each."
        )
    return Question(pictures, metadata)


async def answer(
    servable: Servable,
    question: Question,
    wanted: tuple[str, ...],
    deadline: float,
    settings: ServeSettings,
) -> list[Tensor]:
    """The outputs wanted; raises as `Servable.picture` and `Servable.pixels`."""
    outputs = await run_question(servable, question, deadline, settings.queue)
    return [_output(name, servable.info, outputs) for name in wanted]


def _output(name: str, info: ModelInfo, outputs: Any) -> Tensor:
    if name != LABEL:
        values = outputs[name]
        return Tensor(name, FLOATS, list(values.shape), values)
    best = np.argmax(outputs["probabilities"], axis=1).tolist()
    labels = [info.labels[index].encode("utf-8", "replace") for index in best]
    return Tensor(name, PICTURES, [len(labels)], labels)
