"""Facts beside the picture: by name over /predict, as a tensor over the protocols."""

import asyncio
import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from full_model import FACTS, with_exif, write_full
from starlette.testclient import TestClient

from discern.model import load
from discern.runtime.engine import Engine
from discern.runtime.pipeline import to_pixels
from discern.serving.app import create_app, make_parts
from discern.serving.gateway import UpstreamCatalog
from discern.serving.local import Opener
from discern.serving.protocols.grpc_app import build_grpc_server
from discern.serving.protocols.messages import message
from discern.serving.repository import FolderRepository
from discern.serving.settings import ServeSettings

SETTINGS = ServeSettings()
GIVEN = {"age": 3.5, "device": "camera", "taken_at": "2024-05-31T14:30"}
SIZE = FACTS.size


@pytest.fixture
def folder(tmp_path: Path, make_model: Callable[..., Path], pictures: list[Path]) -> Path:
    (tmp_path / "models" / "pets").mkdir(parents=True)
    return write_full(tmp_path / "models" / "pets" / "3", make_model, pictures, facts=True)


@pytest.fixture
def client(folder: Path) -> Iterator[TestClient]:
    with TestClient(create_app(folder), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def engine(folder: Path) -> Engine:
    return load(folder).predictor(engine="onnxruntime").engine


Says = Callable[..., Any]


@pytest.fixture
def says(folder: Path, engine: Engine) -> Says:
    """What the graph says of a picture with these facts: probabilities in the labels' order."""
    spec = load(folder).info.preprocess

    def ask(picture: bytes | Path, given: Any = None) -> Any:
        row = FACTS.encode(given or {})[None]
        return engine.run(to_pixels(picture, spec)[None], row)["probabilities"][0].tolist()

    return ask


def values(answer: Any) -> list[float]:
    assert "scores" in answer, answer
    return [answer["scores"][label] for label in ("cat", "dog", "fish")]


def as_json(picture: Path, **more: Any) -> dict[str, Any]:
    return {"image": base64.b64encode(picture.read_bytes()).decode(), **more}


def test_facts_change_the_answer_in_every_kind_of_body(
    client: TestClient, pictures: list[Path], says: Says
) -> None:
    picture = pictures[0]
    assert says(picture) != pytest.approx(says(picture, GIVEN), abs=0.01)
    file = {"file": ("a.png", picture.read_bytes())}
    form = client.post("/predict", files=file, data={"metadata": json.dumps(GIVEN)}).json()
    document = client.post("/predict", json=as_json(picture, metadata=GIVEN)).json()
    nothing = client.post("/predict", json=as_json(picture)).json()
    assert values(form) == pytest.approx(says(picture, GIVEN))
    assert values(document) == pytest.approx(says(picture, GIVEN))
    assert values(nothing) == pytest.approx(says(picture))


def test_several_pictures_have_facts_each(
    client: TestClient, pictures: list[Path], says: Says
) -> None:
    facts = [GIVEN, {}, {"age": 1}]
    files = [("file", (path.name, path.read_bytes())) for path in pictures[:3]]
    form = client.post("/predict", files=files, data={"metadata": json.dumps(facts)}).json()
    entries = [as_json(path, metadata=given) for path, given in zip(pictures, facts, strict=False)]
    document = client.post("/predict", json={"pictures": entries}).json()
    for answers in (form["predictions"], document["predictions"]):
        for answer, path, given in zip(answers, pictures[:3], facts, strict=True):
            assert values(answer) == pytest.approx(says(path, given))


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"agee": 3}, "Did you mean 'age'?"),
        ({"age": "old"}, "age is 'old'; expected a number."),
        ({"taken_at": "yesterday"}, "expected a time"),
        ({"lat": 91, "lon": 3}, "expected a latitude"),
        ({"age": [1]}, "expected a text or a number"),
        ("age", "must be an object of facts"),
        ([1], "must be an object of facts"),
        ([{}, {}], "2 entries for 1 files"),
    ],
)
def test_facts_that_cannot_be_used_are_refused(
    client: TestClient, pictures: list[Path], metadata: object, words: str
) -> None:
    file = {"file": ("a.png", pictures[0].read_bytes())}
    answer = client.post("/predict", files=file, data={"metadata": json.dumps(metadata)})
    assert answer.status_code == 400
    assert words in answer.json()["detail"]
    broken = client.post("/predict", files=file, data={"metadata": "{"})
    assert (broken.status_code, "is not JSON" in broken.text) == (400, True)


