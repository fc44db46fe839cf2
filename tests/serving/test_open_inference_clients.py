"""The Open Inference Protocol over gRPC, and the real clients over HTTP and gRPC."""

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from in_thread import Ports, listening
from open_inference_model import LABELS, PIXELS, SETTINGS, Served, serve

from discern.serving.metrics import Metrics
from discern.serving.protocols import open_inference_grpc
from discern.serving.protocols.grpc_server import create_grpc_server
from discern.serving.protocols.messages import message

ROOT = Path(__file__).parents[2]


@pytest.fixture
def served(model_folder: Path, pictures: list[Path]) -> Iterator[Served]:
    with serve(model_folder, pictures) as model:
        yield model


# gRPC messages that no client would write


def call(served: Served, request: Any, method: str = "ModelInfer") -> Any:
    """The response, or the error."""

    async def run() -> Any:
        service = open_inference_grpc.grpc_service(
            served.catalog, lambda: True, SETTINGS, Metrics()
        )
        server = create_grpc_server([service], SETTINGS)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                path = f"/{open_inference_grpc.SERVICE}/{method}"
                answer = await channel.unary_unary(path)(request.SerializeToString())
                return message(f"inference.{method}Response").FromString(answer)
        except grpc.aio.AioRpcError as error:
            return error
        finally:
            await server.stop(None)

    return asyncio.run(run())


def infer_request(raw: list[bytes] | None = None, **tensor: Any) -> Any:
    entry = {"name": "images", "datatype": "UINT8", "shape": list(PIXELS.shape)} | tensor
    return message("inference.ModelInferRequest")(
        model_name="my-model", id="7", inputs=[entry], raw_input_contents=raw or []
    )


def test_typed_contents_are_answered_typed(served: Served) -> None:
    contents = {"uint_contents": PIXELS.ravel().tolist()}
    answer = call(served, infer_request(contents=contents))
    assert answer.id == "7"
    assert not answer.raw_output_contents
    probabilities = answer.outputs[0].contents.fp32_contents
    assert list(probabilities) == served.probabilities.ravel().tolist()


def test_typed_pictures_and_labels(served: Served) -> None:
    contents = {"bytes_contents": served.pictures}
    request = infer_request(datatype="BYTES", shape=[3], contents=contents)
    request.outputs.add(name="label")
    answer = call(served, request)
    names = [LABELS[i].encode() for i in served.by_picture.argmax(1)]
    assert list(answer.outputs[0].contents.bytes_contents) == names


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (infer_request(), "0 values; its shape"),
        (infer_request([b"abc"]), "3 bytes; its shape"),
        (infer_request([b"", b""]), "send one of the two, for each input once"),
        (
            infer_request([b""], contents={"uint_contents": [1]}),
            "send one of the two, for each input once",
        ),
        (infer_request(contents={"uint_contents": [2**32 - 1]}), "from 0 to 255"),
        (infer_request([b""], shape=[-(2**63), 2**62, 3, 3]), "expected [N, 16, 16, 3]"),
        (infer_request([b""], shape=[2**62, 16, 16, 3]), "at most 4 are allowed"),
        (infer_request([b""], name="x"), "There is no input 'x'"),
        (infer_request([b""], datatype=""), "has the datatype ''"),
        (infer_request([b"\x09\0\0\0a"], datatype="BYTES", shape=[1]), "ends within string 0"),
        (infer_request(datatype="BYTES", shape=[1]), "0 strings; its shape [1]"),
    ],
)
def test_malformed_messages_get_exact_words(served: Served, request_: Any, words: str) -> None:
    error = call(served, request_)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert words in error.details()


def test_models_that_are_not_there_are_not_ready(served: Served) -> None:
    kind = message("inference.ModelReadyRequest")
    assert call(served, kind(name="my-model", version="1"), "ModelReady").ready
    assert not call(served, kind(name="dogs"), "ModelReady").ready
    kind = message("inference.ModelMetadataRequest")
    assert call(served, kind(name="dogs"), "ModelMetadata").code() is grpc.StatusCode.NOT_FOUND


# The real clients, over real sockets


@pytest.fixture
def ports(served: Served) -> Iterator[Ports]:
    def make_rpc() -> Any:
        service = open_inference_grpc.grpc_service(
            served.catalog, lambda: True, SETTINGS, Metrics()
        )
        return create_grpc_server([service], SETTINGS)

    with listening(served.app, make_rpc) as found:
        yield found


