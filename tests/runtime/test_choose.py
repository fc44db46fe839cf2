"""Which engine runs a graph: measured once, remembered, and never one that answers otherwise."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from discern.errors import EngineError
from discern.runtime import openvino_runtime
from discern.runtime.choose import (
    COSINE_TOLERANCE,
    PROBABILITY_TOLERANCE,
    agree,
    disagreement,
    measure,
    open_engine,
)
from discern.runtime.engine import Images

needs_openvino = pytest.mark.skipif(
    not openvino_runtime.installed(), reason="OpenVINO is not installed"
)


@pytest.fixture
def sample() -> Images:
    return np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def short_measurements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("discern.runtime.choose.SECONDS", 0.01)


def records(cache: Path) -> list[Path]:
    return sorted((cache / "engines").glob("*"))


def probabilities(*rows: list[float]) -> dict[str, np.ndarray]:
    return {"probabilities": np.array(rows, np.float32)}


def embeddings(*rows: list[float]) -> dict[str, np.ndarray]:
    return {"embedding": np.array(rows, np.float32)}


# --- what was asked for


def test_without_pictures_to_measure_on_it_is_onnx_runtime(graph: Path, cache: Path) -> None:
    opened = open_engine(graph)
    assert (opened.name, opened.precision, opened.device) == ("onnxruntime", "f32", "cpu")
    assert not records(cache)


@needs_openvino
def test_an_engine_asked_for_by_name_is_that_engine(graph: Path, sample: Images) -> None:
    for name in ("onnxruntime", "openvino"):
        assert open_engine(graph, engine=name).name == name
        assert open_engine(graph, engine=name, precision="f32", sample=sample).precision == "f32"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"engine": "tensorrt"}, "Unknown engine 'tensorrt'"),
        ({"device": "gpu"}, "Unknown device 'gpu'. Devices: auto, cpu, cuda."),
        ({"precision": "fp16"}, "fp16"),
        ({"precision": "fp16", "engine": "openvino"}, "fp16"),
        ({"precision": "fp16", "engine": "onnxruntime"}, "f32 only, not fp16"),
        ({"precision": "bf16", "engine": "onnxruntime"}, "f32 only, not bf16"),
        ({"device": "cuda", "engine": "openvino"}, "not openvino at auto"),
        ({"device": "cuda", "precision": "bf16"}, "not auto at bf16"),
    ],
)
def test_what_cannot_be_had_is_an_engine_error(graph: Path, asked: dict, message: str) -> None:
    with pytest.raises(EngineError) as caught:
        open_engine(graph, **asked)
    assert message in str(caught.value)


def test_a_graph_that_is_not_there(tmp_path: Path, sample: Images) -> None:
    for given in (None, sample):
        with pytest.raises(EngineError, match=r"none\.onnx"):
            open_engine(tmp_path / "none.onnx", sample=given)


# --- measured once


@needs_openvino
def test_auto_measures_once_and_remembers(graph: Path, sample: Images, cache: Path) -> None:
    first = open_engine(graph, sample=sample)
    (record,) = records(cache)
    kept = json.loads(record.read_text())
    assert (kept["engine"], kept["precision"]) == (first.name, first.precision)
    assert {"onnxruntime f32", "openvino f32"} <= kept["rates"].keys()

    # What is remembered is followed, with pictures or without: written over, it shows.
    other = "openvino" if first.name == "onnxruntime" else "onnxruntime"
    record.write_text(json.dumps(kept | {"engine": other, "precision": "f32"}))
    assert open_engine(graph, sample=sample).name == other
    assert open_engine(graph).name == other


@needs_openvino
def test_another_graph_or_another_question_is_measured_anew(
    graph: Path, sample: Images, cache: Path, make_graph
) -> None:
    open_engine(graph, sample=sample)
    open_engine(make_graph(seed=1, name="other.onnx"), sample=sample)
    open_engine(graph, sample=sample, precision="f32")
    assert len(records(cache)) == 3


@needs_openvino
@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"engine": "x"}', "\0"])
def test_a_damaged_record_is_measured_anew(
    graph: Path, sample: Images, cache: Path, content: str
) -> None:
    open_engine(graph, sample=sample)
    (record,) = records(cache)
    record.write_text(content)
    assert open_engine(graph).name == "onnxruntime"
    open_engine(graph, sample=sample)
    assert json.loads(record.read_text())["rates"]


@needs_openvino
def test_a_record_of_an_engine_unknown_here_is_not_followed(
    graph: Path, sample: Images, cache: Path
) -> None:
    open_engine(graph, sample=sample)
    (record,) = records(cache)
    record.write_text('{"engine": "tensorrt", "precision": "f32", "rates": {}}')
    assert open_engine(graph).name == "onnxruntime"


@pytest.mark.parametrize("trouble", ["a file", "read-only"])
def test_a_cache_that_cannot_be_written_costs_no_more_than_measuring(
    graph: Path, sample: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    if trouble == "a file":
        (tmp_path / "file").touch()
        monkeypatch.setenv("DISCERN_CACHE", str(tmp_path / "file"))
    else:
        # /proc takes no files, whoever asks
        monkeypatch.setenv("DISCERN_CACHE", "/proc/discern")
    assert open_engine(graph, sample=sample).name in ("onnxruntime", "openvino")


@needs_openvino
def test_remembering_leaves_no_other_file(graph: Path, sample: Images, cache: Path) -> None:
    open_engine(graph, sample=sample)
    assert [path.suffix for path in records(cache)] == [".json"]


def test_a_candidate_that_fails_is_passed_over(graph: Path, sample: Images) -> None:
    choice = measure(graph, sample, [("tensorrt", "f32"), ("onnxruntime", "f32")])
    assert (choice.engine, choice.precision) == ("onnxruntime", "f32")
    with pytest.raises(EngineError, match="Unknown engine 'tensorrt'"):
        measure(graph, sample, [("tensorrt", "f32")])


def test_finding_no_record_loads_no_openvino(graph: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from discern.runtime.choose import open_engine\n"
        "open_engine(Path(sys.argv[1])); assert 'openvino' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(graph)], check=True)


# --- agreement


def test_equal_answers_agree() -> None:
    assert agree(probabilities([0.7, 0.3]), probabilities([0.7, 0.3]))
    assert agree(embeddings([1, 2]), embeddings([1, 2]))


def test_a_small_difference_is_allowed() -> None:
    small = 0.9 * PROBABILITY_TOLERANCE
    assert agree(probabilities([0.7, 0.3]), probabilities([0.7 - small, 0.3 + small]))
    assert agree(embeddings([1, 0]), embeddings([2, 0.01]))


def test_a_larger_one_is_told() -> None:
    told = disagreement(probabilities([0.7, 0.3], [1, 0]), probabilities([0.65, 0.35], [1, 0]))
    assert told == "0 of 2 labels change, |Δp| up to 0.050"


def test_a_label_must_not_change_however_small_the_difference() -> None:
    told = disagreement(probabilities([0.501, 0.499]), probabilities([0.499, 0.501]))
    assert told == "1 of 1 labels change, |Δp| up to 0.002"


def test_embeddings_are_compared_by_direction() -> None:
    angle = np.arccos(1 - 4 * COSINE_TOLERANCE)
    told = disagreement(embeddings([1, 0]), embeddings([np.cos(angle), np.sin(angle)]))
    assert told == "embeddings differ, 1 - cosine up to 0.0040"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_never_agrees(bad: float) -> None:
    assert not agree(probabilities([0.7, 0.3]), probabilities([0.7, bad]))
    with np.errstate(invalid="ignore"):
        assert not agree(embeddings([1, 2]), embeddings([1, bad]))


needs_bf16 = pytest.mark.skipif(
    not openvino_runtime.installed() or not openvino_runtime.has_bf16(),
    reason="no bf16 on this machine",
)


@pytest.fixture
def delicate(tmp_path: Path) -> Path:
    """A graph whose answer hangs on more digits than bf16 has: equal classes but for 1 in 4096."""
    pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    kernel = np.zeros((2, 3, 1, 1), np.float32)
    kernel[0, 0], kernel[1, 1] = 1, 1 + 2**-12
    node = helper.make_node
    nodes = [
        node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]),
        node("Conv", ["planes", "kernel"], ["maps"]),
        node("GlobalAveragePool", ["maps"], ["pooled"]),
        node("Flatten", ["pooled"], ["embedding"]),
        node("Mul", ["embedding", "much"], ["logits"]),
        node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    arrays = {"kernel": kernel, "much": np.float32(100)}
    made = helper.make_graph(
        nodes,
        "delicate",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", "H", "W", 3])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 2])
            for name in ("probabilities", "embedding")
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in arrays.items()],
    )
    path = tmp_path / "delicate.onnx"
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    path.write_bytes(model.SerializeToString())
    return path


@needs_bf16
def test_bf16_is_refused_where_it_disagrees(delicate: Path) -> None:
    grey = np.full((3, 16, 16, 3), 200, np.uint8)
    with pytest.raises(EngineError) as caught:
        open_engine(delicate, sample=grey, precision="bf16")
    first, remedy = str(caught.value).splitlines()
    assert first.startswith("bf16 does not agree with f32 on the reference pictures: ")
    assert remedy == "Use --precision f32 or auto."


@needs_bf16
def test_auto_never_takes_a_bf16_that_disagrees(delicate: Path, cache: Path) -> None:
    grey = np.full((3, 16, 16, 3), 200, np.uint8)
    assert open_engine(delicate, sample=grey).precision == "f32"
    (record,) = records(cache)
    assert "openvino bf16" not in json.loads(record.read_text())["rates"]


@needs_bf16
def test_bf16_is_given_where_it_agrees(graph: Path, sample: Images) -> None:
    opened = open_engine(graph, sample=sample, precision="bf16")
    assert (opened.name, opened.precision) == ("openvino", "bf16")
