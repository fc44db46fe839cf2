"""TensorFlow Serving's gRPC interface: PredictionService's Predict and metadata, ModelService.

The signatures stand in `tensorflow_serving`. Outputs are sent as `float_val`, as TensorFlow
Serving does: many gateways read `response.outputs["…"].float_val`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import grpc
from google.protobuf.json_format import ParseDict

from discern.errors import RequestError
from discern.model import ModelInfo
from discern.runtime.engine import METADATA, Images, Metadata, Outputs
from discern.serving.catalog import Catalog, Servable, VersionStatus
from discern.serving.metrics import Metrics
from discern.serving.protocols import tensorflow_serving as tfs
from discern.serving.protocols import tensors
from discern.serving.protocols.encoded_pictures import Pictures, Question, run_question
from discern.serving.protocols.grpc_server import Admit, Call, admit_all, service
from discern.serving.protocols.messages import message
from discern.serving.protocols.tensors import shown
from discern.serving.settings import ServeSettings
from discern.serving.versions import version_number

PREDICTION_SERVICE = "tensorflow.serving.PredictionService"
MODEL_SERVICE = "tensorflow.serving.ModelService"
SIGNATURES = "signature_def"  # the one kind of metadata there is
SIGNATURE_MAP = "tensorflow.serving.SignatureDefMap"
FLOAT, UINT8, STRING = 1, 4, 7  # DataType
OK, UNKNOWN = 0, 2  # TensorFlow's error codes
INT64_END = 2**63

T = TypeVar("T")


def grpc_services(
    catalog: Catalog, settings: ServeSettings, metrics: Metrics, admit: Admit = admit_all
) -> list[grpc.GenericRpcHandler]:
    """The two services, answering from `catalog`."""

    async def predict(request: Any, call: Call) -> Any:
        servable = _find(catalog, request.model_spec)
        signature = request.model_spec.signature_name or tfs.DEFAULT
        wanted = _wanted(signature, request.output_filter, servable.info)
        question = _question(request.inputs, servable, settings.limits.pictures)
        outputs = await run_question(servable, question, call.deadline, settings.queue)
        return _response(servable, signature, {name: outputs[name] for name in wanted})

    async def metadata(request: Any, _call: Call) -> Any:
        servable = _find(catalog, request.model_spec)
        _check_fields(request.metadata_field)
        return _metadata(servable)

    async def status(request: Any, _call: Call) -> Any:
        spec = request.model_spec
        name = spec.name or catalog.find().name
        statuses = tfs.version_statuses(catalog, name, _version(spec))
        return message("tensorflow.serving.GetModelStatusResponse")(
            model_version_status=[_status(status) for status in statuses]
        )

    asking = {"Predict": predict, "GetModelMetadata": metadata}
    return [
        service(PREDICTION_SERVICE, asking, settings, metrics, admit),
        service(MODEL_SERVICE, {"GetModelStatus": status}, settings, metrics, admit),
    ]


def _find(catalog: Catalog, spec: Any) -> Servable:
    return catalog.find(spec.name or None, _version(spec))


def _version(spec: Any) -> str | None:
    """The version that a ModelSpec names, None for the latest."""
    if spec.HasField("version_label"):
        raise tfs.no_labels(spec.name, spec.version_label)
    return str(spec.version.value) if spec.HasField("version") else None


def _wanted(signature: str, names: Sequence[str], info: ModelInfo) -> tuple[str, ...]:
    """The outputs to give: those asked for, all of the signature's if none is."""
    known = tfs.outputs_of(info, signature)
    for name in names:
        if name not in known:
            raise RequestError(
                f"There is no output {shown(name)} in the signature {signature!r}, which gives "
                f"{', '.join(known)}; the signature {tfs.ALL!r} gives {', '.join(info.outputs)}."
            )
    return tuple(names) or known


def _question(inputs: Mapping[str, Any], servable: Servable, at_most: int) -> Question:
    """The encoded pictures or pixels, and what is known beside them."""
    info, facts = servable.info, servable.facts
    name, beside = info.inputs[0], set() if facts is None else {METADATA}
    if set(inputs) - beside != {name}:
        raise RequestError(
            f"The inputs are {shown(sorted(inputs))}; send one, {name!r}: {_takes(info)}"
        )
    pictures = _pictures(name, inputs[name], info, at_most)
    if facts is None or METADATA not in inputs:
        return Question(pictures)
    return Question(pictures, _metadata_rows(inputs[METADATA], len(pictures), facts.spec.size))


