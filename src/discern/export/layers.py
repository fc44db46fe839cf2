"""The layers of a graph that have weights, from the pictures to the embedding."""

from collections.abc import Iterator
from typing import Any

LAYERS = ("Conv", "Gemm", "MatMul")
EMBEDDING = "embedding"  # what comes after it is the head


def backbone_layers(model: Any) -> Iterator[Any]:
    """The nodes of an onnx.ModelProto that multiply by constants on the way to the embedding."""
    constants = {array.name for array in model.graph.initializer}
    backbone = _before(model, EMBEDDING)
    for node in model.graph.node:
        weighty = node.op_type in LAYERS and node.input[1] in constants
        if weighty and backbone.intersection(node.output):
            yield node


def _before(model: Any, tensor: str) -> set[str]:
    """The names of all tensors that `tensor` is made from, and its own."""
    makers = {name: node for node in model.graph.node for name in node.output}
    waiting, seen = [tensor], set[str]()
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting.extend(makers[name].input if name in makers else ())
    return seen
