"""TensorFlow Serving's JSON: the pictures that a request holds, and the answer.

Everything that reads raises RequestError, in words that name what would have fitted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from discern.errors import RequestError
from discern.model import ModelInfo
from discern.runtime import Prediction
from discern.runtime.engine import METADATA, Images, Metadata, Outputs
from discern.serving.catalog import Servable
from discern.serving.protocols import tensorflow_serving as tfs
from discern.serving.protocols import tensors
from discern.serving.protocols.encoded_pictures import Pictures, Question
from discern.serving.protocols.tensors import shown

ROWS, COLUMNS, EXAMPLES, BASE64 = "instances", "inputs", "examples", "b64"
ENCODED = '{"b64": "BASE64"}'
IMAGE = "image"  # what an example may call its picture, as well as by the input's own name


@dataclass(frozen=True)
class Asked:
    """What a predict request asks: which outputs for which pictures, by rows or by columns."""

    question: Question
    outputs: tuple[str, ...]
    columns: bool


def read_predict(document: Mapping[str, Any], servable: Servable, at_most: int) -> Asked:
    """A predict request in row form ("instances") or column form ("inputs")."""
    outputs = tfs.outputs_of(servable.info, _signature(document))
    if (ROWS in document) == (COLUMNS in document):
        raise RequestError('Send either "instances", a list of pictures, or "inputs".')
    where = COLUMNS if COLUMNS in document else ROWS
    values, rows = _columns(document, servable) if where == COLUMNS else _rows(document, servable)
    pictures = _pictures(where, values, servable.info, at_most)
    question = Question(pictures, _metadata(rows, len(pictures), servable))
    return Asked(question, outputs, where == COLUMNS)


def _columns(document: Mapping[str, Any], servable: Servable) -> tuple[list[Any], Any]:
    """The values of all pictures, and the rows of what is known beside them, or None."""
    values, rows = _inputs(COLUMNS, document[COLUMNS], servable)
    return _listed(COLUMNS, values), rows


def _rows(document: Mapping[str, Any], servable: Servable) -> tuple[list[Any], Any]:
    """As `_columns`; where nothing is said beside one of the pictures, its row is zeros."""
    instances = _listed(ROWS, document[ROWS])
    pairs = [_inputs(f"{ROWS}[{i}]", value, servable) for i, value in enumerate(instances)]
    if all(row is None for _, row in pairs) or servable.facts is None:
        return [value for value, _ in pairs], None
    nothing = [0.0] * servable.facts.spec.size
    return [value for value, _ in pairs], [nothing if row is None else row for _, row in pairs]


def _listed(where: str, values: Any) -> list[Any]:
    if not isinstance(values, list):
        raise RequestError(f"{where} must be a list of pictures, even if there is only one.")
    return values


def read_classify(document: Mapping[str, Any], info: ModelInfo, at_most: int) -> list[bytes]:
    """The encoded pictures of a classify request: {"examples": [{"image": {"b64": …}}]}."""
    if (signature := _signature(document)) not in ("", tfs.DEFAULT):
        raise RequestError(
            f"The signature {shown(signature)} does not classify; leave it out, or name "
            f"{tfs.DEFAULT!r}."
        )
    examples = document.get(EXAMPLES)
    if not isinstance(examples, list) or not all(isinstance(e, dict) for e in examples):
        raise RequestError(f'Send "examples", a list of {{"image": {ENCODED}}}.')
    name = info.inputs[0]
    return _encoded(EXAMPLES, [e.get(name, e.get(IMAGE)) for e in examples], at_most)


def predict_answer(asked: Asked, outputs: Outputs) -> dict[str, Any]:
    """The outputs asked for; a single one stands without its name, as TensorFlow Serving's do."""
    columns = {name: outputs[name].tolist() for name in asked.outputs}
    key = "outputs" if asked.columns else "predictions"
    if len(columns) == 1:
        return {key: next(iter(columns.values()))}
    if asked.columns:
        return {key: columns}
    rows = zip(*columns.values(), strict=True)
    return {key: [dict(zip(columns, row, strict=True)) for row in rows]}


