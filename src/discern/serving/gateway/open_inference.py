"""The Open Inference Protocol as a client: of discern, Triton, OpenVINO Model Server."""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from discern.runtime.engine import METADATA, Images, Metadata
from discern.serving.gateway.dialect import (
    Dialect,
    Floats,
    check_version,
    floats_of,
    floats_of_values,
    garbage,
    parsed,
)
from discern.serving.gateway.editions import Edition
from discern.serving.protocols.messages import message
from discern.serving.protocols.tensors import shown

SERVICE = "/inference.GRPCInferenceService"
RAW_INPUT = b"\x3a"  # field 7 of ModelInferRequest, raw_input_contents, of a length that follows


def request(edition: Edition, images: Images, metadata: Metadata | None = None) -> bytes:
    """A ModelInferRequest for pixels [N, H, W, 3]; all outputs are asked for.

    A message is its fields, one behind the other. So the pixels go behind a head that is made
    once, without the copies that a message object would make of them: 3 µs a picture, not 260.
    """
    inputs = [_Input(edition.info.inputs[0], "UINT8", images.shape)]
    raws = [np.ascontiguousarray(images).data]
    if metadata is not None:
        inputs.append(_Input(METADATA, "FP32", metadata.shape))
        raws.append(np.ascontiguousarray(metadata, "<f4").data)
    head = _head(edition.name, edition.asked_version or "", tuple(inputs))
    fields = [part for raw in raws for part in (RAW_INPUT, _varint(raw.nbytes), raw)]
    return b"".join((head, *fields))


class _Input(NamedTuple):
    """A tensor as a request announces it."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@lru_cache(maxsize=128)
def _head(name: str, version: str, inputs: tuple[_Input, ...]) -> bytes:
    made = message("inference.ModelInferRequest")(model_name=name, model_version=version)
    for tensor in inputs:
        made.inputs.add(**tensor._asdict())
    data: bytes = made.SerializeToString()
    return data


def _varint(number: int) -> bytes:
    """https://protobuf.dev/programming-guides/encoding/#varints"""
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)


def outputs(response: bytes, edition: Edition) -> Mapping[str, Floats]:
    """The float32 outputs of a ModelInferResponse, as it says they are."""
    answer = parsed(message("inference.ModelInferResponse"), response)
    check_version(edition, answer.model_version)
    raw = answer.raw_output_contents
    if raw and len(raw) != len(answer.outputs):
        raise garbage(f"it announces {len(answer.outputs)} outputs and has {len(raw)}")
    wanted = edition.info.outputs
    return {
        output.name: _floats(output, raw[index] if raw else None)
        for index, output in enumerate(answer.outputs)
        if output.name in wanted
    }


def _floats(output: object, raw: bytes | None) -> Floats:
    name, kind, shape = output.name, output.datatype, output.shape  # type: ignore[attr-defined]
    if kind != "FP32":
        raise garbage(f"{name} is {shown(kind)}, not FP32")
    if raw is not None:
        return floats_of(name, shape, raw)
    return floats_of_values(name, shape, output.contents.fp32_contents)  # type: ignore[attr-defined]


def _ready_request(name: str) -> bytes:
    data: bytes = message("inference.ModelReadyRequest")(name=name).SerializeToString()
    return data


def _is_ready(response: bytes) -> bool:
    return bool(parsed(message("inference.ModelReadyResponse"), response).ready)


OPEN_INFERENCE = Dialect(
    infer=f"{SERVICE}/ModelInfer",
    request=request,
    outputs=outputs,
    gives_all=True,
    ready=f"{SERVICE}/ModelReady",
    ready_request=_ready_request,
    is_ready=_is_ready,
)