def test_facts_of_one_picture_fail_that_one_only(client: TestClient, pictures: list[Path]) -> None:
    entries = [as_json(pictures[0], metadata={"agee": 3}), as_json(pictures[1])]
    bad, good = client.post("/predict", json={"pictures": entries}).json()["predictions"]
    assert bad["error"]["status"] == 400
    assert good["label"]


def test_a_model_of_pictures_alone_takes_no_facts(
    tmp_path: Path, make_model: Callable[..., Path], pictures: list[Path]
) -> None:
    with TestClient(create_app(make_model(tmp_path / "plain"))) as client:
        refused = client.post("/predict", json=as_json(pictures[0], metadata=GIVEN))
        assert (refused.status_code, "pictures alone" in refused.text) == (400, True)
        assert client.post("/predict", json=as_json(pictures[0], metadata={})).status_code == 200
        tensor = {"name": "metadata", "datatype": "FP32", "shape": [1, 2], "data": [0, 0]}
        pixels = {"name": "images", "datatype": "BYTES", "shape": [1], "data": ["AAAA"]}
        inputs = {"inputs": [pixels, tensor]}
        assert client.post("/v2/models/plain/infer", json=inputs).status_code == 400


def test_what_can_be_given_is_told(client: TestClient) -> None:
    facts = client.get("/model").json()["metadata"]
    assert [(fact["name"], fact["kind"]) for fact in facts] == [
        ("age", "number"),
        ("device", "category"),
        ("taken_at", "time"),
        ("lat", "latitude"),
        ("lon", "longitude"),
    ]
    FACTS.encode({fact["name"]: fact["example"] for fact in facts}, strict=True)
    assert facts[1]["values"] == ["phone", "camera"]
    assert facts[3]["example"] == pytest.approx(45)


def test_files_tell_facts_themselves_and_what_is_given_wins(
    tmp_path: Path, make_model: Callable[..., Path], pictures: list[Path], says: Says
) -> None:
    folder = write_full(tmp_path / "exif", make_model, pictures, facts=True, exif=True)
    phone, encoded = with_exif("phone"), base64.b64encode(with_exif("phone")).decode()
    with TestClient(create_app(folder)) as client:
        raw = client.post("/predict", content=phone, headers={"content-type": "image/jpeg"})
        given = {"image": encoded, "metadata": {"device": "camera"}}
        told = client.post("/predict", json=given)
        tensor = client.post(
            "/v1/models/exif:predict", json={"instances": [{"b64": encoded}]}
        ).json()["predictions"][0]
    assert values(raw.json()) == pytest.approx(says(phone, {"device": "phone"}))
    assert values(told.json()) == pytest.approx(says(phone, {"device": "camera"}))
    assert tensor == pytest.approx(says(phone, {"device": "phone"}))
    assert says(phone, {"device": "phone"}) != pytest.approx(says(phone), abs=0.001)


def test_heat_maps_take_facts_too(client: TestClient, pictures: list[Path]) -> None:
    answer = client.post("/predict?explain=1", json=as_json(pictures[0], metadata=GIVEN)).json()
    assert answer["heatmap"].startswith("data:image/png;base64,")


# The protocols


@pytest.fixture
def pixels(folder: Path, pictures: list[Path]) -> Any:
    spec = load(folder).info.preprocess
    return np.stack([to_pixels(path, spec) for path in pictures[:2]])


