"""TensorFlow Serving's interface: what its REST and gRPC forms share.

https://www.tensorflow.org/tfx/serving/api_rest. A model has the input `images`: prepared
pixels, uint8 [N, H, W, 3], or encoded pictures, N strings. One that was trained with facts beside
the pictures has another, `metadata`, their encoded form, float32 [N, M], which may be left out.
Which outputs an answer has, the signature says that a request names:

- `serving_default`, also if none is named: the probabilities alone, in the order of the
  model's labels, so that `predictions[0]` is the list of class scores that clients expect;
- every other output's own name, `embedding` say: that output alone;
- `all`: everything.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from discern.errors import RequestError, UnknownModelError
from discern.model import ModelInfo
from discern.runtime.engine import METADATA
from discern.serving.catalog import Catalog, Servable, State, VersionStatus
from discern.serving.protocols.tensors import shown

DEFAULT, ALL = "serving_default", "all"
PREDICT_METHOD = "tensorflow/serving/predict"
MAIN_OUTPUT = "probabilities"
STATES: Mapping[State, str] = {
    "loading": "LOADING",
    "available": "AVAILABLE",
    "unloading": "UNLOADING",
    "end": "END",
}
NORMALISES = "The model normalises them itself."


def signatures(info: ModelInfo) -> Mapping[str, tuple[str, ...]]:
    """Every signature's outputs by its name."""
    others = {name: (name,) for name in info.outputs if name != MAIN_OUTPUT}
    return {DEFAULT: (MAIN_OUTPUT,), **others, ALL: info.outputs}


def outputs_of(info: ModelInfo, signature: str) -> tuple[str, ...]:
    """The outputs of a signature, of the default one for an empty name; or RequestError."""
    known = signatures(info)
    if (signature or DEFAULT) not in known:
        raise RequestError(
            f"There is no signature {shown(signature)}; the model has {', '.join(known)}."
        )
    return known[signature or DEFAULT]


def signature_def_map(servable: Servable) -> dict[str, Any]:
    """A SignatureDefMap in protobuf's JSON form, which TensorFlow Serving's metadata show."""
    info, facts = servable.info, servable.facts
    spec = info.preprocess
    sizes = {MAIN_OUTPUT: len(info.labels), "embedding": info.backbone.get("embedding_size")}
    inputs = {info.inputs[0]: _tensor("DT_UINT8", info.inputs[0], [spec.height, spec.width, 3])}
    if facts is not None:
        inputs[METADATA] = _tensor("DT_FLOAT", METADATA, [facts.spec.size])
    outputs = {name: _tensor("DT_FLOAT", name, [sizes.get(name) or -1]) for name in info.outputs}
    return {
        "signature_def": {
            signature: {
                "inputs": inputs,
                "outputs": {name: outputs[name] for name in names},
                "method_name": PREDICT_METHOD,
            }
            for signature, names in signatures(info).items()
        }
    }


def _tensor(dtype: str, name: str, each: list[int]) -> dict[str, Any]:
    """A TensorInfo; −1 where a size is free."""
    dimensions = [{"size": str(size), "name": ""} for size in (-1, *each)]
    return {
        "dtype": dtype,
        "tensor_shape": {"dim": dimensions, "unknown_rank": False},
        "name": name,
    }


def version_statuses(
    catalog: Catalog, name: str, version: str | None = None
) -> Sequence[VersionStatus]:
    """Where a model's versions stand, or one of them; UnknownModelError if there is none."""
    known = catalog.statuses()
    if name not in known:
        catalog.find(name)  # raises, in the catalog's own words
    found = [status for status in known.get(name, ()) if version in (None, status.version)]
    if version is not None and not found:
        raise UnknownModelError(f"{shown(name)} has no version {shown(version)}.")
    return found


def no_labels(name: str, label: str) -> UnknownModelError:
    """What a request gets that names a version by a label."""
    return UnknownModelError(
        f"{shown(name)} has no version label {shown(label)}: versions have numbers only. "
        "Name one by its number, or none for the latest."
    )
