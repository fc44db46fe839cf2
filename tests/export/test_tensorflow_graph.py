"""Operations in which axes are easily mistaken, in TensorFlow and LiteRT beside ONNX Runtime."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from discern.errors import EngineError
from discern.export import tensorflow
from discern.export.environments import environments_folder, is_ready

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

KEPT = environments_folder()  # before each test gets a cache of its own
environment = pytest.mark.skipif(
    not is_ready("tensorflow"),
    reason="no environment for converters: python -m discern.export.environments",
)

SIDE = 8  # of the pictures; there are as many channels, so that only the order tells them apart
LAST, FIRST = [0, 2, 3, 1], [0, 3, 1, 2]


class Drawing:
    """A graph that is written node by node, from "x": floats [N, SIDE, SIDE, SIDE]."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        floats = self("Cast", "images", to=TensorProto.FLOAT)
        planes = self("Transpose", self("Mul", floats, np.float32(1 / 255)), perm=FIRST)
        self.x = self("Conv", planes, self.drawn(SIDE, 3, 1, 1))

    def __call__(self, kind: str, *inputs: Any, outputs: int = 1, **attributes: Any) -> Any:
        names = [each if isinstance(each, str) else self._constant(each) for each in inputs]
        made = [f"{kind}_{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, names, made, **attributes))
        return made[0] if outputs == 1 else made

    def _constant(self, value: Any) -> str:
        array = np.asarray(value)
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def drawn(self, *shape: int) -> np.ndarray:
        return self.rng.normal(0, 0.5, shape).astype(np.float32)

    def written(self, answer: str, path: Path) -> Path:
        """With `answer` as both outputs, for the worker asks for two."""
        for name in ("embedding", "probabilities"):
            self.nodes.append(helper.make_node("Identity", [answer], [name]))
        values = helper.make_tensor_value_info
        images = values("images", TensorProto.UINT8, ["N", SIDE, SIDE, 3])
        outputs = [values(name, TensorProto.FLOAT, None) for name in ("embedding", "probabilities")]
        graph = helper.make_graph(self.nodes, "drawing", [images], outputs, self.constants)
        opset = [helper.make_opsetid("", 20), helper.make_opsetid("elsewhere", 1)]
        onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), path)
        return path


def asymmetric_pads(d: Drawing) -> str:
    return d("Conv", d.x, d.drawn(8, 8, 3, 3), pads=[0, 2, 1, 0], strides=[2, 1])


def pads_that_are_not_same(d: Drawing) -> str:
    return d("Conv", d.x, d.drawn(4, 8, 3, 3), d.drawn(4), pads=[1, 1, 1, 1], strides=[2, 2])


def same_upper(d: Drawing) -> str:
    return d("Conv", d.x, d.drawn(4, 8, 4, 3), auto_pad="SAME_UPPER", strides=[1, 2])


def same_lower(d: Drawing) -> str:
    return d("Conv", d.x, d.drawn(4, 8, 4, 3), auto_pad="SAME_LOWER", strides=[1, 2])


def dilated(d: Drawing) -> str:
    return d("Conv", d.x, d.drawn(4, 8, 3, 3), dilations=[2, 1], pads=[2, 1, 2, 1])


def grouped(d: Drawing) -> str:
    return d("Conv", d.x, d.drawn(12, 2, 3, 3), d.drawn(12), group=4, pads=[1] * 4)


def depthwise(d: Drawing) -> str:
    return d("Conv", d.x, d.drawn(16, 1, 3, 3), d.drawn(16), group=8, pads=[1] * 4)


def depthwise_dilated(d: Drawing) -> str:
    return d("Conv", d.x, d.drawn(8, 1, 3, 3), group=8, pads=[2] * 4, dilations=[2, 2])


def depthwise_by_uneven_strides(d: Drawing) -> str:
    return d("Conv", d.x, d.drawn(8, 1, 3, 3), group=8, strides=[1, 2])


def constant_for_channels(d: Drawing) -> str:
    return d("Add", d("Mul", d.x, d.drawn(1, 8, 1, 1)), d.drawn(8, 1, 1))


def constant_for_rows_and_columns(d: Drawing) -> str:
    return d("Add", d("Mul", d.x, d.drawn(8, 1)), d("Sub", d.drawn(8), d.x))


def turned_against_itself(d: Drawing) -> str:
    return d("Add", d("Transpose", d.x, perm=[0, 2, 1, 3]), d.x)


def normalised_last(d: Drawing) -> str:
    turned = d("Transpose", d.x, perm=LAST)
    normal = d("LayerNormalization", turned, d.drawn(8), d.drawn(8), axis=-1)
    return d("Conv", d("Transpose", normal, perm=FIRST), d.drawn(8, 1, 3, 3), group=8)


def normalised_in_place(d: Drawing) -> str:
    return d("LayerNormalization", d.x, d.drawn(8), d.drawn(8), axis=-1, epsilon=1e-3)


def normalised_over_several(d: Drawing) -> str:
    return d("LayerNormalization", d.x, d.drawn(8, 8, 8), axis=1)


