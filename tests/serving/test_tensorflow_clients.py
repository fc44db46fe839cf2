"""TensorFlow Serving's gRPC interface, and real clients: the published stubs, requests, curl."""

import asyncio
import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from in_thread import Ports, listening

from discern.model import load
from discern.serving.app import Parts, build_app, make_parts
from discern.serving.catalog import Catalog
from discern.serving.local import Opener
from discern.serving.protocols import tensorflow_grpc
from discern.serving.protocols.grpc_server import create_grpc_server
from discern.serving.protocols.messages import message
from discern.serving.settings import RequestLimits, ServeSettings
from discern.serving.single import SingleModel

ROOT = Path(__file__).parents[2]
STUBS = Path(__file__).with_name("tensorflow_stubs.py")
SETTINGS = ServeSettings(limits=RequestLimits(pictures=4))
SIDE, LABELS = 16, ["cat", "dog", "fish"]
PIXELS = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)
SHAPE = list(PIXELS.shape)
FLOAT, UINT8, STRING = 1, 4, 7
PREDICT = "tensorflow.serving.PredictionService/Predict"
METADATA = "tensorflow.serving.PredictionService/GetModelMetadata"
STATUS = "tensorflow.serving.ModelService/GetModelStatus"


@dataclass(frozen=True)
class Model:
    """A loaded model behind its catalog, and what its predictor says."""

    catalog: Catalog
    parts: Parts
    probabilities: Any  # of PIXELS, [2, 3]
    embedding: Any  # [2, 8]
    pictures: list[Path]
    by_picture: Any  # probabilities of the pictures, [3, 3]


@pytest.fixture
def model(served: Path, pictures: list[Path]) -> Iterator[Model]:
    predictor = load(served).predictor(engine="onnxruntime")
    outputs, few = predictor.engine.run(PIXELS), pictures[:3]
    scores = [[each.scores[label] for label in LABELS] for each in predictor.predict(few)]
    parts = make_parts(SETTINGS)
    catalog = SingleModel(served, Opener(parts.workers, SETTINGS, parts.metrics), parts.metrics)
    asyncio.run(catalog.start())
    yield Model(catalog, parts, outputs["probabilities"], outputs["embedding"], few, scores)
    parts.workers.close()


def rpc_server(model: Model) -> Any:
    services = tensorflow_grpc.grpc_services(model.catalog, SETTINGS, model.parts.metrics)
    return create_grpc_server(services, SETTINGS)


# gRPC messages, well made and otherwise


def call(model: Model, request: Any, method: str = PREDICT) -> Any:
    """The response, or the error."""

    async def run() -> Any:
        server = rpc_server(model)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                answer = await channel.unary_unary(f"/{method}")(request.SerializeToString())
            name = method.rpartition("/")[2]
            return message(f"tensorflow.serving.{name}Response").FromString(answer)
        except grpc.aio.AioRpcError as error:
            return error
        finally:
            await server.stop(None)

    return asyncio.run(run())


def tensor(dtype: int = UINT8, shape: list[int] = SHAPE, **values: Any) -> Any:
    sizes = {"dim": [{"size": size} for size in shape]}
    return message("tensorflow.TensorProto")(dtype=dtype, tensor_shape=sizes, **values)


def predict_request(
    images: Any = None, *, name: str = "images", filtered: tuple[str, ...] = (), **spec: Any
) -> Any:
    if images is None:
        images = tensor(tensor_content=PIXELS.tobytes())
    return message("tensorflow.serving.PredictRequest")(
        model_spec={"name": "pets"} | spec, inputs={name: images}, output_filter=filtered
    )


def values(tensor: Any) -> Any:
    shape = [dimension.size for dimension in tensor.tensor_shape.dim]
    assert tensor.dtype == FLOAT
    return np.array(tensor.float_val, np.float32).reshape(shape)


@pytest.mark.parametrize(
    "images",
    [
        tensor(tensor_content=PIXELS.tobytes()),
        tensor(int_val=PIXELS.ravel().tolist()),
    ],
)
def test_pixels_get_probabilities_as_float_val(model: Model, images: Any) -> None:
    answer = call(model, predict_request(images))
    assert list(answer.outputs) == ["probabilities"]
    np.testing.assert_allclose(values(answer.outputs["probabilities"]), model.probabilities, 1e-4)
    spec = answer.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("pets", 3, "serving_default")


def test_values_that_repeat_to_the_end_may_be_left_out(model: Model) -> None:
    one = [1, *SHAPE[1:]]
    grey = np.full(one, 7, np.uint8)
    short = call(model, predict_request(tensor(shape=one, int_val=[7])))
    whole = call(model, predict_request(tensor(shape=one, tensor_content=grey.tobytes())))
    assert short == whole


