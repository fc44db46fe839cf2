"""The Open Inference Protocol over HTTP: its tensors, and what malformed requests get."""

import asyncio
import base64
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from open_inference_model import LABELS, PIXELS, SETTINGS, SIDE, Served, app_over, serve

from discern.errors import OverloadedError, PictureFormatError, RequestError
from discern.serving.local import Opener
from discern.serving.metrics import Metrics
from discern.serving.protocols import tensors
from discern.serving.protocols.encoded_pictures import run_encoded
from discern.serving.settings import QueueSettings
from discern.serving.single import SingleModel
from discern.serving.workers import Workers

LENGTH = "Inference-Header-Content-Length"
INFER = "/v2/models/my-model/infer"


@pytest.fixture
def served(model_folder: Path, pictures: list[Path]) -> Iterator[Served]:
    with serve(model_folder, pictures) as model:
        yield model


# In this process, without a socket: what is refused, and how


def send(
    served: Served, method: str, path: str, content: bytes = b"", headers: Mapping[str, str] = {}
) -> httpx.Response:
    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(served.app, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.request(method, path, content=content, headers=dict(headers))

    return asyncio.run(run())


def infer(served: Served, document: object, binary: bytes | None = None) -> httpx.Response:
    text = json.dumps(document).encode()
    if binary is None:
        return send(served, "POST", INFER, text)
    return send(served, "POST", INFER, text + binary, {LENGTH: str(len(text))})


def pixels_input(**changes: Any) -> dict[str, Any]:
    entry = {"name": "images", "datatype": "UINT8", "shape": list(PIXELS.shape)}
    return entry | changes


def error(response: httpx.Response) -> str:
    assert response.status_code in (400, 404, 413, 415, 422), response.text
    (key, text), *rest = response.json().items()
    assert (key, rest) == ("error", [])
    return str(text)


@pytest.mark.parametrize("nested", [True, False])
def test_json_pixels_flat_or_nested(served: Served, nested: bool) -> None:
    data = PIXELS.tolist() if nested else PIXELS.ravel().tolist()
    response = infer(served, {"id": "7", "inputs": [pixels_input(data=data)]})
    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer["id"] == "7"
    assert (answer["model_name"], answer["model_version"]) == ("my-model", "1")
    first, second = answer["outputs"]
    assert (first["name"], first["datatype"], first["shape"]) == ("probabilities", "FP32", [2, 3])
    np.testing.assert_allclose(first["data"], served.probabilities.ravel(), atol=1e-6)
    assert (second["name"], second["shape"]) == ("embedding", [2, 8])


def test_json_pictures_in_base64_and_labels_by_name(served: Served) -> None:
    data = [base64.b64encode(picture).decode() for picture in served.pictures]
    entry = {"name": "images", "datatype": "BYTES", "shape": [3], "data": data}
    outputs = [{"name": "label"}, {"name": "probabilities"}]
    answer = infer(served, {"inputs": [entry], "outputs": outputs}).json()
    assert "id" not in answer
    label, probabilities = answer["outputs"]
    assert (label["datatype"], label["shape"]) == ("BYTES", [3])
    assert label["data"] == [LABELS[i] for i in served.by_picture.argmax(1)]
    np.testing.assert_allclose(probabilities["data"], served.by_picture.ravel(), atol=1e-6)


def test_binary_in_and_out_as_each_output_asks(served: Served) -> None:
    document = {
        "inputs": [pixels_input(parameters={"binary_data_size": PIXELS.nbytes})],
        "parameters": {"binary_data_output": True},
        "outputs": [
            {"name": "probabilities"},
            {"name": "embedding", "parameters": {"binary_data": False}},
            {"name": "label"},
        ],
    }
    response = infer(served, document, PIXELS.tobytes())
    assert response.headers["content-type"] == "application/octet-stream"
    size = int(response.headers[LENGTH])
    probabilities, embedding, label = json.loads(response.content[:size])["outputs"]
    binary = response.content[size:]
    end = probabilities["parameters"]["binary_data_size"]
    assert (np.frombuffer(binary[:end], "<f4") == served.probabilities.ravel()).all()
    np.testing.assert_allclose(embedding["data"], served.embedding.ravel(), rtol=1e-6)
    names = tensors.strings_from_bytes("label", binary[end:], 2)
    assert names == [LABELS[i].encode() for i in served.probabilities.argmax(1)]
    assert label["parameters"]["binary_data_size"] == len(binary) - end


def test_metadata_readiness_and_index(served: Served) -> None:
    assert send(served, "GET", "/v2").json()["name"] == "discern"
    assert send(served, "GET", "/v2/health/live").json() == {"live": True}
    assert send(served, "GET", "/v2/health/ready").json() == {"ready": True}
    for path in ("/v2/models/my-model", "/v2/models/my-model/versions/1"):
        metadata = send(served, "GET", path).json()
        assert metadata["versions"] == ["1"]
        assert metadata["platform"] == "onnx"
        images = {"name": "images", "datatype": "UINT8", "shape": [-1, SIDE, SIDE, 3]}
        assert metadata["inputs"] == [images]
        assert [output["shape"] for output in metadata["outputs"]] == [[-1, 3], [-1, -1], [-1]]
        assert metadata["properties"]["labels"] == LABELS
        assert send(served, "GET", f"{path}/ready").json()["ready"] is True
    index = send(served, "POST", "/v2/repository/index").json()
    assert index == [{"name": "my-model", "version": "1", "state": "READY", "reason": ""}]


def test_unknown_models_and_versions(served: Served) -> None:
    for path in ("dogs", "dogs/ready", "dogs/infer", "my-model/versions/9", "my-model/versions/x"):
        method = "POST" if path.endswith("infer") else "GET"
        response = send(served, method, f"/v2/models/{path}")
        assert response.status_code == 404
        assert "error" in response.json()


def test_not_ready_while_it_loads(served: Served, tmp_path: Path) -> None:
    metrics = Metrics()
    opener = Opener(Workers(0, 1), SETTINGS, metrics)
    loading = SingleModel(tmp_path / "my-model", opener, metrics)
    waiting = replace(served, catalog=loading, app=app_over(loading))
    assert send(waiting, "GET", "/v2/health/ready").status_code == 503
    response = send(waiting, "GET", "/v2/models/my-model/ready")
    assert (response.status_code, list(response.json())) == (503, ["error"])
    assert send(served, "GET", "/v2/models/my-model/ready").status_code == 200


BASE64 = base64.b64encode(b"no picture").decode()
FEW = [0] * 10
SPECIFIC = {"inputs": [pixels_input(data=PIXELS.tolist())]}
BYTES = {"name": "images", "datatype": "BYTES"}


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "must be an object"),
        ({}, "The request has no inputs."),
        ({"inputs": "images"}, "inputs must be a list"),
        ({"inputs": [1]}, "inputs must be a list of objects"),
        ({"inputs": []}, "0 inputs; send 'images', once."),
        ({"inputs": [{}]}, "an input has no name"),
        ({"inputs": [pixels_input(name="x" * 99)]}, "There is no input 'xxx"),
        ({"inputs": [pixels_input(), pixels_input()]}, "2 inputs; send 'images', once."),
        ({"inputs": [pixels_input()]}, "images has no data."),
        ({"inputs": [pixels_input(data="abc")]}, "images: data must be a list."),
        ({"inputs": [pixels_input(data=10**9)]}, "images: data must be a list."),
        ({"inputs": [pixels_input(datatype="FP32")]}, "datatype 'FP32'; expected UINT8"),
        ({"inputs": [pixels_input(datatype=3)]}, "datatype must be a text"),
        ({"inputs": [pixels_input(shape=[2, 8, 8, 3])]}, "expected [N, 16, 16, 3]"),
        ({"inputs": [pixels_input(shape=[-1, 16, 16, 3])]}, "at least one"),
        ({"inputs": [pixels_input(shape=[0, 16, 16, 3], data=[])]}, "at least one"),
        ({"inputs": [pixels_input(shape=[10**30, 16, 16, 3])]}, "at most 4 are allowed"),
        ({"inputs": [pixels_input(shape=[True, 16, 16, 3])]}, "expected [N"),
        ({"inputs": [pixels_input(shape=[1.0, 16, 16, 3])]}, "expected [N"),
        ({"inputs": [pixels_input(shape=[[[]], {}, None, "3"])]}, "[…, …, …, '3']; expected [N"),
        ({"inputs": [pixels_input(shape=[5, 16, 16, 3])]}, "5 pictures; at most 4"),
        ({"inputs": [pixels_input(data=FEW)]}, "images has 10 values; its shape"),
        ({"inputs": [pixels_input(data=[256] * PIXELS.size)]}, "whole numbers from 0 to 255"),
        ({"inputs": [pixels_input(data=[-1] * PIXELS.size)]}, "whole numbers from 0 to 255"),
        ({"inputs": [pixels_input(data=[10**40] * PIXELS.size)]}, "whole numbers from 0 to 255"),
        ({"inputs": [pixels_input(data=[0.5] * PIXELS.size)]}, "whole numbers from 0 to 255"),
        ({"inputs": [pixels_input(data=["1"] * PIXELS.size)]}, "whole numbers from 0 to 255"),
        ({"inputs": [pixels_input(data=[[1, 2], 3, [4]])]}, "whole numbers from 0 to 255"),
        ({"inputs": [pixels_input(data=[None, {}])]}, "whole numbers from 0 to 255"),
        ({"inputs": [BYTES | {"shape": [1], "data": ["%%"]}]}, "string 0 is not base64"),
        ({"inputs": [BYTES | {"shape": [1], "data": ["é"]}]}, "string 0 is not base64"),
        ({"inputs": [BYTES | {"shape": [1], "data": [7]}]}, "element 0 is not a string"),
        ({"inputs": [BYTES | {"shape": [2], "data": [BASE64]}]}, "1 strings; its shape [2]"),
        ({"inputs": [BYTES | {"shape": [1, 1], "data": [BASE64]}]}, "[1, 1]; expected [N]."),
        ({"inputs": [BYTES | {"shape": [1], "data": [BASE64]}]}, "picture 0: "),
        ({"inputs": [pixels_input(parameters=[])]}, "parameters must be an object"),
        ({"inputs": [pixels_input(parameters={"binary_data_size": 5})]}, f"no {LENGTH} header"),
        ({"inputs": [pixels_input(parameters={"shared_memory_region": "r"})]}, "has no data"),
        (SPECIFIC | {"outputs": 5}, "outputs must be a list"),
        (SPECIFIC | {"outputs": [5]}, "outputs must be a list of objects"),
        (SPECIFIC | {"outputs": [{}]}, "an output has no name"),
        (SPECIFIC | {"outputs": [{"name": "logits"}]}, "There is no output 'logits'"),
        (SPECIFIC | {"outputs": [{"name": "label"}] * 2}, "asked for twice"),
        (SPECIFIC | {"id": 5}, "id must be a string"),
        (SPECIFIC | {"parameters": {"binary_data_output": 1}}, "must be true or false"),
        (
            SPECIFIC | {"outputs": [{"name": "label", "parameters": {"binary_data": "yes"}}]},
            "binary_data must be true or false",
        ),
        (
            SPECIFIC | {"outputs": [{"name": "label", "parameters": {"classification": 2}}]},
            "not given as classifications",
        ),
    ],
)
def test_malformed_documents_get_exact_words(served: Served, document: object, words: str) -> None:
    assert words in error(infer(served, document))