def batch_normalised(d: Drawing) -> str:
    return d("BatchNormalization", d.x, *(d.drawn(8) for _ in range(3)), abs(d.drawn(8)) + 0.1)


def normalised_by_picture(d: Drawing) -> str:
    return d("InstanceNormalization", d.x, d.drawn(8), d.drawn(8))


def biased_by_places(d: Drawing) -> str:
    """As LeViT looks its biases up: of constants, when it is converted."""
    places = np.random.default_rng(2).integers(0, 5, (8, 8, 1))
    looked_up = d("GatherND", d("Transpose", d.drawn(8, 5), perm=[1, 0]), places)
    return d("Add", d.x, d("Transpose", looked_up, perm=[2, 0, 1]))


def tokens(d: Drawing) -> str:
    """As many of them as numbers in each, a class token before them, and their positions."""
    patches = d("Conv", d.x, d.drawn(17, 8, 2, 2), strides=[2, 2])
    rows = d("Transpose", d("Reshape", patches, [-1, 17, 16]), perm=[0, 2, 1])
    number = d("Shape", "images", start=0, end=1)
    size = d("Concat", number, np.array([1]), np.array([1]), axis=0)
    first = d("Expand", d.drawn(1, 1, 17), size)
    return d("Add", d("Concat", first, rows, axis=1), d.drawn(1, 17, 17))


def attention(d: Drawing) -> str:
    """Three in one product, taken apart by its axes, as timm's transformers do."""
    rows = d("Transpose", d("Reshape", d.x, [0, 8, -1]), perm=[0, 2, 1])  # [N, 64, 8]
    parts = d("Reshape", d("MatMul", rows, d.drawn(8, 24)), [-1, 64, 3, 2, 4])
    turned = d("Transpose", parts, perm=[2, 0, 3, 1, 4])
    query, key = (d("Squeeze", d("Slice", turned, [i], [i + 1], [0]), [0]) for i in range(2))
    value = d("Gather", turned, -1, axis=0)
    sizes = d("Shape", key)
    heads = d("Slice", sizes, [-(2**63)], [-2])
    flat = d("Concat", [-1], d("Slice", sizes, [-2], [2**63 - 1]), axis=0)
    back = d("Concat", heads, [4], [64], axis=0)
    key = d("Transpose", d("Reshape", key, flat), perm=[0, 2, 1])
    weights = d("Softmax", d("MatMul", query, d("Reshape", key, back)), axis=-1)
    return d("Reshape", d("MatMul", weights, value), [0, -1], allowzero=0)


def torch_flattens(d: Drawing) -> str:
    """What torch writes for a view of means: every number is looked up by its place."""
    number = d("Squeeze", d("Shape", "images", start=0, end=1))
    means = d("Reshape", d("ReduceMean", d.x, [-1, -2], keepdims=1), [-1])
    starts = d("Mul", d("Range", np.array(0), number, np.array(1)), np.array(8))
    places = d("Add", d("Unsqueeze", starts, [1, 2, 3]), np.arange(8).reshape(1, 8, 1, 1))
    return d("Reshape", d("Gather", means, places, axis=0), [-1, 8])


def max_pools(d: Drawing) -> str:
    below = d("Sub", d.x, np.float32(9))  # so that noughts at the edge would win
    options = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    return d("Add", d("MaxPool", below, **options), d("MaxPool", d("Relu", d.x), **options))


def max_pool_reaching_out(d: Drawing) -> str:
    below = d("Sub", d.x, np.float32(9))
    return d("MaxPool", below, kernel_shape=[3, 2], strides=[2, 3], ceil_mode=1)


def average_pool_without_padding(d: Drawing) -> str:
    return d("AveragePool", d.x, kernel_shape=[3, 3], strides=[2, 1], pads=[1, 1, 1, 1])


def average_pool_with_padding(d: Drawing) -> str:
    options = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}
    return d("AveragePool", d.x, **options)


def average_pool_reaching_out(d: Drawing) -> str:
    return d("AveragePool", d.x, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)


def joined_of_different_orders(d: Drawing) -> str:
    turned = d("Transpose", d.x, perm=[0, 1, 3, 2])
    return d("Concat", d.x, turned, d("Identity", d("Reshape", d.x, [0, 8, 8, 8])), axis=2)


def reduced(d: Drawing) -> str:
    rows = d("ReduceMax", d.x, [2], keepdims=0)  # [N, C, W]
    lengths = d("ReduceL2", rows, [1], keepdims=1)
    return d("Div", rows, d("Max", lengths, d("ReduceMin", rows, keepdims=1), np.float32(1e-3)))


def squeezed(d: Drawing) -> str:
    small = d("ReduceSum", d.x, [-2], keepdims=1)
    return d("Unsqueeze", d("Squeeze", small, [2]), [0, -1])