@pytest.fixture
def rows() -> Any:
    return np.stack([FACTS.encode(GIVEN), FACTS.encode({"age": 1})])


@pytest.fixture
def right(engine: Engine, pixels: Any, rows: Any) -> Any:
    return engine.run(pixels, rows)["probabilities"]


def oip_input(name: str, datatype: str, value: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": list(value.shape), **more}


def test_open_inference_takes_facts_in_json_and_in_binary(
    client: TestClient, pixels: Any, rows: Any, right: Any
) -> None:
    listed = client.get("/v2/models/pets").json()["inputs"]
    assert listed[1] == {"name": "metadata", "datatype": "FP32", "shape": [-1, SIZE]}
    url = "/v2/models/pets/infer"
    images = oip_input("images", "UINT8", pixels, data=pixels.ravel().tolist())
    facts = oip_input("metadata", "FP32", rows, data=rows.ravel().tolist())
    plain = client.post(url, json={"inputs": [facts, images]}).json()["outputs"][0]["data"]
    np.testing.assert_allclose(np.reshape(plain, (2, 3)), right, rtol=1e-4)
    without = client.post(url, json={"inputs": [images]}).json()["outputs"][0]["data"]
    assert not np.allclose(np.reshape(without, (2, 3)), right, atol=0.01)
    sized = {
        "inputs": [
            oip_input("images", "UINT8", pixels, parameters={"binary_data_size": pixels.nbytes}),
            oip_input("metadata", "FP32", rows, parameters={"binary_data_size": rows.nbytes}),
        ]
    }
    head = json.dumps(sized).encode()
    length = {"Inference-Header-Content-Length": str(len(head))}
    binary = client.post(url, content=head + pixels.tobytes() + rows.tobytes(), headers=length)
    found = binary.json()["outputs"][0]["data"]
    np.testing.assert_allclose(np.reshape(found, (2, 3)), right, rtol=1e-4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"datatype": "FP64"}, "expected FP32"),
        ({"shape": [2, 3], "data": [0] * 6}, f"expected [N, {SIZE}]"),
        ({"shape": [1, SIZE], "data": [0] * SIZE}, "1 rows for 2 pictures"),
        ({"data": [True] * 2 * SIZE}, "must hold numbers"),
        ({"data": [1e300] * 2 * SIZE}, "no numbers"),
        ({"name": "facts"}, "the model takes 'images', 'metadata'"),
    ],
)
def test_facts_that_do_not_fit_get_exact_words(
    client: TestClient, pixels: Any, rows: Any, change: dict[str, Any], words: str
) -> None:
    images = oip_input("images", "UINT8", pixels, data=pixels.ravel().tolist())
    facts = oip_input("metadata", "FP32", rows, data=rows.ravel().tolist()) | change
    answer = client.post("/v2/models/pets/infer", json={"inputs": [images, facts]})
    assert answer.status_code == 400
    assert words in answer.json()["error"]


def test_tensorflow_s_rest_takes_facts_by_rows_and_by_columns(
    client: TestClient, pixels: Any, rows: Any, right: Any
) -> None:
    signature = client.get("/v1/models/pets/metadata").json()["metadata"]["signature_def"]
    inputs = signature["signature_def"]["serving_default"]["inputs"]
    assert inputs["metadata"]["dtype"] == "DT_FLOAT"
    url = "/v1/models/pets:predict"
    columns = {"images": pixels.tolist(), "metadata": rows.tolist()}
    instances = [
        {"images": pixels[0].tolist(), "metadata": rows[0].tolist()},
        {"images": pixels[1].tolist(), "metadata": rows[1].tolist()},
    ]
    by_rows = client.post(url, json={"instances": instances}).json()["predictions"]
    np.testing.assert_allclose(by_rows, right, rtol=1e-4)
    found = client.post(url, json={"inputs": columns}).json()["outputs"]
    np.testing.assert_allclose(found, right, rtol=1e-4)
    del instances[0]["metadata"]
    mixed = client.post(url, json={"instances": instances}).json()["predictions"]
    np.testing.assert_allclose(mixed[1], right[1], rtol=1e-4)
    assert not np.allclose(mixed[0], right[0], atol=0.01)
    for wrong in (rows.tolist()[:1], [[0.0]] * 2, "x", [["a"] * SIZE] * 2):
        refused = client.post(url, json={"inputs": columns | {"metadata": wrong}})
        assert refused.status_code == 400