def test_encoded_pictures(model: Model) -> None:
    encoded = [path.read_bytes() for path in model.pictures]
    answer = call(model, predict_request(tensor(STRING, [3], string_val=encoded)))
    np.testing.assert_allclose(values(answer.outputs["probabilities"]), model.by_picture, 1e-4)


def test_signatures_and_filters_choose_outputs(model: Model) -> None:
    everything = call(model, predict_request(signature_name="all")).outputs
    assert sorted(everything) == ["embedding", "probabilities"]
    np.testing.assert_allclose(values(everything["embedding"]), model.embedding, 1e-4)
    named = call(model, predict_request(signature_name="embedding"))
    assert named.model_spec.signature_name == "embedding"
    chosen = call(model, predict_request(signature_name="all", filtered=("embedding",)))
    for outputs in (named.outputs, chosen.outputs):
        assert list(outputs) == ["embedding"]
        assert outputs["embedding"] == everything["embedding"]


def test_versions_and_models_that_are_not_there(model: Model) -> None:
    assert call(model, predict_request(version={"value": 3})).outputs
    for spec in (
        {"version": {"value": 9}},
        {"version": {"value": 0}},
        {"version": {"value": -1}},
        {"version_label": "stable"},
    ):
        for method in (PREDICT, METADATA, STATUS):
            kind = message(f"tensorflow.serving.{method.rpartition('/')[2]}Request")
            error = call(model, kind(model_spec={"name": "pets", **spec}), method)
            assert error.code() is grpc.StatusCode.NOT_FOUND
    unknown = message("tensorflow.serving.GetModelStatusRequest")(model_spec={"name": "dogs"})
    assert call(model, unknown, STATUS).code() is grpc.StatusCode.NOT_FOUND


def test_a_model_without_a_name_is_the_only_one(model: Model) -> None:
    request = message("tensorflow.serving.GetModelStatusRequest")()
    (status,) = call(model, request, STATUS).model_version_status
    assert (status.version, status.state, status.status.error_code) == (3, 30, 0)


REMEDY = (
    "send raw pixels from 0 to 255 as DT_UINT8 [N, 16, 16, 3], or encoded pictures as "
    "DT_STRING [N]. The model normalises them itself."
)
FLOATS = tensor(FLOAT, tensor_content=PIXELS.astype(np.float32).tobytes())


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (message("tensorflow.serving.PredictRequest")(), "The inputs are []; send one, 'images'"),
        (predict_request(FLOATS), f"images has the type DT_FLOAT; {REMEDY}"),
        (
            predict_request(FLOATS, name="input_8"),
            "The inputs are ['input_8']; send one, 'images': raw pixels from 0 to 255 as DT_UINT8",
        ),
        (predict_request(tensor(0)), "images has the type DT_INVALID; send raw"),
        (predict_request(tensor(99)), "images has the type 99; send raw"),
        (predict_request(tensor()), "images has 0 values; its shape [2, 16, 16, 3] needs 1,536."),
        (predict_request(tensor(tensor_content=b"abc")), "images has 3 bytes; its shape"),
        (predict_request(tensor(int_val=[0] * 1537)), "images has 1,537 values; its shape"),
        (predict_request(tensor(int_val=[256])), "images must hold whole numbers from 0 to 255."),
        (predict_request(tensor(int_val=[-1])), "images must hold whole numbers from 0 to 255."),
        (predict_request(tensor(shape=[16, 16, 3])), "expected [N, 16, 16, 3]"),
        (predict_request(tensor(shape=[])), "images has the shape []; expected [N, 16, 16, 3]"),
        (predict_request(tensor(shape=[-1, 16, 16, 3])), "send at least one picture"),
        (predict_request(tensor(shape=[0, 16, 16, 3])), "send at least one picture"),
        (predict_request(tensor(shape=[2**62, 16, 16, 3])), "at most 4 are allowed"),
        (predict_request(tensor(STRING, [])), "images has the shape []; expected [N]."),
        (predict_request(tensor(STRING, [5], string_val=[b""] * 5)), "at most 4 are allowed"),
        (predict_request(tensor(STRING, [2], string_val=[b""])), "images has 1 strings; its shape"),
        (predict_request(tensor(STRING, [1], string_val=[b"x"])), "picture 0: "),
        (
            predict_request(signature_name="logits"),
            "There is no signature 'logits'; the model has serving_default, embedding, all.",
        ),
        (
            predict_request(filtered=("embedding",)),
            "There is no output 'embedding' in the signature 'serving_default', which gives "
            "probabilities; the signature 'all' gives probabilities, embedding.",
        ),
    ],
)
def test_malformed_messages_get_exact_words(model: Model, request_: Any, words: str) -> None:
    error = call(model, request_)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert words in error.details()


