"""A graph whose weights are kept in half precision, and computed with in single.

Depthwise kernels, biases and the head stay as they are: they are a few hundredths of the bytes,
and rounding depthwise kernels did most of the harm to MobileNetV2, where one small kernel makes
a whole channel.
"""

from pathlib import Path
from typing import Any

import numpy as np

from discern.export.layers import backbone_layers


def halve(source: Path, target: Path) -> None:
    """Write the graph `source` with float16 weights, each cast to float32 where it is used."""
    import onnx

    model = onnx.load(source)
    chosen = {node.input[1] for node in backbone_layers(model) if not _depthwise(node)}
    arrays = [array for array in model.graph.initializer if array.name in chosen]
    casts = [_halved(array) for array in arrays]
    rest = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*casts, *rest])
    onnx.checker.check_model(model)
    onnx.save(model, target)


def _depthwise(node: Any) -> bool:
    return any(attribute.name == "group" and attribute.i > 1 for attribute in node.attribute)


def _halved(array: Any) -> Any:
    """Make the constant float16, under another name; the node that casts it to its old one."""
    from onnx import TensorProto, helper, numpy_helper

    name = array.name
    values = numpy_helper.to_array(array).astype(np.float16)
    array.CopyFrom(numpy_helper.from_array(values, f"{name}.half"))
    return helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT)