def test_grpc_and_gateways_carry_facts(
    folder: Path, pictures: list[Path], pixels: Any, rows: Any, right: Any, says: Says
) -> None:
    asyncio.run(_over_grpc(folder, pictures, pixels, rows, right, says))


async def _over_grpc(
    folder: Path, pictures: list[Path], pixels: Any, rows: Any, right: Any, says: Says
) -> None:
    parts = make_parts(SETTINGS)
    catalog = FolderRepository(
        folder.parent.parent, Opener(parts.workers, SETTINGS, parts.metrics), parts.metrics
    )
    await catalog.start()
    server = build_grpc_server(catalog, parts)
    at = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    async with grpc.aio.insecure_channel(at) as channel:
        for ask in (_open_inference, _tensorflow):
            np.testing.assert_allclose(await ask(channel, pixels, rows), right, rtol=1e-4)
    for upstream in (f"grpc://{at}", f"tf-serving://{at}"):
        model = folder if upstream.startswith("tf") else None
        gateway = UpstreamCatalog([upstream], parts.workers, SETTINGS, parts.metrics, model=model)
        await gateway.start()
        servable, data, soon = gateway.find(), pictures[0].read_bytes(), asyncio.get_running_loop()
        deadline = soon.time() + 5
        for given in (GIVEN, {}):
            found = await servable.picture(data, deadline, given)
            assert found["probabilities"].tolist() == pytest.approx(says(data, given))
        batch = await servable.pixels(pixels, deadline, rows)
        np.testing.assert_allclose(batch["probabilities"], right, rtol=1e-4)
        await gateway.stop()
    await server.stop(None)
    await catalog.stop()
    parts.workers.close()


async def _open_inference(channel: Any, pixels: Any, rows: Any) -> Any:
    request = message("inference.ModelInferRequest")(model_name="pets")
    request.inputs.add(name="images", datatype="UINT8", shape=pixels.shape)
    facts = request.inputs.add(name="metadata", datatype="FP32", shape=rows.shape)
    request.inputs[0].contents.uint_contents.extend(pixels.ravel().tolist())
    facts.contents.fp32_contents.extend(rows.ravel().tolist())
    method = "/inference.GRPCInferenceService/ModelInfer"
    data = await channel.unary_unary(method)(request.SerializeToString())
    answer = message("inference.ModelInferResponse").FromString(data)
    return np.reshape(answer.outputs[0].contents.fp32_contents, (2, 3))


async def _tensorflow(channel: Any, pixels: Any, rows: Any) -> Any:
    request = message("tensorflow.serving.PredictRequest")()
    request.model_spec.name = "pets"
    for name, dtype, value in (("images", 4, pixels), ("metadata", 1, rows)):
        request.inputs[name].dtype = dtype
        for size in value.shape:
            request.inputs[name].tensor_shape.dim.add(size=size)
    request.inputs["images"].tensor_content = pixels.tobytes()
    request.inputs["metadata"].float_val.extend(rows.ravel().tolist())
    method = "/tensorflow.serving.PredictionService/Predict"
    data = await channel.unary_unary(method)(request.SerializeToString())
    answer = message("tensorflow.serving.PredictResponse").FromString(data)
    return np.reshape(answer.outputs["probabilities"].float_val, (2, 3))
