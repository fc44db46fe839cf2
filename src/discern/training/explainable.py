"""What heat maps need of a graph: where it pools its last features, and what comes after.

A convolutional network averages a grid of feature vectors, one for each place of the picture,
and answers from the average alone. Grad-CAM (Selvaraju et al., 2017) asks what each place gave.
"""

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from discern.runtime.engine import IMAGES
from discern.runtime.heat import LAYOUT, LOGITS, POOLED, Parts

BATCH, SHAPE = "batch", "tail.shape"
Axes = tuple[int, ...]
SPATIAL: Mapping[Axes, str] = {(2, 3): "NCHW", (1, 2): "NHWC"}  # axes pooled → order of the axes


def explanation_parts(graph: bytes) -> Parts | None:
    """Cut a model's serialised graph at the last pooling that all of a picture goes through.

    Poolings beside the main path, such as those of squeeze-and-excitation, do not count. None
    where there is no such pooling (transformers with a class token), or it pools a single place.
    """
    model = onnx.load_from_string(graph)
    sizes = _sizes(model)
    for node in reversed(model.graph.node):
        layout = _layout(node, model.graph, sizes)
        after = _after(model.graph, node.output[0]) if layout else None
        if layout and after is not None:
            shape = _pooled_shape(node, layout, sizes)
            return Parts(node.input[0], _tail(model, after, node.output[0], shape, layout))
    return None


def _sizes(model: onnx.ModelProto) -> dict[str, list[int]]:
    """The sides of each tensor of known rank; 0 for one that is free, as the batch is."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    tensors = [*graph.value_info, *graph.input, *graph.output]
    return {
        tensor.name: [side.dim_value for side in tensor.type.tensor_type.shape.dim]
        for tensor in tensors
    }


def _layout(
    node: onnx.NodeProto, graph: onnx.GraphProto, sizes: Mapping[str, list[int]]
) -> str | None:
    """The order of axes of what the node averages over all places; None if it does not."""
    if node.op_type not in ("GlobalAveragePool", "ReduceMean"):
        return None
    sides = sizes.get(node.input[0], [])
    axes = (2, 3) if node.op_type == "GlobalAveragePool" else _axes(node, graph)
    if len(sides) != 4 or axes not in SPATIAL or [sides[axis] for axis in axes] == [1, 1]:
        return None
    return SPATIAL[axes]


def _axes(node: onnx.NodeProto, graph: onnx.GraphProto) -> Axes:
    """The axes of four that a mean is taken over, ascending; an input since opset 18."""
    given = {a.name: helper.get_attribute_value(a) for a in node.attribute}.get("axes", ())
    if len(node.input) > 1:
        named = (array for array in graph.initializer if array.name == node.input[1])
        given = next((numpy_helper.to_array(array).tolist() for array in named), ())
    return tuple(sorted(axis % 4 for axis in given))


def _after(graph: onnx.GraphProto, pooled: str) -> list[onnx.NodeProto] | None:
    """The nodes from the tensor `pooled` to the logits; None if pictures come another way too."""
    makers = {name: node for node in graph.node for name in node.output}
    waiting, seen = [LOGITS], {pooled}
    while waiting:
        name = waiting.pop()
        if name == IMAGES:
            return None
        if name not in seen:
            seen.add(name)
            # How many pictures there are says nothing of what is on them.
            if name in makers and not _counts_pictures(makers[name]):
                waiting.extend(makers[name].input)
    return [node for node in graph.node if (seen - {pooled}).intersection(node.output)]


def _counts_pictures(node: onnx.NodeProto) -> bool:
    """Whether it gives the size of a batch, which is that of every tensor along the way."""
    asked = {a.name: a.i for a in node.attribute}
    return node.op_type == "Shape" and asked.get("start", 0) == 0 and asked.get("end") == 1


def _pooled_shape(node: onnx.NodeProto, layout: str, sizes: Mapping[str, list[int]]) -> list[int]:
    """The shape of what the node pools to, 0 for the batch: all ones but its K channels."""
    channels = sizes[node.input[0]][layout.index("C")]
    if len(sizes[node.output[0]]) == 2:
        return [0, channels]
    return [0 if axis == "N" else channels if axis == "C" else 1 for axis in layout]


def _tail(
    model: onnx.ModelProto,
    after: list[onnx.NodeProto],
    pooled: str,
    shape: list[int],
    layout: str,
) -> bytes:
    """The nodes `after` the pooling as a graph of their own, which takes pooled [N, K]."""
    nodes = [helper.make_node("Reshape", [POOLED, SHAPE], [pooled]), *map(_of_pooled, after)]
    read = {name for node in nodes for name in node.input}
    (answer,) = (value for value in model.graph.output if value.name == "probabilities")
    classes = answer.type.tensor_type.shape.dim[1].dim_value
    graph = helper.make_graph(
        nodes,
        "tail",
        [
            helper.make_tensor_value_info(POOLED, TensorProto.FLOAT, [BATCH, max(shape)]),
            *(value for value in model.graph.input if value.name in read),
        ],
        [helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, [BATCH, classes])],
        [
            numpy_helper.from_array(np.array(shape, np.int64), SHAPE),
            *(array for array in model.graph.initializer if array.name in read),
        ],
    )
    tail = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    helper.set_model_props(tail, {LAYOUT: layout})
    onnx.checker.check_model(tail)
    return tail.SerializeToString()  # type: ignore[no-any-return]


def _of_pooled(node: onnx.NodeProto) -> onnx.NodeProto:
    """The node, counting the pooled vectors where it counted pictures."""
    if not _counts_pictures(node):
        return node
    counting = onnx.NodeProto()
    counting.CopyFrom(node)
    counting.input[0] = POOLED
    return counting
