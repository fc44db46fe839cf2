"""Heat: Grad-CAM's arithmetic, graphs that give more than they did, and what covering shows."""

from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from onnx import TensorProto, helper, numpy_helper

from discern.runtime.engine import Engine, create_engine
from discern.runtime.heat import PLACES, grad_cam, occlusion, scaled, with_output

EIGHTHS = st.integers(-32, 32).map(lambda n: n / 8)  # their products sum up exactly


@given(
    arrays.arrays(np.float32, (3, 4, 5), elements=EIGHTHS),
    arrays.arrays(np.float32, 5, elements=EIGHTHS),
)
def test_for_a_linear_head_it_is_the_class_activation(
    features: np.ndarray, weight: np.ndarray
) -> None:
    """Grad-CAM generalises CAM (Zhou et al., 2016): features weighted with the class's weights."""
    heat = grad_cam(features, lambda pooled: pooled.astype(float) @ weight)
    expected = scaled(features @ weight, 0)
    np.testing.assert_allclose(heat, expected, atol=5e-3)


def test_rounding_is_not_shown_as_heat() -> None:
    """Where all places are alike, moving along one of them changes nothing."""
    features = np.full((7, 7, 64), 0.3, np.float32)
    weight = np.random.default_rng(0).normal(0, 3, 64).astype(np.float32)

    def logit(pooled: np.ndarray) -> np.ndarray:
        return (pooled / np.linalg.norm(pooled, axis=1, keepdims=True)) @ weight

    assert not grad_cam(features, logit).any()


def test_features_that_are_never_negative_stay_so() -> None:
    """Or the square root of the head would see what it never does."""
    features = np.random.default_rng(0).exponential(1, (7, 7, 6)).astype(np.float32)
    features[..., 0] = 0
    features[2, 3, 0] = 50  # all that this channel has is in one place
    seen: list[np.ndarray] = []

    def logit(pooled: np.ndarray) -> np.ndarray:
        seen.append(pooled)
        return np.sqrt(pooled).sum(axis=1)

    heat = grad_cam(features, logit)
    assert seen[0].min() > 0
    slope = 0.5 / np.sqrt(features.mean((0, 1)))
    np.testing.assert_allclose(heat, scaled(features @ slope, 0), atol=5e-3)


@given(arrays.arrays(np.float64, (4, 3), elements=st.floats(-1e3, 1e3)))
def test_heat_is_from_0_to_1(values: np.ndarray) -> None:
    heat = scaled(values, 1e-6)
    assert heat.min() >= 0 and heat.max() == float(values.max() > 1e-6)
    assert (heat[values <= 0] == 0).all()


def test_a_graph_gives_an_inner_tensor_too(graph: Path) -> None:
    data = graph.read_bytes()
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype(np.uint8)
    before = onnxruntime.InferenceSession(data).run(None, {"images": pixels})
    session = onnxruntime.InferenceSession(with_output(data, "positive"))
    assert [o.name for o in session.get_outputs()] == ["probabilities", "embedding", "positive"]
    *after, positive = session.run(None, {"images": pixels})
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_allclose(positive.mean((2, 3)), after[1], rtol=1e-5)


@pytest.mark.parametrize("length", [1, 127, 128, 300, 20_000])
def test_names_of_any_length_are_written_as_protobuf_does(graph: Path, length: int) -> None:
    """Lengths beyond 127 take another byte, in each of the three messages."""
    model = onnx.load_from_string(with_output(graph.read_bytes(), "x" * length))
    assert [o.name for o in model.graph.output] == ["probabilities", "embedding", "x" * length]


@pytest.fixture
def reddest(tmp_path: Path) -> Engine:
    """A graph with two classes, "red" and "not": the redder the picture, the surer of "red"."""
    weight = np.float32([[8, -8], [-8, 8], [-8, 8]]) / 255
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats", "places"], ["colour"], keepdims=0),
        helper.make_node("MatMul", ["colour", "weight"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"]),
    ]
    graph = helper.make_graph(
        nodes,
        "reddest",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", "H", "W", 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 2])],
        [
            numpy_helper.from_array(weight, "weight"),
            numpy_helper.from_array(np.array([1, 2], np.int64), "places"),
        ],
    )
    path = tmp_path / "reddest.onnx"
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), path)
    return create_engine(path, "onnxruntime")


def picture(rows: slice, columns: slice) -> np.ndarray:
    """Grey, red in one part."""
    pixels = np.full((64, 48, 3), 128, np.uint8)
    pixels[rows, columns] = (255, 0, 0)
    return pixels


@pytest.mark.parametrize(("row", "column"), [(0, 0), (3, 5), (7, 7)])
def test_covering_what_counts_is_what_hurts(reddest: Engine, row: int, column: int) -> None:
    pixels = picture(slice(8 * row, 8 * row + 8), slice(6 * column, 6 * column + 6))
    heat = occlusion(reddest, pixels, 0)
    assert heat.shape == (PLACES, PLACES)
    assert heat[row, column] == 1
    far = np.hypot(*(np.indices(heat.shape) - np.reshape([row, column], (2, 1, 1)))) > 4
    assert heat[far].max() < 0.2


def test_corners_count_as_much_as_the_middle(reddest: Engine) -> None:
    """Though they are covered less often."""
    pixels = picture(slice(0, 8), slice(0, 6))
    pixels[32:40, 24:30] = (255, 0, 0)
    heat = occlusion(reddest, pixels, 0)
    assert heat[0, 0] == pytest.approx(heat[4, 4], abs=0.1)


def test_it_is_there_where_the_answer_is_certain(reddest: Engine) -> None:
    """Probabilities near 1 hardly move, log odds do."""
    pixels = picture(slice(0, 56), slice(0, 48))
    assert reddest.run(pixels[None])["probabilities"][0, 0] > 0.99
    heat = occlusion(reddest, pixels, 0)
    assert heat.max() == 1 and heat[7].max() < heat[3].min()


def test_what_makes_no_difference_has_no_heat(reddest: Engine) -> None:
    assert not occlusion(reddest, np.full((64, 48, 3), 128, np.uint8), 0).any()


def test_covering_is_the_same_each_time_and_tells_its_steps(reddest: Engine) -> None:
    class Counted:
        total = done = 0

        @contextmanager
        def stage(self, name: str, total: int | None):  # type: ignore[no-untyped-def] # noqa: ARG002
            self.total = total or 0
            yield self.advance

        def advance(self, steps: int) -> None:
            self.done += steps

        def say(self, message: str) -> None:
            pass

    pixels = np.random.default_rng(0).integers(0, 256, (40, 56, 3)).astype(np.uint8)
    counted = Counted()
    first = occlusion(reddest, pixels, 1, progress=counted)
    assert counted.done == counted.total <= 200
    np.testing.assert_array_equal(first, occlusion(reddest, pixels, 1))
