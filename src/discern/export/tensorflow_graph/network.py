"""The graph as a function: each node's operation, one after the other."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf  # type: ignore[import-untyped]
from onnx import helper, numpy_helper

from . import arithmetic, convolution, shaping
from .node import CannotConvertError, Node, Operation
from .value import Operand, Tensor, Value, held, logical, plain

OPERATIONS: Mapping[str, Operation] = {
    **arithmetic.OPERATIONS,
    **convolution.OPERATIONS,
    **shaping.OPERATIONS,
}
OLDEST = 13  # since this operator set, axes mean what they mean here


class Network:
    """An ONNX graph that is called with tensors by the names of its inputs.

    `sizes` are the lengths of axes that the graph leaves open, by input; the first axis, of the
    pictures in a batch, is open always. Raises CannotConvertError, here or when called.
    """

    def __init__(self, model: Any, sizes: Mapping[str, list[int]]) -> None:
        graph = model.graph
        self.constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
        self.inputs = [
            _specification(each, sizes.get(each.name))
            for each in graph.input
            if each.name not in self.constants
        ]
        self.outputs = [each.name for each in graph.output]
        self.nodes = [(_node(each), tuple(each.input)) for each in graph.node]
        _require_known(model, [node.kind for node, _ in self.nodes])

    def __call__(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The outputs by name; called within a tf.function, this writes its graph."""
        known: dict[str, Operand | None] = {"": None, **self.constants}
        known |= {name: plain(tensor) for name, tensor in tensors.items()}
        for node, names in self.nodes:
            missing = [name for name in names if name not in known]
            if missing:
                raise CannotConvertError(f"the graph has a node that gives {missing[0]} besides")
            made = _done(node, [known[name] for name in names])
            known.update(zip(node.outputs, made, strict=False))
        outputs = {}
        for name in self.outputs:
            output = known[name]
            assert output is not None
            outputs[name] = tf.convert_to_tensor(logical(output))
        return outputs


def _done(node: Node, inputs: list[Operand | None]) -> tuple[Operand, ...]:
    """The outputs of a node; of constants, constants."""
    operation = OPERATIONS[node.kind]
    if any(isinstance(each, Value) for each in inputs):
        return _several(operation(node, *inputs))
    with tf.init_scope():  # at once, outside the graph
        made = _several(operation(node, *inputs))
        return tuple(np.asarray(logical(held(each))) for each in made)


def _several(made: Operand | tuple[Operand, ...]) -> tuple[Operand, ...]:
    return made if isinstance(made, tuple) else (made,)


def _specification(input_: Any, sizes: list[int] | None) -> Any:
    kind = input_.type.tensor_type
    rest = sizes or [size.dim_value for size in kind.shape.dim[1:]]
    if 0 in rest:
        raise CannotConvertError(f"the graph leaves the size of {input_.name} open")
    number = tf.as_dtype(helper.tensor_dtype_to_np_dtype(kind.elem_type))
    return tf.TensorSpec([None, *rest], number, name=input_.name)


def _node(node: Any) -> Node:
    attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    plainly = {
        name: value.decode() if isinstance(value, bytes) else value
        for name, value in attributes.items()
    }
    kind = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
    return Node(kind, tuple(node.output), plainly)


def _require_known(model: Any, kinds: list[str]) -> None:
    unknown = sorted(set(kinds) - OPERATIONS.keys())
    if unknown:
        raise CannotConvertError(f"the graph has {', '.join(unknown)}")
    opset = next(each.version for each in model.opset_import if each.domain in ("", "ai.onnx"))
    if opset < OLDEST:
        raise CannotConvertError(f"the graph is of operator set {opset}, not {OLDEST} or newer")
