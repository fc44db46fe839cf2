"""What `worker` can do in the environment with TensorFlow: make, open and run its forms.

Imports nothing of discern, and its own libraries only when asked for them: they take seconds.
"""

import importlib.util
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

# Read by TensorFlow and tqdm when they are imported.
os.environ.update(CUDA_VISIBLE_DEVICES="-1", TF_CPP_MIN_LOG_LEVEL="2", TQDM_DISABLE="1")

OUTPUTS = ("probabilities", "embedding")
Arrays = dict[str, "np.ndarray[Any, Any]"]
Run = Callable[..., Any]
opened: list[Run] = []


def convert(values: dict[str, Any], arrays: Arrays) -> tuple[dict[str, Any], Arrays]:
    """Write the ONNX graph `source` to `target`, as `form` says."""
    source, target = values["source"], Path(values["target"])
    network = _network(source, values["height"], values["width"])
    if values["form"] == "saved-model":
        _save(network, target)
        return {}, {}
    graph = _lite(network)
    if values["form"] == "litert-fp16":
        graph = _halved(graph)
    if values["form"] == "litert-int8":
        graph = _quantised(graph, _samples(network, arrays["calibration"]))
    target.write_bytes(graph)
    return {}, {}


def _network(source: str, height: int, width: int) -> Any:
    """The network of an ONNX graph, as `tensorflow_graph` brings it to TensorFlow."""
    import onnx

    return _beside("tensorflow_graph").Network(onnx.load(source), {"images": [height, width, 3]})