def test_a_shape_of_unknown_rank(model: Model) -> None:
    images = tensor(int_val=[0])
    images.tensor_shape.unknown_rank = True
    assert "unknown rank" in call(model, predict_request(images)).details()


@pytest.mark.parametrize("fields", [[], ["x"], ["signature_def", "x"]])
def test_metadata_that_is_not_there(model: Model, fields: list[str]) -> None:
    kind = message("tensorflow.serving.GetModelMetadataRequest")
    error = call(model, kind(model_spec={"name": "pets"}, metadata_field=fields), METADATA)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "ask for 'signature_def'" in error.details()


# Real clients, over real sockets


@pytest.fixture
def ports(model: Model) -> Iterator[Ports]:
    with listening(build_app(model.catalog, model.parts), lambda: rpc_server(model)) as found:
        yield found


def curl(*arguments: str, body: object = None) -> Any:
    """The answer's JSON to what curl sends, with the status as `curl`."""
    data = ["--data-binary", "@-"] if body is not None else []
    done = subprocess.run(
        ["curl", "-sS", "-w", "\n%{http_code}", *arguments, *data],
        input=json.dumps(body),
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    text, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(text)


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
def test_curl(model: Model, ports: Ports) -> None:
    base = f"http://127.0.0.1:{ports.http}/v1/models/pets"
    status, answer = curl(base)
    assert (status, answer["model_version_status"][0]["state"]) == (200, "AVAILABLE")
    encoded = [{"b64": base64.b64encode(path.read_bytes()).decode()} for path in model.pictures]
    status, answer = curl(f"{base}:predict", body={"instances": encoded})
    assert status == 200
    np.testing.assert_allclose(answer["predictions"], model.by_picture, atol=1e-5)
    document = {"inputs": {"images": PIXELS.tolist()}}
    status, answer = curl(f"{base}/versions/3:predict", body=document)
    np.testing.assert_allclose(answer["outputs"], model.probabilities, atol=1e-5)
    status, answer = curl(f"{base}:predict", body={"instances": [[0.5]]})
    assert (status, list(answer)) == (400, ["error"])


def clients_python() -> str | None:
    """An interpreter that has the clients which do not install beside discern."""
    local = ROOT / ".venv-clients/bin/python"
    return os.environ.get("DISCERN_CLIENTS_PYTHON") or (str(local) if local.exists() else None)


@pytest.fixture
def found(model: Model, ports: Ports, tmp_path: Path) -> dict[str, Any]:
    """What the stubs' client got."""
    np.save(tmp_path / "pixels.npy", PIXELS)
    places = [str(ports.http), str(ports.grpc), str(tmp_path / "pixels.npy")]
    done = subprocess.run(
        [str(clients_python()), str(STUBS), *places, *map(str, model.pictures)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    answers: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answers


def _bare(signature: dict[str, Any]) -> dict[str, Any]:
    """A signature of the REST interface without the defaults that protobuf's JSON leaves out."""
    text = json.dumps(signature).replace(', "name": ""', "").replace(', "unknown_rank": false', "")
    bare: dict[str, Any] = json.loads(text)
    return bare


@pytest.mark.skipif(clients_python() is None, reason="no stubs: `make clients` installs them")
def test_the_published_stubs(model: Model, found: dict[str, Any]) -> None:
    for way in ("pixels", "rest"):
        np.testing.assert_allclose(found[way], model.probabilities, atol=1e-5)
    np.testing.assert_allclose(found["pictures"], model.by_picture, atol=1e-5)
    assert found["float_val"] == [score for row in found["pixels"] for score in row]
    assert (found["version"], found["embedding"]) == (3, [3, 8])
    assert found["grey"][0] == found["grey"][1]
    assert found["float"] == ["INVALID_ARGUMENT", f"images has the type DT_FLOAT; {REMEDY}"]
    assert found["unknown"] == ["NOT_FOUND", "There is no model 'dogs'; 'pets' is served."]
    (status,) = found["status"]["model_version_status"]
    assert (status["version"], status["state"]) == ("3", "AVAILABLE")
    assert sorted(found["signatures"]["signature_def"]) == ["all", "embedding", "serving_default"]
    assert found["signatures"] == _bare(found["rest metadata"])