def classify_answer(info: ModelInfo, outputs: Outputs) -> dict[str, Any]:
    """Every picture's labels with their scores, best first.

    TensorFlow Serving documents `result`, and sends `results`. Both are here.
    """
    predictions = [Prediction.of(info.labels, row) for row in outputs[tfs.MAIN_OUTPUT]]
    results = [list(prediction.scores.items()) for prediction in predictions]
    return {"results": results, "result": results}


def _signature(document: Mapping[str, Any]) -> str:
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise RequestError("signature_name must be a text.")
    return name


def _inputs(where: str, value: Any, servable: Servable) -> tuple[Any, Any]:
    """What stands for pictures: the value itself, or its member of that name; and metadata."""
    if not isinstance(value, dict) or BASE64 in value:
        return value, None
    expected, beside = servable.info.inputs[0], set() if servable.facts is None else {METADATA}
    if value.keys() - beside != {expected}:
        raise RequestError(f"{where} has the inputs {shown(list(value))}; send {expected!r} only.")
    return value[expected], value.get(METADATA)


def _metadata(rows: Any, pictures: int, servable: Servable) -> Metadata | None:
    """Encoded facts [N, M], of nested lists."""
    if rows is None or servable.facts is None:
        return None
    shape = (pictures, servable.facts.spec.size)
    if not isinstance(rows, list) or tuple(_shape(rows)) != shape:
        raise RequestError(
            f"{METADATA} has the shape {shown(_shape(rows))}; expected {list(shape)}."
        )
    return tensors.floats_from_values(METADATA, _flat(METADATA, rows, shape), shape)


def _pictures(where: str, values: list[Any], info: ModelInfo, at_most: int) -> Pictures:
    """Encoded pictures or pixels; the first one tells which they all have to be."""
    if values and isinstance(values[0], dict | str):
        return _encoded(where, values, at_most)
    return _pixels(where, values, info, at_most)


def _encoded(where: str, values: list[Any], at_most: int) -> list[bytes]:
    tensors.batch_shape(where, [len(values)], (), at_most)
    texts = [_base64(f"{where}[{i}]", value) for i, value in enumerate(values)]
    return tensors.strings_from_base64(where, texts, len(texts))


def _base64(where: str, value: Any) -> str:
    if isinstance(value, dict) and value.keys() == {BASE64} and isinstance(value[BASE64], str):
        return str(value[BASE64])
    raise RequestError(f"{where} is not an encoded picture; expected {ENCODED}.")


def _pixels(where: str, values: list[Any], info: ModelInfo, at_most: int) -> Images:
    spec = info.preprocess
    shape = tensors.batch_shape(where, _shape(values), (spec.height, spec.width, 3), at_most)
    flat = _flat(where, values, shape)
    if set(map(type, flat)) != {int}:  # true is no pixel, and 1.0 may be a normalised one
        raise _no_pixels(where)
    try:
        return tensors.pixels_from_values(where, flat, shape)
    except RequestError as exc:
        raise _no_pixels(where) from exc


def _no_pixels(where: str) -> RequestError:
    return RequestError(
        f"{where} must hold raw pixels, whole numbers from 0 to 255. {tfs.NORMALISES}"
    )


def _shape(values: Any) -> list[int]:
    """The shape that nested lists have if all are like the first."""
    shape = []
    while isinstance(values, list):
        shape.append(len(values))
        values = values[0] if values else None
    return shape


def _flat(where: str, values: list[Any], shape: Sequence[int]) -> list[Any]:
    """The values of nested lists of this shape, every one of which is checked to have it."""
    for size in shape[1:]:
        if set(map(type, values)) != {list} or set(map(len, values)) != {size}:
            raise RequestError(
                f"{where} has lists of different lengths; expected the shape {list(shape)}."
            )
        values = list(chain.from_iterable(values))
    return values