def products(d: Drawing) -> str:
    turned = d("Transpose", d.x, perm=[0, 1, 3, 2])
    flat = d("Flatten", d("MatMul", turned, d("MatMul", d.x, d.drawn(8, 8))))
    return d("Gemm", flat, d.drawn(6, 512) / 20, d.drawn(6), transB=1, alpha=0.5, beta=2.0)


def product_in_the_last_axis(d: Drawing) -> str:
    turned = d("Transpose", d.x, perm=LAST)
    return d("Transpose", d("MatMul", turned, d.drawn(8, 5)), perm=FIRST)


def cut(d: Drawing) -> str:
    backwards = d("Slice", d.x, [7, 1], [-99, 99], [1, 3], [-2, 3])
    first, last = d("Split", backwards, [1, 3], axis=1, outputs=2)
    padded = d("Pad", last, [1, 0, 2, 0], np.float32(3), [-1, 1])
    return d("Concat", d("ReduceMean", padded), d("ReduceMean", first), axis=1)


def looked_up(d: Drawing) -> str:
    return d("Gather", d("Gather", d.x, [[1, -1]], axis=2), 3, axis=1)


def bent(d: Drawing) -> str:
    made = [d(kind, d.x) for kind in ("HardSwish", "HardSigmoid", "LeakyRelu", "Gelu")]
    made.append(d("Gelu", d("Neg", d.x), approximate="tanh"))
    made.append(d("HardSigmoid", d.x, alpha=1 / 6))
    made.append(d("Clip", d.x, np.float32(-0.2), np.float32(0.3)))
    made.append(d("Clip", d.x, "", np.float32(0.1)))
    made.append(d("Mul", d.x, d("Sigmoid", d.x)))
    made.append(d("Pow", d("Abs", d.x), np.float32(0.5)))
    made.append(d("Pow", d.x, np.array(2)))
    return d("Concat", *made, axis=1)


CASES = [
    asymmetric_pads,
    pads_that_are_not_same,
    same_upper,
    same_lower,
    dilated,
    grouped,
    depthwise,
    depthwise_dilated,
    depthwise_by_uneven_strides,
    constant_for_channels,
    constant_for_rows_and_columns,
    turned_against_itself,
    normalised_last,
    normalised_in_place,
    normalised_over_several,
    batch_normalised,
    normalised_by_picture,
    biased_by_places,
    tokens,
    attention,
    torch_flattens,
    max_pools,
    max_pool_reaching_out,
    average_pool_without_padding,
    average_pool_with_padding,
    average_pool_reaching_out,
    joined_of_different_orders,
    reduced,
    squeezed,
    products,
    product_in_the_last_axis,
    cut,
    looked_up,
    bent,
]


class Workers:
    """One that converts, and one that runs, for TensorFlow's threads are set before it starts."""

    def __init__(self) -> None:
        self.converter, self.runner = tensorflow._worker(), tensorflow._worker()

    def convert(self, form: str, source: Path) -> Path:
        target = source.with_name(form)
        facts = {"form": form, "source": str(source), "target": str(target)}
        self.converter.ask("convert", height=SIDE, width=SIDE, **facts)
        return target

    def run(self, graph: Path, images: np.ndarray) -> np.ndarray:
        self.runner.ask("open", graph=str(graph))
        _, outputs = self.runner.ask("run", {"images": images})
        return outputs["embedding"]


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISCERN_CONVERTERS", str(KEPT))
        made = Workers()
    yield made
    made.converter.close()
    made.runner.close()


@environment
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_as_onnx_means_it(case: Callable[[Drawing], str], workers: Workers, tmp_path: Path) -> None:
    drawing = Drawing()
    source = drawing.written(case(drawing), tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(source), providers=["CPUExecutionProvider"])
    images = np.random.default_rng(1).integers(0, 256, (5, SIDE, SIDE, 3)).astype(np.uint8)
    for form, batches in (("saved-model", (1, 2, 5)), ("litert", (1,))):
        graph = workers.convert(form, source)
        for batch in batches:
            (expected,) = session.run(["embedding"], {"images": images[:batch]})
            answer = workers.run(graph, images[:batch])
            assert answer.shape == expected.shape
            np.testing.assert_allclose(answer, expected, atol=1e-5, rtol=1e-5)
            assert np.ptp(expected) > 1e-2  # there is something to be mistaken


@environment
def test_what_it_does_not_know(workers: Workers, tmp_path: Path) -> None:
    drawing = Drawing()
    answer = drawing("Fold", drawing("Det", drawing.x), domain="elsewhere")
    source = drawing.written(answer, tmp_path / "model.onnx")
    with pytest.raises(EngineError, match=r"the graph has Det, elsewhere\.Fold"):
        workers.convert("saved-model", source)


@environment
def test_what_it_cannot_keep(workers: Workers, tmp_path: Path) -> None:
    drawing = Drawing()
    answer = drawing("Conv", drawing.x, drawing("Reshape", drawing.x, [8, 8, -1, 1]))
    source = drawing.written(answer, tmp_path / "model.onnx")
    with pytest.raises(EngineError, match="a kernel that is only known when the graph is run"):
        workers.convert("saved-model", source)
