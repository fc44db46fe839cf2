"""The model's graph: a backbone's graph with a head put behind it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from discern.training.head import Head


def attach_head(backbone: Path, head: Head) -> bytes:
    """The serialised graph: images uint8 [N, H, W, 3] → probabilities [N, C], embedding [N, D].

    A head with metadata gives the graph a second input `metadata`, float32 [N, M].
    """
    model = onnx.load(backbone)
    graph = model.graph
    graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name) for name, value in _arrays(head)
    )
    graph.node.extend(_nodes(head))
    batch = graph.output[0].type.tensor_type.shape.dim[0].dim_param
    if head.metadata:
        graph.input.append(_tensor("metadata", batch, head.metadata))
    del graph.output[:]
    graph.output.extend(
        [
            _tensor("probabilities", batch, head.classes),
            _tensor("embedding", batch, head.embedding_size),
        ]
    )
    model.producer_name = "discern"
    onnx.checker.check_model(model)
    return model.SerializeToString()  # type: ignore[no-any-return]


def _tensor(name: str, batch: str, width: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, width])


def _arrays(head: Head) -> Iterator[tuple[str, np.ndarray | np.generic]]:
    for i, layer in enumerate(head.layers):
        yield f"head.{i}.weight", layer.weight.astype(np.float32)
        yield f"head.{i}.bias", layer.bias.astype(np.float32)
    if head.power:
        yield "head.zero", np.float32(0)
        yield "head.tiny", np.float32(1e-6)
        yield "head.axis", np.array([1], np.int64)


def _nodes(head: Head) -> Iterator[onnx.NodeProto]:
    """`Head.logits` and a softmax as ONNX nodes."""
    node = helper.make_node
    x = "embedding"
    if head.power:
        yield node("Max", [x, "head.zero"], ["head.positive"])
        yield node("Sqrt", ["head.positive"], ["head.rooted"])
        yield node("ReduceL2", ["head.rooted", "head.axis"], ["head.length"], keepdims=1)
        yield node("Max", ["head.length", "head.tiny"], ["head.divisor"])
        yield node("Div", ["head.rooted", "head.divisor"], ["head.features"])
        x = "head.features"
    if head.metadata:
        yield node("Concat", [x, "metadata"], ["head.joined"], axis=1)
        x = "head.joined"
    last = len(head.layers) - 1
    for i in range(last + 1):
        y = "logits" if i == last else f"head.{i}.linear"
        yield node("Gemm", [x, f"head.{i}.weight", f"head.{i}.bias"], [y])
        if i < last:
            x = f"head.{i}.active"
            yield node("Relu", [y], [x])
    yield node("Softmax", ["logits"], ["probabilities"], axis=1)
