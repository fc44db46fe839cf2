"""The engines give one answer to one picture, whichever runs it, however it is handed in."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from discern.errors import EngineError
from discern.runtime.engine import Engine, Images, Metadata, create_engine, in_turn, joined
from discern.runtime.openvino_runtime import installed

needs_openvino = pytest.mark.skipif(not installed(), reason="OpenVINO is not installed")
NAMES = ["onnxruntime", pytest.param("openvino", marks=needs_openvino)]


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def engine(name: str, graph: Path) -> Engine:
    return create_engine(graph, name)


def images(n: int, seed: int = 0) -> Images:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, 16, 16, 3), dtype=np.uint8)


@needs_openvino
def test_engines_agree(graph: Path) -> None:
    pixels = images(9)
    ort, ov = (create_engine(graph, name).run(pixels) for name in ("onnxruntime", "openvino"))
    assert ort.keys() == ov.keys() == {"probabilities", "embedding"}
    for output in ort:
        np.testing.assert_allclose(ort[output], ov[output], atol=1e-5)


@pytest.mark.parametrize("n", [1, 2, 7, 70])
def test_any_number_of_pictures_goes_through(engine: Engine, n: int) -> None:
    outputs = engine.run(images(n))
    assert outputs["probabilities"].shape == (n, 3)
    assert outputs["embedding"].shape == (n, 8)
    assert outputs["probabilities"].dtype == np.float32
    np.testing.assert_allclose(outputs["probabilities"].sum(1), 1, atol=1e-6)


def test_one_by_one_is_exactly_all_at_once(engine: Engine) -> None:
    pixels = images(9)
    together = engine.run(pixels)
    for i in range(9):
        alone = engine.run(pixels[i : i + 1])
        for output, values in together.items():
            assert np.array_equal(alone[output][0], values[i])


def test_pixels_need_not_lie_side_by_side_in_memory(engine: Engine) -> None:
    mirrored = images(3)[:, :, ::-1]
    expected = engine.run(np.ascontiguousarray(mirrored))
    assert np.array_equal(engine.run(mirrored)["embedding"], expected["embedding"])


def test_threads_get_their_own_answers(engine: Engine) -> None:
    batches = [images(5, seed) for seed in range(24)]
    expected = [engine.run(batch)["probabilities"] for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        actual = [outputs["probabilities"] for outputs in pool.map(engine.run, batches)]
    assert np.array_equal(actual, expected)


def test_answers_are_not_written_over_by_the_next_call(engine: Engine) -> None:
    first = engine.run(images(1, 0))["embedding"]
    kept = first.copy()
    engine.run(images(1, 1))
    assert np.array_equal(first, kept)


def test_both_goals_give_the_same_answers(name: str, graph: Path) -> None:
    pixels = images(4)
    quick, many = (
        create_engine(graph, name, goal=g).run(pixels) for g in ("latency", "throughput")
    )
    np.testing.assert_allclose(quick["probabilities"], many["probabilities"], atol=1e-6)


def test_an_unknown_engine_names_the_known(graph: Path) -> None:
    with pytest.raises(EngineError, match=r"'tensorrt'\. Engines: onnxruntime, openvino, or auto"):
        create_engine(graph, "tensorrt")


def test_onnx_runtime_has_no_bf16(graph: Path) -> None:
    with pytest.raises(EngineError, match=r"f32 only, not bf16\. Use --engine openvino"):
        create_engine(graph, "onnxruntime", "bf16")


def test_cuda_where_there_is_none(graph: Path) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("there is one")
    with pytest.raises(EngineError, match=r"no CUDA provider.*--device cpu"):
        create_engine(graph, "onnxruntime", device="cuda")


@pytest.mark.parametrize("content", [b"not a graph", b"", None])
def test_a_broken_graph_is_an_engine_error(
    name: str, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "broken.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EngineError, match=r"broken\.onnx") as caught:
        create_engine(path, name)
    assert len(str(caught.value).splitlines()) <= 3


def test_pixels_that_the_graph_does_not_take_are_an_engine_error(engine: Engine) -> None:
    with pytest.raises(EngineError, match="cannot run") as caught:
        engine.run(images(1)[..., :2])
    assert len(str(caught.value).splitlines()) <= 3


def test_batches_are_consecutive_and_join_again() -> None:
    parts = [batch["images"] for batch in in_turn(images(7), None, 0, 3)]
    assert [len(part) for part in parts] == [3, 3, 1]
    assert np.array_equal(joined([{"x": part} for part in parts])["x"], images(7))


SIGNAL_STACK = """
import ctypes, sys
from pathlib import Path
from discern.runtime.engine import create_engine

