"""A graph that takes facts beside the pictures."""

from pathlib import Path

import numpy as np
import pytest

METADATA = 2  # numbers a picture


@pytest.fixture
def graph_with_metadata(graph: Path, tmp_path: Path) -> Path:
    """The tiny network, whose logits also change with `metadata` float32 [N, 2]."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(graph)
    size = helper.make_tensor_value_info("metadata", TensorProto.FLOAT, ["N", METADATA])
    model.graph.input.append(size)
    effect = np.array([[3, 0, -3], [0, 2, 0]], np.float32)
    model.graph.initializer.append(numpy_helper.from_array(effect, "effect"))
    softmax = model.graph.node.pop()
    model.graph.node.append(helper.make_node("MatMul", ["metadata", "effect"], ["beside"]))
    model.graph.node.append(helper.make_node("Add", ["logits", "beside"], ["both"]))
    softmax.input[0] = "both"
    model.graph.node.append(softmax)
    onnx.checker.check_model(model)
    path = tmp_path / "with-metadata.onnx"
    onnx.save(model, path)
    return path
