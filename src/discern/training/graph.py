"""The model's graph: a backbone's graph with the head and the temperature put behind it."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from discern.training.head import Head


def attach_head(backbone: Path, head: Head, temperature: float) -> bytes:
    """The serialised graph: images uint8 [N, H, W, 3] → probabilities [N, C], embedding [N, D].

    Probabilities are calibrated: the temperature is divided into the head's weights.
    """
    model = onnx.load(backbone)
    graph = model.graph
    size, classes = head.weight.shape
    graph.initializer.extend(_arrays(head, temperature))
    graph.node.extend(_nodes(head.power))
    batch = graph.output[0].type.tensor_type.shape.dim[0].dim_param
    del graph.output[:]
    graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, width])
        for name, width in (("probabilities", classes), ("embedding", size))
    )
    model.producer_name = "discern"
    onnx.checker.check_model(model)
    return model.SerializeToString()  # type: ignore[no-any-return]


def _arrays(head: Head, temperature: float) -> list[TensorProto]:
    arrays: dict[str, np.ndarray | np.generic] = {
        "head.weight": (head.weight / temperature).astype(np.float32),
        "head.bias": (head.bias / temperature).astype(np.float32),
    }
    if head.power:
        arrays |= {
            "head.zero": np.float32(0),
            "head.tiny": np.float32(1e-6),
            "head.axis": np.array([1], np.int64),
        }
    return [numpy_helper.from_array(np.asarray(value), name) for name, value in arrays.items()]


def _nodes(power: bool) -> list[onnx.NodeProto]:
    """`Head.logits` and a softmax as ONNX nodes."""
    node = helper.make_node
    features = "embedding"
    nodes = []
    if power:
        features = "head.features"
        nodes = [
            node("Max", ["embedding", "head.zero"], ["head.positive"]),
            node("Sqrt", ["head.positive"], ["head.rooted"]),
            node("ReduceL2", ["head.rooted", "head.axis"], ["head.length"], keepdims=1),
            node("Max", ["head.length", "head.tiny"], ["head.divisor"]),
            node("Div", ["head.rooted", "head.divisor"], [features]),
        ]
    return [
        *nodes,
        node("Gemm", [features, "head.weight", "head.bias"], ["logits"]),
        node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