def _beside(name: str) -> Any:
    """A package of this folder. The folder stays off the path: it has a tensorflow.py as well."""
    folder = Path(__file__).with_name(name)
    if name not in sys.modules:
        found = importlib.util.spec_from_file_location(
            name, folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        assert found is not None
        assert found.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(found)
        found.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def _signature(network: Any, batch: int | None) -> Any:
    """The network as a function of tensors by name, for this many pictures at once."""
    import tensorflow as tf  # type: ignore[import-untyped]

    inputs = [
        tf.TensorSpec([batch, *tensor.shape[1:]], tensor.dtype, name=tensor.name)
        for tensor in network.inputs
    ]

    def answer(*tensors: Any) -> Any:
        named = zip((tensor.name for tensor in inputs), tensors, strict=True)
        outputs = network(dict(named))
        return {name: tf.identity(outputs[name], name=name) for name in OUTPUTS}

    return tf.function(answer, input_signature=inputs, autograph=False)


def _save(network: Any, target: Path) -> None:
    import tensorflow as tf

    signatures = {"serving_default": _signature(network, None)}
    tf.saved_model.save(tf.Module(), str(target), signatures=signatures)


def _lite(network: Any) -> bytes:
    """A LiteRT file of one picture at a time: with a free batch, no kernel is prepared ahead."""
    import tensorflow as tf

    signatures = {"serving_default": _signature(network, 1)}
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(tf.Module(), folder, signatures=signatures)
        return bytes(tf.lite.TFLiteConverter.from_saved_model(folder).convert())


def _halved(graph: bytes) -> bytes:
    """Weights in f16 where they are many. Depthwise kernels and biases stay: they are a few
    hundredths of the bytes, and rounding them did four fifths of the harm to MobileNetV2."""
    from ai_edge_quantizer import qtyping, quantizer  # type: ignore[import-not-found]

    half = qtyping.OpQuantizationConfig(
        weight_tensor_config=qtyping.TensorQuantizationConfig(
            num_bits=16, dtype=qtyping.TensorDataType.FLOAT
        ),
        compute_precision=qtyping.ComputePrecision.FLOAT,
        explicit_dequantize=True,
    )
    making = quantizer.Quantizer(graph)
    for operation in ("CONV_2D", "FULLY_CONNECTED"):
        kind = qtyping.TFLOperationName[operation]
        making.update_quantization_recipe(".*", kind, half, algorithm_key="float_casting")
    return bytes(making.quantize().quantized_model)


def _quantised(graph: bytes, samples: Iterator[Arrays]) -> bytes:
    """Weights and activations in int8, each channel of weights by its own scale. The head stays
    in floats: roots, quotients and probabilities in 256 steps cost accuracy and save nothing."""
    from ai_edge_quantizer import (
        qtyping,
        quantizer,
        recipe,
    )

    making = quantizer.Quantizer(graph)
    making.load_quantization_recipe(recipe.static_wi8_ai8())
    kinds = qtyping.TFLOperationName
    for end in (kinds.INPUT, kinds.OUTPUT):
        making.update_quantization_recipe(".*", end, algorithm_key="no_quantize")
    for name in _head(graph):
        making.update_quantization_recipe(
            re.escape(name), kinds.ALL_SUPPORTED, algorithm_key="no_quantize"
        )
    ranges = making.calibrate({"serving_default": list(samples)}, num_threads=1)
    return bytes(making.quantize(ranges).quantized_model)


def _head(graph: bytes) -> Iterator[str]:
    """The embedding, and the tensors that are made from it or from facts beside the picture."""
    from ai_edge_litert.interpreter import (  # type: ignore[import-not-found]
        Interpreter,
        OpResolverType,
    )

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES  # each operation as it is in the file
    interpreter = Interpreter(model_content=graph, experimental_op_resolver_type=plain)
    names = {tensor["index"]: tensor["name"] for tensor in interpreter.get_tensor_details()}
    runner = interpreter.get_signature_runner("serving_default")
    embedding = runner.get_output_details()["embedding"]["index"]
    yield names[embedding]  # as an output in int8, it comes out empty
    facts = (tensor for name, tensor in runner.get_input_details().items() if name == "metadata")
    made = {embedding, *(tensor["index"] for tensor in facts)}  # calibrated on unknown facts
    for operation in interpreter._get_ops_details():  # in the order in which they are run
        if made & set(operation["inputs"].tolist()):
            made |= set(operation["outputs"].tolist())
            yield from (names[index] for index in operation["outputs"])


def _samples(network: Any, images: "np.ndarray[Any, Any]") -> Iterator[Arrays]:
    """One picture at a time, with nothing known beside it."""
    beside = {
        tensor.name: np.zeros([1, *tensor.shape[1:]], np.float32)
        for tensor in network.inputs
        if tensor.name != "images"
    }
    for image in images:
        yield {"images": image[None], **beside}


def open_graph(values: dict[str, Any], _arrays: Arrays) -> tuple[dict[str, Any], Arrays]:
    """Load a SavedModel, a folder, or a LiteRT file, to be run on one thread."""
    load = _open_saved_model if Path(values["graph"]).is_dir() else _open_lite
    version, shapes, run = load(values["graph"])
    opened[:] = [run]
    metadata = shapes.get("metadata", (0, 0))
    return {"version": version, "metadata_size": int(metadata[1])}, {}


def _open_saved_model(path: str) -> tuple[str, dict[str, Any], Run]:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    loaded = tf.saved_model.load(path)
    signature = loaded.signatures["serving_default"]
    shapes = {
        name: tuple(spec.shape) for name, spec in signature.structured_input_signature[1].items()
    }

    def run(**inputs: Any) -> Any:
        _ = loaded  # holds the weights
        outputs = signature(**{name: tf.constant(value) for name, value in inputs.items()})
        return {name: value.numpy() for name, value in outputs.items()}

    return f"TensorFlow {tf.__version__}", shapes, run


def _open_lite(path: str) -> tuple[str, dict[str, Any], Run]:
    from importlib.metadata import version

    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=path, num_threads=1)
    runner = interpreter.get_signature_runner("serving_default")
    shapes = {name: tensor["shape"] for name, tensor in runner.get_input_details().items()}
    return f"LiteRT {version('ai-edge-litert')}", shapes, runner


def run_graph(_values: dict[str, Any], arrays: Arrays) -> tuple[dict[str, Any], Arrays]:
    """The outputs of the graph that was opened."""
    outputs = opened[0](**arrays)
    return {}, {name: np.asarray(outputs[name], np.float32) for name in OUTPUTS}


COMMANDS = {"convert": convert, "open": open_graph, "run": run_graph}