def _metadata_rows(tensor: Any, pictures: int, size: int) -> Metadata:
    expected = [pictures, size]
    if tensor.dtype != FLOAT or _shape(METADATA, tensor) != expected:
        raise RequestError(
            f"{METADATA} is {_type_name(tensor)} {shown(_shape(METADATA, tensor))}; expected "
            f"DT_FLOAT {expected}, a row for each picture."
        )
    if tensor.tensor_content:
        return tensors.floats_from_bytes(METADATA, tensor.tensor_content, (pictures, size))
    values = _filled(tensor.float_val, (pictures, size))
    return tensors.floats_from_values(METADATA, values, (pictures, size))


def _pictures(name: str, tensor: Any, info: ModelInfo, at_most: int) -> Pictures:
    spec = info.preprocess
    if tensor.dtype not in (UINT8, STRING):
        raise RequestError(
            f"{name} has the type {_type_name(tensor)}; send {_takes(info)} {tfs.NORMALISES}"
        )
    each = (spec.height, spec.width, 3) if tensor.dtype == UINT8 else ()
    shape = tensors.batch_shape(name, _shape(name, tensor), each, at_most)
    if tensor.dtype == UINT8:
        return _pixels(name, tensor, shape)
    return tensors.strings_from_values(name, tensor.string_val, shape[0])


def _takes(info: ModelInfo) -> str:
    spec = info.preprocess
    return (
        f"raw pixels from 0 to 255 as DT_UINT8 [N, {spec.height}, {spec.width}, 3], or encoded "
        "pictures as DT_STRING [N]."
    )


def _type_name(tensor: Any) -> str:
    known = tensor.DESCRIPTOR.fields_by_name["dtype"].enum_type.values_by_number
    return known[tensor.dtype].name if tensor.dtype in known else str(tensor.dtype)


def _shape(name: str, tensor: Any) -> list[int]:
    if tensor.tensor_shape.unknown_rank:
        raise RequestError(f"{name} has a shape of unknown rank; say how many pictures there are.")
    return [dimension.size for dimension in tensor.tensor_shape.dim]


def _pixels(name: str, tensor: Any, shape: tuple[int, ...]) -> Images:
    if tensor.tensor_content:
        return tensors.pixels_from_bytes(name, tensor.tensor_content, shape)
    return tensors.pixels_from_values(name, _filled(tensor.int_val, shape), shape)


def _filled(values: Sequence[T], shape: tuple[int, ...]) -> list[T]:
    """TensorFlow leaves out the end of a tensor where all values are the same as the last one."""
    filled = list(values)
    if 0 < len(filled) < (size := math.prod(shape)):
        filled += filled[-1:] * (size - len(filled))
    return filled


def _response(servable: Servable, signature: str, outputs: Outputs) -> Any:
    response = message("tensorflow.serving.PredictResponse")(model_spec=_spec(servable, signature))
    for name, values in outputs.items():
        tensor = response.outputs[name]
        tensor.dtype = FLOAT
        for size in values.shape:
            tensor.tensor_shape.dim.add(size=size)
        tensor.float_val.extend(values.ravel().tolist())
    return response


def _spec(servable: Servable, signature: str = "") -> Any:
    spec = message("tensorflow.serving.ModelSpec")(name=servable.name, signature_name=signature)
    spec.version.value = _number(servable.version)
    return spec


def _number(version: str) -> int:
    """A version as the protocol's int64; 0 if it is none."""
    number = version_number(version)
    return number if number is not None and number < INT64_END else 0


def _check_fields(fields: Sequence[str]) -> None:
    if set(fields) != {SIGNATURES}:
        raise RequestError(
            f"metadata_field is {shown(list(fields))}; ask for {SIGNATURES!r}, all there is."
        )


def _metadata(servable: Servable) -> Any:
    response = message("tensorflow.serving.GetModelMetadataResponse")(model_spec=_spec(servable))
    signatures = ParseDict(tfs.signature_def_map(servable), message(SIGNATURE_MAP)())
    packed = response.metadata[SIGNATURES]
    packed.type_url = f"type.googleapis.com/{SIGNATURE_MAP}"
    packed.value = signatures.SerializeToString()
    return response


def _status(status: VersionStatus) -> Any:
    kind = message("tensorflow.serving.ModelVersionStatus")
    code = OK if status.error is None else UNKNOWN
    return kind(
        version=_number(status.version),
        state=tfs.STATES[status.state],
        status={"error_code": code, "error_message": status.error or ""},
    )