SIZED = {"inputs": [pixels_input(parameters={"binary_data_size": PIXELS.nbytes})]}


@pytest.mark.parametrize(
    ("document", "binary", "words"),
    [
        (SIZED, PIXELS.tobytes()[:-1], f"binary_data_size {PIXELS.nbytes}; 1,535 bytes follow"),
        (SIZED, PIXELS.tobytes() + b"x", "1 bytes of binary data belong to no input"),
        (SIZED | {"inputs": [pixels_input()]}, PIXELS.tobytes(), "binary_data_size None"),
        ({"inputs": [pixels_input(parameters={"binary_data_size": -1})]}, b"", "size -1"),
        ({"inputs": [pixels_input(parameters={"binary_data_size": 3})]}, b"abc", "has 3 bytes"),
        (SPECIFIC, b"abc", "3 bytes of binary data belong to no input"),
    ],
)
def test_binary_lengths_that_lie(
    served: Served, document: object, binary: bytes, words: str
) -> None:
    assert words in error(infer(served, document, binary))


@pytest.mark.parametrize(
    ("binary", "words"),
    [
        (b"", "ends within string 0"),
        (b"\x05\x00", "ends within string 0"),
        (b"\x05\x00\x00\x00abc", "ends within string 0"),
        (b"\xff\xff\xff\xffabc", "ends within string 0"),
        (b"\x01\x00\x00\x00a\x01\x00\x00\x00b", "has 5 bytes after its 1 strings"),
        (b"\x00\x00\x00\x00", "picture 0: "),
    ],
)
def test_strings_whose_lengths_lie(served: Served, binary: bytes, words: str) -> None:
    entry = BYTES | {"shape": [1], "parameters": {"binary_data_size": len(binary)}}
    assert words in error(infer(served, {"inputs": [entry]}, binary))


