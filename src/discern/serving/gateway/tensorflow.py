"""TensorFlow Serving's protocol as a client."""

from collections.abc import Mapping
from typing import Any

from discern.runtime.engine import METADATA, Images, Metadata
from discern.serving.gateway.dialect import (
    Dialect,
    Floats,
    floats_of,
    floats_of_values,
    garbage,
    parsed,
)
from discern.serving.gateway.editions import Edition
from discern.serving.protocols.messages import message

FLOAT, UINT8 = 1, 4  # DataType
AVAILABLE = 30  # ModelVersionStatus.State


def request(edition: Edition, images: Images, metadata: Metadata | None = None) -> bytes:
    """A PredictRequest for pixels [N, H, W, 3], to the version that the server thinks best."""
    made = message("tensorflow.serving.PredictRequest")()
    made.model_spec.name = edition.name
    made.output_filter.extend(edition.info.outputs)
    _fill(made.inputs[edition.info.inputs[0]], UINT8, images)
    if metadata is not None:
        _fill(made.inputs[METADATA], FLOAT, metadata.astype("<f4", copy=False))
    data: bytes = made.SerializeToString()
    return data


def _fill(tensor: Any, dtype: int, values: Images | Metadata) -> None:
    tensor.dtype = dtype
    tensor.tensor_content = values.tobytes()
    for size in values.shape:
        tensor.tensor_shape.dim.add(size=size)


def outputs(response: bytes, edition: Edition) -> Mapping[str, Floats]:
    """The float32 outputs of a PredictResponse, as it says they are."""
    answer = parsed(message("tensorflow.serving.PredictResponse"), response)
    wanted = [name for name in edition.info.outputs if name in answer.outputs]
    return {name: _floats(name, answer.outputs[name]) for name in wanted}


def _floats(name: str, tensor: Any) -> Floats:
    if tensor.dtype != FLOAT:
        raise garbage(f"{name} has the data type {tensor.dtype}, not DT_FLOAT")
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    if tensor.tensor_content:
        return floats_of(name, shape, tensor.tensor_content)
    return floats_of_values(name, shape, tensor.float_val)


def _ready_request(name: str) -> bytes:
    made = message("tensorflow.serving.GetModelStatusRequest")()
    made.model_spec.name = name
    data: bytes = made.SerializeToString()
    return data


def _is_ready(response: bytes) -> bool:
    status = parsed(message("tensorflow.serving.GetModelStatusResponse"), response)
    return any(version.state == AVAILABLE for version in status.model_version_status)


TENSORFLOW = Dialect(
    infer="/tensorflow.serving.PredictionService/Predict",
    request=request,
    outputs=outputs,
    gives_all=False,  # the default signature is the classifier alone
    ready="/tensorflow.serving.ModelService/GetModelStatus",
    ready_request=_ready_request,
    is_ready=_is_ready,
)