libc = ctypes.CDLL(None)
before, after = (ctypes.create_string_buffer(24) for _ in range(2))
libc.sigaltstack(None, before)
create_engine(Path(sys.argv[1]), "openvino")
libc.sigaltstack(None, after)
assert after.raw == before.raw
"""


@needs_openvino
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="as seen on Linux")
def test_a_thread_keeps_its_signal_stack(graph: Path) -> None:
    """OpenVINO's own, freed later, made the next signal a segmentation fault."""
    subprocess.run([sys.executable, "-c", SIGNAL_STACK, str(graph)], check=True)


@pytest.fixture
def informed(name: str, graph_with_metadata: Path) -> Engine:
    """An engine whose graph takes facts beside the pictures."""
    return create_engine(graph_with_metadata, name)


def facts(n: int) -> Metadata:
    return np.random.default_rng(1).normal(0, 1, (n, 2)).astype(np.float32)


def test_engines_know_how_many_facts_their_graph_takes(engine: Engine, informed: Engine) -> None:
    assert (engine.metadata_size, informed.metadata_size) == (0, 2)


def test_without_metadata_is_with_zeros_is_the_picture_alone(
    engine: Engine, informed: Engine
) -> None:
    alone = informed.run(images(5))["probabilities"]
    zeros = informed.run(images(5), np.zeros((5, 2), np.float32))["probabilities"]
    assert np.array_equal(alone, zeros)
    np.testing.assert_allclose(alone, engine.run(images(5))["probabilities"], atol=1e-6)


def test_each_picture_is_answered_with_its_own_metadata(informed: Engine) -> None:
    pixels, rows = images(9), facts(9)
    together = informed.run(pixels, rows)["probabilities"]
    for i in range(9):
        alone = informed.run(pixels[i : i + 1], rows[i : i + 1])["probabilities"]
        assert np.array_equal(alone[0], together[i])
    bare = informed.run(pixels)["probabilities"]
    logits = np.log(bare) + rows @ np.array([[3, 0, -3], [0, 2, 0]])
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(together, expected, atol=1e-5)


def test_metadata_of_another_precision_are_taken(informed: Engine) -> None:
    expected = informed.run(images(3), facts(3))["probabilities"]
    wide = informed.run(images(3), facts(3).astype(np.float64))["probabilities"]
    assert np.array_equal(wide, expected)


def test_a_graph_of_pictures_alone_refuses_metadata(engine: Engine) -> None:
    with pytest.raises(EngineError, match="takes no metadata: it was trained on the pictures"):
        engine.run(images(3), facts(3))


@pytest.mark.parametrize("shape", [(3, 3), (2, 2), (3,), (3, 2, 1)])
def test_metadata_of_another_shape_are_an_engine_error(
    informed: Engine, shape: tuple[int, ...]
) -> None:
    with pytest.raises(EngineError, match=r"have the shape .* the graph takes \[3, 2\]"):
        informed.run(images(3), np.zeros(shape, np.float32))


@given(st.integers(1, 40), st.integers(1, 9))
def test_pictures_and_metadata_are_cut_into_batches_together(n: int, size: int) -> None:
    pixels, rows = images(n), facts(n)
    batches = list(in_turn(pixels, rows, 2, size))
    assert all(len(batch["images"]) == len(batch["metadata"]) <= size for batch in batches)
    assert np.array_equal(np.concatenate([batch["images"] for batch in batches]), pixels)
    assert np.array_equal(np.concatenate([batch["metadata"] for batch in batches]), rows)
