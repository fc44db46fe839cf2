"""A tiny model that carries everything: sets, "none of these", heat maps, facts."""

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from discern.data.metadata import MetadataSpec
from discern.data.metadata_fields import Category, Number, Place, Time
from discern.model import load, save_folder
from discern.model.prediction_sets import calibrate_sets
from discern.model.reference import Reference, reference_files
from discern.model.unknown import Unknown, directions
from discern.runtime.engine import create_engine
from discern.runtime.pipeline import to_pixels

KNOWN = 3  # pictures that are not strange to the model
FACTS = MetadataSpec(
    (
        Number("age", 2.0, 1.0),
        Category("device", ("phone", "camera")),
        Time("taken_at", hours=True),
        Place("lat", "lon", (0.7, 0.0, 0.7), 0.1),
    )
)
FEATURES = "positive"  # what the graph of `make_graph` pools


def write_full(
    folder: Path,
    make_model: Callable[..., Path],
    pictures: list[Path],
    facts: bool = False,
    exif: bool = False,
    seed: int = 0,
    score: str = "nearest_neighbours",
) -> Path:
    """The model of `make_model` with every rule; the pictures after the first KNOWN are unknown."""
    plain = load(make_model(folder.with_name("plain"), seed=seed))
    size = FACTS.size if facts else 0
    graph = _with_facts(plain.graph.read_bytes(), size) if facts else plain.graph.read_bytes()
    unknown = _unknown(plain.graph, plain.info.preprocess, pictures, score)
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 200)
    held = rng.dirichlet((1, 1, 1), 200) * 0.9 + 0.1 * np.eye(3)[truth]
    sets = calibrate_sets(held, truth, 0.9)
    assert sets is not None
    config = {"metadata": ["exif"] if exif else ["age"]}
    info = replace(
        plain.info,
        features=FEATURES,
        prediction_sets=sets.to_dict(),
        unknown={"score": score},
        metadata=FACTS.to_dict() if facts else None,
        inputs=("images", "metadata") if facts else ("images",),
        training={"mode": "frozen", "config": config},
    )
    files: dict[str, bytes | Path] = {
        "model.onnx": graph,
        "tail.onnx": _tail(graph, size),
        "unknown.npz": unknown.to_bytes(),
        "seen.npy": plain.path / "seen.npy",
        "report.html": b"<h1>Report</h1>",
    }
    save_folder(folder, info, files | _references(plain, graph))
    return folder


def with_exif(device: str) -> bytes:
    """A picture that says what it was taken with."""
    image, exif, file = Image.new("RGB", (20, 24), (200, 100, 50)), Image.Exif(), BytesIO()
    exif[0x0110] = device
    image.save(file, "JPEG", exif=exif)
    return file.getvalue()


def _unknown(graph: Path, spec: Any, pictures: list[Path], score: str) -> Unknown:
    arrays = {"power": np.float32(0)}
    if score == "maximum_probability":
        return Unknown(score, -0.5, arrays)
    pixels = np.stack([to_pixels(path, spec) for path in pictures[:KNOWN]])
    known = directions(create_engine(graph, "onnxruntime").run(pixels)["embedding"], power=False)
    twice = np.concatenate([known, known]).astype(np.float32)  # the second neighbour counts
    return Unknown(score, 1e-6, {"power": np.float32(0), "neighbours": twice})


def _with_facts(graph: bytes, size: int) -> bytes:
    """The graph with a second input, of which each feature speaks for another label."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load_from_string(graph)
    rng = np.random.default_rng(5)
    weight = rng.normal(0, 15, (size, 3)).astype(np.float32)
    model.graph.initializer.append(numpy_helper.from_array(weight, "facts"))
    model.graph.input.append(
        helper.make_tensor_value_info("metadata", TensorProto.FLOAT, ["N", size])
    )
    *before, softmax = model.graph.node
    nodes = [
        *before,
        helper.make_node("MatMul", ["metadata", "facts"], ["beside"]),
        helper.make_node("Add", ["logits", "beside"], ["sum"]),
        helper.make_node("Softmax", ["sum"], list(softmax.output), axis=1),
    ]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data


def _tail(graph: bytes, size: int) -> bytes:
    """From what the graph pools to its logits, as discern writes it."""
    import onnx
    from onnx import TensorProto, helper

    whole = onnx.load_from_string(graph)
    arrays = [a for a in whole.graph.initializer if a.name in ("weight", "facts")]
    nodes = [helper.make_node("Gemm", ["tail.pooled", "weight"], ["picture"])]
    inputs = [helper.make_tensor_value_info("tail.pooled", TensorProto.FLOAT, ["N", 8])]
    if size:
        nodes.append(helper.make_node("MatMul", ["metadata", "facts"], ["beside"]))
        nodes.append(helper.make_node("Add", ["picture", "beside"], ["logits"]))
        inputs.append(helper.make_tensor_value_info("metadata", TensorProto.FLOAT, ["N", size]))
    else:
        nodes[0].output[0] = "logits"
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3])]
    tail = helper.make_model(
        helper.make_graph(nodes, "tail", inputs, outputs, arrays),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=10,
    )
    helper.set_model_props(tail, {"layout": "NCHW"})
    data: bytes = tail.SerializeToString()
    return data


def _references(plain: Any, graph: bytes) -> dict[str, bytes | Path]:
    path = plain.path / "new.onnx"
    path.write_bytes(graph)
    engine = create_engine(path, "onnxruntime")
    found = []
    for reference in plain.references:
        pixels = to_pixels(reference.data, plain.info.preprocess)
        probabilities = engine.run(pixels[None])["probabilities"][0].tolist()
        scores = dict(zip(plain.info.labels, probabilities, strict=True))
        found.append(Reference(reference.name, reference.data, scores))
    return dict(reference_files(found))
