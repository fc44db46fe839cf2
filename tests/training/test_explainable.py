"""Where graphs are cut for heat maps, and that what comes of it is Grad-CAM."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import NodeProto, TensorProto, helper, numpy_helper

from discern.runtime.heat import Cam, with_output
from discern.training.backbones import Backbone, load_backbone
from discern.training.explainable import explanation_parts
from discern.training.graph import attach_head
from discern.training.head import Head, Layer

CHANNELS, CLASSES, SIDE = 6, 4, 12
node = helper.make_node


def graph_of(nodes: Sequence[NodeProto], extra: Sequence[str] = ()) -> bytes:
    """A graph that begins with features "maps" [N, 6, h, w] of 12 × 12 images, with `nodes` after.

    Arrays at hand: axes_<a><b>, weight [6, 4], squeeze [6, 6]. `extra` are other inputs [N, 6].
    """
    rng = np.random.default_rng(0)
    held = {
        "kernel": rng.normal(0, 0.02, (CHANNELS, 3, 3, 3)).astype(np.float32),
        "weight": rng.normal(0, 1, (CHANNELS, CLASSES)).astype(np.float32),
        "squeeze": rng.normal(0, 1, (CHANNELS, CHANNELS)).astype(np.float32),
        **{f"axes_{a}{b}": np.array([a, b], np.int64) for a, b in ((1, 2), (2, 3), (-1, -2))},
        "axes_1": np.array([1], np.int64),
        "axes_0": np.array([0], np.int64),
    }
    start = [
        node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]),
        node("Conv", ["planes", "kernel"], ["convolved"], strides=[2, 2]),
        node("Relu", ["convolved"], ["maps"]),
    ]
    end = [node("Softmax", ["logits"], ["probabilities"], axis=1)]
    inputs = [
        helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", SIDE, SIDE, 3]),
        *(helper.make_tensor_value_info(e, TensorProto.FLOAT, ["batch", CHANNELS]) for e in extra),
    ]
    outputs = [
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", CLASSES])
    ]
    arrays = [numpy_helper.from_array(array, name) for name, array in held.items()]
    graph = helper.make_graph([*start, *nodes, *end], "tiny", inputs, outputs, arrays)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()  # type: ignore[no-any-return]


GLOBAL = [node("GlobalAveragePool", ["maps"], ["mean"]), node("Flatten", ["mean"], ["pooled_maps"])]
MATMUL = [node("MatMul", ["pooled_maps", "weight"], ["logits"])]
BESIDE = [  # squeeze-and-excitation: what is pooled only weighs the channels
    node("ReduceMean", ["maps", "axes_23"], ["squeezed"], keepdims=0),
    node("MatMul", ["squeezed", "squeeze"], ["mixed"]),
    node("Sigmoid", ["mixed"], ["gate"]),
    node("Unsqueeze", ["gate", "axes_23"], ["gates"]),
    node("Mul", ["maps", "gates"], ["excited"]),
]
COUNTED = [  # how the exporter writes a reshape: the size of the batch comes from the images
    node("ReduceMean", ["maps", "axes_-1-2"], ["mean"], keepdims=1),
    node("Shape", ["images"], ["count"], start=0, end=1),
    node("Concat", ["count", "six"], ["flat"], axis=0),
    node("Reshape", ["mean", "flat"], ["pooled_maps"]),
]
SIX = [node("Constant", [], ["six"], value_ints=[CHANNELS])]

CUT = {
    "global pooling": ([*GLOBAL, *MATMUL], "maps"),
    "mean over rows and columns": (
        [node("ReduceMean", ["maps", "axes_-1-2"], ["pooled_maps"], keepdims=0), *MATMUL],
        "maps",
    ),
    "channels last": (
        [
            node("Transpose", ["maps"], ["last"], perm=[0, 2, 3, 1]),
            node("ReduceMean", ["last", "axes_12"], ["pooled_maps"], keepdims=0),
            *MATMUL,
        ],
        "last",
    ),
    "channels last, sides kept": (
        [
            node("Transpose", ["maps"], ["last"], perm=[0, 2, 3, 1]),
            node("ReduceMean", ["last", "axes_12"], ["mean"], keepdims=1),
            node("Squeeze", ["mean", "axes_12"], ["pooled_maps"]),
            *MATMUL,
        ],
        "last",
    ),
    "pooling beside the path": (
        [
            *BESIDE,
            node("GlobalAveragePool", ["excited"], ["mean"]),
            node("Flatten", ["mean"], ["pooled_maps"]),
            *MATMUL,
        ],
        "excited",
    ),
    "layers after the pooling": (
        [
            *GLOBAL,
            node("MatMul", ["pooled_maps", "squeeze"], ["hidden"]),
            node("Relu", ["hidden"], ["active"]),
            node("MatMul", ["active", "weight"], ["logits"]),
        ],
        "maps",
    ),
    "a count of the images": ([*SIX, *COUNTED, *MATMUL], "maps"),
}


def images(n: int, side: int = SIDE) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (n, side, side, 3)).astype(np.uint8)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("name", CUT)
def test_pooling_by_hand_and_the_tail_give_the_graphs_answer(name: str) -> None:
    nodes, pooled = CUT[name]
    graph = graph_of(nodes)
    parts = explanation_parts(graph)
    assert parts is not None and parts.features == pooled
    session = onnxruntime.InferenceSession(with_output(graph, parts.features))
    probabilities, features = session.run(None, {"images": images(5)})
    axes = (1, 2) if pooled == "last" else (2, 3)
    cam = Cam(parts)
    np.testing.assert_allclose(
        softmax(cam.logits(features.mean(axes))), probabilities, rtol=1e-4, atol=1e-6
    )
    outputs = {"probabilities": probabilities[0], parts.features: features[0]}
    assert cam.heat(outputs, 1).shape == (5, 5)
    assert len(parts.tail) < len(graph)


NOT_CUT = {
    "nothing pooled": [
        node("Slice", ["maps", "axes_12", "axes_23", "axes_23"], ["place"]),
        node("ReduceMax", ["place", "axes_23"], ["pooled_maps"], keepdims=0),
        *MATMUL,
    ],
    "another way round the pooling": [
        *GLOBAL,
        node("ReduceMax", ["maps", "axes_23"], ["strongest"], keepdims=0),
        node("Add", ["pooled_maps", "strongest"], ["both"]),
        node("MatMul", ["both", "weight"], ["logits"]),
    ],
    "a mean over channels": [
        node("ReduceMean", ["maps", "axes_1"], ["one"], keepdims=1),
        node("Add", ["one", "maps"], ["both"]),
        node("ReduceMax", ["both", "axes_23"], ["pooled_maps"], keepdims=0),
        *MATMUL,
    ],
    "a single place": [
        node("AveragePool", ["maps"], ["small"], kernel_shape=[5, 5]),
        node("GlobalAveragePool", ["small"], ["mean"]),
        node("Flatten", ["mean"], ["pooled_maps"]),
        *MATMUL,
    ],
    "only pooling beside the path": [
        *BESIDE,
        node("ReduceMax", ["excited", "axes_23"], ["pooled_maps"], keepdims=0),
        *MATMUL,
    ],
}


@pytest.mark.parametrize("name", NOT_CUT)
def test_what_is_not_pooled_once_is_not_cut(name: str) -> None:
    assert explanation_parts(graph_of(NOT_CUT[name])) is None


def test_facts_beside_the_picture_go_into_the_tail() -> None:
    nodes = [
        *GLOBAL,
        node("Add", ["pooled_maps", "metadata"], ["joined"]),
        node("MatMul", ["joined", "weight"], ["logits"]),
    ]
    graph = graph_of(nodes, extra=["metadata"])
    parts = explanation_parts(graph)
    assert parts is not None
    facts = np.random.default_rng(2).normal(0, 1, CHANNELS).astype(np.float32)
    session = onnxruntime.InferenceSession(with_output(graph, parts.features))
    cam = Cam(parts)
    for given, fed in ((facts, facts), (None, np.zeros_like(facts))):
        feeds = {"images": images(3), "metadata": np.tile(fed, (3, 1))}
        probabilities, features = session.run(None, feeds)
        logits = cam.logits(features.mean((2, 3)), given)
        np.testing.assert_allclose(softmax(logits), probabilities, rtol=1e-4, atol=1e-6)


@pytest.fixture
def larger(backbone: Backbone, cache: Path) -> Backbone:  # noqa: ARG001
    """The tiny network, for pictures of which it has more than one place left in the end."""
    return load_backbone(backbone.name, weights="none", image_size=96)


def heads(size: int) -> dict[str, Head]:
    rng = np.random.default_rng(3)

    def layer(inputs: int, outputs: int) -> Layer:
        weight = rng.normal(0, 1, (inputs, outputs)) / np.sqrt(inputs)
        return Layer(weight.astype(np.float32), rng.normal(0, 1, outputs).astype(np.float32))

    return {
        "linear": Head((layer(size, CLASSES),), power=False),
        "square root and unit length": Head((layer(size, CLASSES),), power=True),
        "two layers": Head((layer(size, 16), layer(16, CLASSES)), power=False),
    }


def torch_logits(head: Head, pooled: torch.Tensor) -> torch.Tensor:
    x = pooled
    if head.power:
        x = x.clamp(min=1e-12).sqrt()  # dead channels have no gradient
        x = x / x.norm(dim=1, keepdim=True)
    for i, layer in enumerate(head.layers):
        x = (x.relu() if i else x) @ torch.tensor(layer.weight) + torch.tensor(layer.bias)
    return x


def torch_grad_cam(features: np.ndarray, head: Head, column: int) -> np.ndarray:
    """As the paper has it: channels weighted with the mean gradient over all places."""
    maps = torch.tensor(features[None], requires_grad=True)  # [1, K, h, w]
    torch_logits(head, maps.mean((2, 3)))[0, column].backward()
    assert maps.grad is not None
    weights = maps.grad.mean((2, 3), keepdim=True)
    heat = (weights * maps.detach()).sum(1)[0].relu().numpy()
    return heat / heat.max() if heat.max() > 0 else heat


def test_it_is_what_torchs_gradients_give(larger: Backbone, backbone: Backbone) -> None:
    for head in heads(larger.embedding_size).values():
        graph = attach_head(larger.graph, head)
        parts = explanation_parts(graph)
        assert parts is not None
        session = onnxruntime.InferenceSession(with_output(graph, parts.features))
        cam = Cam(parts)
        for pixels in images(3, side=96):
            features = session.run([parts.features], {"images": pixels[None]})[0][0]
            assert features.shape[1:] == (3, 3)
            for column in range(CLASSES):
                heat = cam.heat({parts.features: features}, column)
                np.testing.assert_allclose(heat, torch_grad_cam(features, head, column), atol=1e-3)
    # At the size that other tests use, one place is left: nothing to tell apart.
    assert explanation_parts(attach_head(backbone.graph, head)) is None
