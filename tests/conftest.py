"""What every room's tests share: a cache of their own, tiny pictures and a tiny graph."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

LABELS = ("cat", "dog", "fish")
SIDE, EMBEDDING = 16, 8


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing that a test caches is seen by another, or by the person who runs them."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("DISCERN_CACHE", str(folder))
    return folder


def encoded(seed: int, height: int = 24, width: int = 20) -> bytes:
    """A PNG whose colours depend on the seed."""
    rng = np.random.default_rng(seed)
    tint = rng.integers(0, 256, 3)
    pixels = (rng.integers(0, 256, (height, width, 3)) + 3 * tint) // 4
    file = BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """21 small picture files: not a multiple of the size that pictures are handed out in."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    paths = [folder / f"{i:02d}.png" for i in range(21)]
    for i, path in enumerate(paths):
        path.write_bytes(encoded(i))
    return paths


GraphMaker = Callable[..., Path]


@pytest.fixture
def make_graph(tmp_path: Path) -> GraphMaker:
    """`make_graph(seed=0, head=True)` writes a network of one convolution, and a head behind it.

    images uint8 [N, H, W, 3] → probabilities [N, 3] (with the head), embedding [N, 8].
    """
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    def make(seed: int = 0, head: bool = True, name: str = "graph.onnx") -> Path:
        rng = np.random.default_rng(seed)
        arrays = {
            "scale": np.float32(1 / 255),
            "kernel": rng.normal(0, 1, (EMBEDDING, 3, 3, 3)).astype(np.float32),
            "weight": rng.normal(0, 1, (EMBEDDING, len(LABELS))).astype(np.float32),
        }
        node = helper.make_node
        nodes = [
            node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
            node("Mul", ["floats", "scale"], ["scaled"]),
            node("Transpose", ["scaled"], ["planes"], perm=[0, 3, 1, 2]),
            node("Conv", ["planes", "kernel"], ["maps"], strides=[2, 2]),
            node("Relu", ["maps"], ["positive"]),
            node("GlobalAveragePool", ["positive"], ["pooled"]),
            node("Flatten", ["pooled"], ["embedding"]),
        ]
        outputs = {"embedding": EMBEDDING}
        if head:
            nodes.append(node("Gemm", ["embedding", "weight"], ["logits"]))
            nodes.append(node("Softmax", ["logits"], ["probabilities"], axis=1))
            outputs = {"probabilities": len(LABELS)} | outputs
        graph = helper.make_graph(
            nodes,
            "tiny",
            [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", "H", "W", 3])],
            [
                helper.make_tensor_value_info(key, TensorProto.FLOAT, ["N", width])
                for key, width in outputs.items()
            ],
            [numpy_helper.from_array(np.asarray(a), key) for key, a in arrays.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
        onnx.checker.check_model(model)
        path = tmp_path / name
        path.write_bytes(model.SerializeToString())
        return path

    return make


@pytest.fixture
def graph(make_graph: GraphMaker) -> Path:
    """The network with its head."""
    return make_graph()