def _triton_inputs(client: Any, served: Served) -> Any:
    pixels = client.InferInput("images", list(PIXELS.shape), "UINT8")
    pixels.set_data_from_numpy(PIXELS)
    encoded = client.InferInput("images", [len(served.pictures)], "BYTES")
    encoded.set_data_from_numpy(np.array(served.pictures, dtype=object))
    return pixels, encoded


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_tritonclient(served: Served, ports: Ports, kind: str) -> None:
    module: Any = pytest.importorskip(f"tritonclient.{kind}")
    with closing(module.InferenceServerClient(f"127.0.0.1:{getattr(ports, kind)}")) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("my-model")
        assert client.is_model_ready("my-model", "1")
        assert not client.is_model_ready("dogs")
        pixels, encoded = _triton_inputs(module, served)
        answer = client.infer("my-model", [pixels], request_id="7")
        assert (answer.as_numpy("probabilities") == served.probabilities).all()
        assert (answer.as_numpy("embedding") == served.embedding).all()
        outputs = [module.InferRequestedOutput(name) for name in ("label", "probabilities")]
        answer = client.infer("my-model", [encoded], model_version="1", outputs=outputs)
        names = [LABELS[i].encode() for i in served.by_picture.argmax(1)]
        assert answer.as_numpy("label").tolist() == names
        np.testing.assert_allclose(answer.as_numpy("probabilities"), served.by_picture, atol=1e-6)
        with pytest.raises(Exception, match="There is no output 'logits'"):
            client.infer("my-model", [pixels], outputs=[module.InferRequestedOutput("logits")])
        with pytest.raises(Exception, match="There is no model 'dogs'"):
            client.infer("dogs", [pixels])


def test_tritonclient_http_with_json_tensors(served: Served, ports: Ports) -> None:
    module: Any = pytest.importorskip("tritonclient.http")
    with closing(module.InferenceServerClient(f"127.0.0.1:{ports.http}")) as client:
        pixels = module.InferInput("images", list(PIXELS.shape), "UINT8")
        pixels.set_data_from_numpy(PIXELS, binary_data=False)
        wanted = [
            module.InferRequestedOutput(name, binary_data=False) for name in ("label", "embedding")
        ]
        answer = client.infer("my-model", [pixels], outputs=wanted)
        np.testing.assert_allclose(answer.as_numpy("embedding"), served.embedding, rtol=1e-6)
        assert client.get_model_metadata("my-model")["platform"] == "onnx"
        assert client.get_server_metadata()["name"] == "discern"
        assert client.get_model_repository_index()[0]["state"] == "READY"


KSERVE = """
import asyncio, json, sys
import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig

async def main(http, grpc, pictures):
    pixels = np.load(sys.argv[4])
    found = {}
    rest = InferenceRESTClient(config=RESTConfig(protocol="v2"))
    rpc = InferenceGRPCClient(f"127.0.0.1:{grpc}")
    base = f"http://127.0.0.1:{http}"
    found["rest up"] = [await rest.is_server_live(base), await rest.is_server_ready(base)]
    found["rest up"].append(await rest.is_model_ready(base, "my-model"))
    found["grpc up"] = [await rpc.is_server_live(), await rpc.is_server_ready()]
    found["grpc up"].append(await rpc.is_model_ready("my-model"))
    for binary in (True, False):
        entry = InferInput("images", list(pixels.shape), "UINT8")
        entry.set_data_from_numpy(pixels, binary_data=binary)
        for name in ("rest", "grpc"):
            if name == "grpc" and not binary:
                entry = InferInput("images", list(pixels.shape), "UINT8", pixels.ravel().tolist())
            question = InferRequest("my-model", [entry], request_id="7")
            if name == "rest":
                answer = await rest.infer(base, question, model_name="my-model")
            else:
                answer = await rpc.infer(question)
            assert answer.id == "7", answer.id
            found[f"{name} {binary}"] = answer.outputs[0].as_numpy().tolist()
    entry = InferInput("images", [len(pictures)], "BYTES")
    entry.set_data_from_numpy(np.array(pictures, dtype=object))
    question = InferRequest("my-model", [entry])
    answer = await rest.infer(base, question, model_name="my-model")
    found["rest pictures"] = answer.outputs[0].as_numpy().tolist()
    answer = await rpc.infer(question)
    found["grpc pictures"] = answer.outputs[0].as_numpy().tolist()
    try:
        await rest.infer(base, question, model_name="dogs")
    except Exception as error:
        found["rest error"] = str(error)
    await rest.close()
    await rpc.close()
    print(json.dumps(found))

asyncio.run(main(sys.argv[1], sys.argv[2], [open(p, "rb").read() for p in sys.argv[5:]]))
"""


def clients_python() -> str | None:
    """An interpreter that has the clients which do not install beside discern."""
    local = ROOT / ".venv-clients/bin/python"
    return os.environ.get("DISCERN_CLIENTS_PYTHON") or (str(local) if local.exists() else None)


@pytest.mark.skipif(clients_python() is None, reason="no kserve: `make clients` installs it")
def test_kserve(served: Served, ports: Ports, pictures: list[Path], tmp_path: Path) -> None:
    np.save(tmp_path / "pixels.npy", PIXELS)
    places = [str(ports.http), str(ports.grpc), "-", str(tmp_path / "pixels.npy")]
    done = subprocess.run(
        [str(clients_python()), "-c", KSERVE, *places, *map(str, pictures[:3])],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["rest up"] == found["grpc up"] == [True] * 3
    for way in ("rest True", "rest False", "grpc True", "grpc False"):
        np.testing.assert_allclose(found[way], served.probabilities, atol=1e-6)
    for way in ("rest pictures", "grpc pictures"):
        np.testing.assert_allclose(found[way], served.by_picture, atol=1e-6)
    assert "There is no model 'dogs'" in found["rest error"]
