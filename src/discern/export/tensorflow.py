"""SavedModel for TensorFlow Serving and LiteRT for devices, made and proved by `tensorflow_worker`.

`tensorflow_graph` brings the graph to TensorFlow, AI Edge Quantizer makes its weights smaller; both
run in an environment of their own.
"""

from functools import partial
from pathlib import Path

from discern.errors import EngineError, ExportError
from discern.export.environments import Say, environment
from discern.export.form import Conversion, Form, Precision
from discern.export.remote import RemoteEngine, Worker
from discern.progress import SILENT

NAME = "tensorflow"
SCRIPT = Path(__file__).with_name("tensorflow_worker.py")


def prepare(say: Say) -> None:
    """Make the environment, if it is not there yet."""
    environment(NAME, say)


def _worker() -> Worker:
    return Worker(environment(NAME, SILENT.say), SCRIPT)


def _convert(form: str, conversion: Conversion) -> None:
    arrays = {"calibration": conversion.calibrated_on()} if form == "litert-int8" else {}
    spec = conversion.model.info.preprocess
    try:
        _worker().ask(
            "convert",
            arrays,
            form=form,
            source=str(conversion.model.graph.absolute()),
            target=str(conversion.graph.absolute()),
            height=spec.height,
            width=spec.width,
        )
    except EngineError as exc:
        reason = str(exc).partition("\n")[0]  # TensorFlow adds the whole graph
        raise ExportError(f"{form}: the graph cannot be converted to TensorFlow. {reason}") from exc


def _open(runtime: str, precision: str, graph: Path) -> RemoteEngine:
    return RemoteEngine(_worker(), runtime, precision, graph)


def _form(name: str, precision: Precision, graph: str, runtime: str, about: str) -> Form:
    return Form(
        name,
        precision,
        graph,
        about,
        partial(_convert, name),
        partial(_open, runtime, precision),
        prepare,
    )


LITE = "model.tflite"
FORMS: tuple[Form, ...] = (
    _form("saved-model", "f32", "1", "tensorflow", "TensorFlow and TensorFlow Serving"),
    _form("litert", "f32", LITE, "litert", "LiteRT (TensorFlow Lite), on devices"),
    _form("litert-fp16", "f16", LITE, "litert", "the same, at half the size"),
    _form("litert-int8", "int8", LITE, "litert", "the same, at a third of it, and quicker"),
)