@pytest.mark.parametrize("length", ["0", "-1", "9999999", "x", "", "1e3", "٣", "9" * 5000])
def test_header_lengths_that_lie(served: Served, length: str) -> None:
    response = send(served, "POST", INFER, b"{}", {LENGTH: length.encode()})  # type: ignore[dict-item]
    assert LENGTH in error(response)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe\x00", b"[" * 100_000, b'{"inputs": ' + b"9" * 5000 + b"}"]
)
def test_broken_json(served: Served, body: bytes) -> None:
    assert "is not JSON" in error(send(served, "POST", INFER, body))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["name", "shape", "data", "parameters", "binary_data_size"]), inner
        )
    ),
    max_leaves=10,
)
INPUT = st.fixed_dictionaries(
    {
        "name": st.just("images") | JSON,
        "datatype": st.sampled_from(["UINT8", "BYTES"]) | JSON,
        "shape": st.sampled_from([[1, SIDE, SIDE, 3], [1], [2]]) | st.lists(st.integers()) | JSON,
    },
    optional={
        "data": st.just([0] * (SIDE * SIDE * 3)) | JSON,
        "parameters": st.fixed_dictionaries({"binary_data_size": st.integers(0, 900)}) | JSON,
    },
)
DOCUMENT = JSON | st.fixed_dictionaries(
    {"inputs": st.lists(INPUT, max_size=2) | JSON},
    optional={
        "outputs": st.lists(st.fixed_dictionaries({"name": st.just("label") | JSON})) | JSON,
        "parameters": st.fixed_dictionaries({"binary_data_output": st.booleans()}) | JSON,
        "id": st.text() | JSON,
    },
)
FUZZ = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@FUZZ
@given(document=DOCUMENT, binary=st.none() | st.binary(max_size=800))
def test_no_document_is_a_server_error(
    served: Served, document: object, binary: bytes | None
) -> None:
    assert infer(served, document, binary).status_code < 500


@FUZZ
@given(body=st.binary(), length=st.none() | st.integers(0, 20))
def test_no_body_is_a_server_error(served: Served, body: bytes, length: int | None) -> None:
    headers = {} if length is None else {LENGTH: str(length)}
    assert send(served, "POST", INFER, body, headers).status_code < 500


# Several encoded pictures


class Slow:
    """A servable that takes its time, and remembers."""

    info = None

    def __init__(self) -> None:
        self.running = self.most = self.ended = 0

    async def picture(self, data: bytes, _deadline: float, _metadata: object) -> Mapping[str, Any]:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            if data == b"bad":
                raise PictureFormatError("is no picture")
            if data == b"busy":
                raise OverloadedError("Busy.", 2.0)
            await asyncio.sleep(0.01 if data != b"never" else 60)
            self.ended += 1
        finally:
            self.running -= 1
        return {"probabilities": np.frombuffer(data, np.uint8)}


def run_many(slow: Slow, pictures: list[bytes]) -> Any:
    queue: Any = QueueSettings()
    servable: Any = slow
    return asyncio.run(run_encoded(servable, pictures, time.monotonic() + 5, queue))


def test_many_pictures_keep_their_order_and_leave_room_in_the_line() -> None:
    slow = Slow()
    outputs = run_many(slow, [bytes([i]) for i in range(200)])
    assert outputs["probabilities"].ravel().tolist() == list(range(200))
    assert 1 < slow.most < QueueSettings().capacity() / 2


def test_the_first_bad_picture_ends_the_others_and_is_named() -> None:
    slow = Slow()
    with pytest.raises(PictureFormatError, match="picture 1: is no picture"):
        run_many(slow, [b"never", b"bad", b"never"])
    assert (slow.running, slow.ended) == (0, 0)


def test_an_overload_keeps_its_advice() -> None:
    with pytest.raises(OverloadedError) as caught:
        run_many(Slow(), [b"busy"])
    assert caught.value.retry_after == 2.0


def test_what_a_client_sent_is_repeated_in_part() -> None:
    nested: list[Any] = []
    for _ in range(5000):
        nested = [nested]
    assert tensors.shown(nested) == "[…]"
    assert len(tensors.shown("x" * 10**6)) == tensors.SHOWN
    assert tensors.shown(list(range(9))) == "[0, 1, 2, 3, 4, 5, …]"
    with pytest.raises(RequestError):
        tensors.batch_shape("images", nested, (), 4)
