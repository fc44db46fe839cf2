"""TensorFlow Serving's interface over HTTP: its forms, and what malformed requests get."""

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient as Client

from discern.model import load
from discern.serving.catalog import Catalog, VersionStatus
from discern.serving.protocols import tensorflow_rest
from discern.serving.settings import RequestLimits, ServeSettings

MakeClient = Callable[..., Client]

SIDE, LABELS = 16, ["cat", "dog", "fish"]
PIXELS = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)
ROWS = PIXELS.tolist()
MODEL = "/v1/models/pets"


@pytest.fixture
def client(make_client: MakeClient) -> Client:
    return make_client(limits=RequestLimits(pictures=4))


@pytest.fixture
def expected(served: Path) -> Mapping[str, Any]:
    """What the predictor says about PIXELS: probabilities [2, 3], embedding [2, 8]."""
    return load(served).predictor(engine="onnxruntime").engine.run(PIXELS)


@pytest.fixture
def encoded(pictures: list[Path]) -> list[dict[str, str]]:
    return [{"b64": base64.b64encode(path.read_bytes()).decode()} for path in pictures[:3]]


@pytest.fixture
def scores(served: Path, pictures: list[Path]) -> list[dict[str, float]]:
    """What `discern predict` says about the encoded pictures, best first."""
    predictor = load(served).predictor(engine="onnxruntime")
    return [prediction.scores for prediction in predictor.predict(pictures[:3])]


def ask(client: Client, document: object, verb: str = "predict", model: str = MODEL) -> Any:
    response = client.post(f"{model}:{verb}", content=json.dumps(document))
    assert response.status_code == 200, response.text
    return response.json()


def error(response: Any, status: int = 400) -> str:
    assert response.status_code == status, response.text
    (key, text), *rest = response.json().items()
    assert (key, rest) == ("error", [])
    return str(text)


def refusal(client: Client, document: object, verb: str = "predict", status: int = 400) -> str:
    """The error, in small letters: the app begins every one with a capital."""
    return error(client.post(f"{MODEL}:{verb}", content=json.dumps(document)), status).lower()


# What it answers


@pytest.mark.parametrize("model", [MODEL, f"{MODEL}/versions/3"])
def test_rows_of_pixels_get_plain_scores(
    client: Client, expected: Mapping[str, Any], model: str
) -> None:
    answer = ask(client, {"instances": ROWS}, model=model)
    assert list(answer) == ["predictions"]
    np.testing.assert_allclose(answer["predictions"], expected["probabilities"], atol=1e-5)


def test_rows_columns_names_and_none_agree(client: Client) -> None:
    plain = ask(client, {"signature_name": "serving_default", "instances": ROWS})["predictions"]
    assert ask(client, {"instances": [{"images": row} for row in ROWS]})["predictions"] == plain
    assert ask(client, {"inputs": ROWS})["outputs"] == plain
    assert ask(client, {"inputs": {"images": ROWS}, "signature_name": ""})["outputs"] == plain


def test_pictures_in_base64(
    client: Client, encoded: list[dict[str, str]], scores: list[dict[str, float]]
) -> None:
    wanted = [[each[label] for label in LABELS] for each in scores]
    found = ask(client, {"instances": encoded})["predictions"]
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    named = [{"images": picture} for picture in encoded]
    assert ask(client, {"instances": named})["predictions"] == found
    assert ask(client, {"inputs": encoded})["outputs"] == found
    assert ask(client, {"inputs": {"images": encoded}})["outputs"] == found


def test_signatures_with_other_outputs(client: Client, expected: Mapping[str, Any]) -> None:
    one = ask(client, {"signature_name": "embedding", "instances": ROWS})["predictions"]
    np.testing.assert_allclose(one, expected["embedding"], atol=1e-4)
    rows = ask(client, {"signature_name": "all", "instances": ROWS})["predictions"]
    assert [list(row) for row in rows] == [["probabilities", "embedding"]] * 2
    columns = ask(client, {"signature_name": "all", "inputs": ROWS})["outputs"]
    assert columns["embedding"] == [row["embedding"] for row in rows] == one
    np.testing.assert_allclose(columns["probabilities"], expected["probabilities"], atol=1e-5)


@pytest.mark.parametrize("key", ["image", "images"])
def test_classify(
    client: Client, encoded: list[dict[str, str]], scores: list[dict[str, float]], key: str
) -> None:
    answer = ask(client, {"examples": [{key: picture} for picture in encoded]}, "classify")
    assert answer["result"] == answer["results"]
    assert [[label for label, _ in each] for each in answer["result"]] == [*map(list, scores)]
    found = [[score for _, score in each] for each in answer["result"]]
    np.testing.assert_allclose(found, [list(each.values()) for each in scores], atol=1e-5)


@pytest.mark.parametrize("model", [MODEL, f"{MODEL}/versions/3"])
def test_status(client: Client, model: str) -> None:
    status = {
        "version": "3",
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    }
    assert client.get(model).json() == {"model_version_status": [status]}


class Troubled:
    """A catalog whose model could not be loaded in its newest version."""

    def statuses(self) -> Mapping[str, list[VersionStatus]]:
        return {"pets": [VersionStatus("1", "available"), VersionStatus("2", "end", "It broke.")]}


def test_a_version_that_was_not_taken_says_why() -> None:
    app, catalog = FastAPI(), cast(Catalog, Troubled())
    app.include_router(tensorflow_rest.router(catalog, ServeSettings()))
    client = Client(app)
    first, second = client.get(MODEL).json()["model_version_status"]
    assert (first["version"], first["state"]) == ("1", "AVAILABLE")
    assert (second["version"], second["state"]) == ("2", "END")
    assert second["status"] == {"error_code": "UNKNOWN", "error_message": "It broke."}
    assert client.get(f"{MODEL}/versions/2").json()["model_version_status"] == [second]


def test_metadata(client: Client) -> None:
    answer = client.get(f"{MODEL}/metadata").json()
    assert answer == client.get(f"{MODEL}/versions/3/metadata").json()
    assert answer["model_spec"] == {"name": "pets", "signature_name": "", "version": "3"}
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    assert list(signatures) == ["serving_default", "embedding", "all"]
    default = signatures["serving_default"]
    assert default["method_name"] == "tensorflow/serving/predict"
    sizes = [{"size": size, "name": ""} for size in ("-1", "16", "16", "3")]
    assert default["inputs"] == {
        "images": {
            "dtype": "DT_UINT8",
            "tensor_shape": {"dim": sizes, "unknown_rank": False},
            "name": "images",
        }
    }
    probabilities = default["outputs"]["probabilities"]
    assert [each["size"] for each in probabilities["tensor_shape"]["dim"]] == ["-1", "3"]
    assert list(signatures["all"]["outputs"]) == ["probabilities", "embedding"]


@pytest.mark.parametrize("name", ["my-model_v1.5", "x.y", "a b", "größe"])
def test_names_with_dots_dashes_and_more(served: Path, make_client: MakeClient, name: str) -> None:
    served.parent.rename(served.parents[1] / name)
    served.parent.symlink_to(served.parents[1] / name)
    client = make_client()
    model = f"/v1/models/{name}"
    assert client.get(model).status_code == 200
    assert len(ask(client, {"instances": ROWS}, model=model)["predictions"]) == 2
    assert len(ask(client, {"instances": ROWS}, model=f"{model}/versions/3")["predictions"]) == 2


# What is refused


@pytest.mark.parametrize(
    "place", ["dogs", "pets/versions/9", "pets/versions/x", "pets/versions/-1"]
)
def test_unknown_models_and_versions(client: Client, place: str) -> None:
    for verb in ("", "/metadata"):
        assert error(client.get(f"/v1/models/{place}{verb}"), 404)
    for verb in (":predict", ":classify", ":regress"):
        assert error(client.post(f"/v1/models/{place}{verb}", content=b"{}"), 404)


def test_version_labels_are_not_there(client: Client) -> None:
    words = "'pets' has no version label 'stable': versions have numbers only."
    assert words in error(client.get(f"{MODEL}/labels/stable"), 404)
    assert words in error(client.get(f"{MODEL}/labels/stable/metadata"), 404)
    assert words in error(client.post(f"{MODEL}/labels/stable:predict"), 404)


def test_it_does_not_regress(client: Client) -> None:
    words = "Expected regression signature method_name to be tensorflow/serving/regress. Was: "
    assert error(client.post(f"{MODEL}:regress")).startswith(words)


@pytest.mark.parametrize("verb", ["predict", "classify", "regress"])
def test_questions_are_posted(client: Client, verb: str) -> None:
    for model in (MODEL, f"{MODEL}/versions/3"):
        response = client.get(f"{model}:{verb}")
        assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert client.post(f"{MODEL}:explain").status_code == 405


def edited(value: object) -> list[Any]:
    """ROWS with another value deep inside."""
    rows: list[Any] = PIXELS.tolist()
    rows[1][5][6][2] = value
    return rows


B64 = base64.b64encode(b"no picture").decode()
RAW = "must hold raw pixels, whole numbers from 0 to 255. The model normalises them itself."


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "The JSON body must be an object"),
        ({}, 'Send either "instances", a list of pictures, or "inputs".'),
        ({"instances": ROWS, "inputs": ROWS}, 'Send either "instances"'),
        ({"instances": "x"}, "instances must be a list of pictures"),
        ({"instances": None}, "instances must be a list of pictures"),
        ({"instances": []}, "instances has the shape [0]; expected [N, 16, 16, 3]."),
        ({"inputs": {"b64": B64}}, "inputs must be a list of pictures, even if there is only one"),
        ({"inputs": {"images": 5}}, "inputs must be a list of pictures"),
        ({"inputs": {"input_1": ROWS}}, "inputs has the inputs ['input_1']; send 'images' only."),
        ({"inputs": {}}, "inputs has the inputs []; send 'images' only."),
        (
            {"instances": [{"x": 1, "images": ROWS[0]}]},
            "instances[0] has the inputs ['x', 'images']",
        ),
        ({"instances": ROWS[0]}, "has the shape [16, 16, 3]; expected [N, 16, 16, 3]"),
        ({"instances": [[[[0]]]]}, "has the shape [1, 1, 1, 1]; expected [N, 16, 16, 3]"),
        ({"instances": ROWS * 3}, "instances has 6 pictures; at most 4 are allowed a request."),
        ({"instances": [{"b64": B64}] * 5}, "instances has 5 pictures; at most 4"),
        ({"instances": edited(256)}, RAW),
        ({"instances": edited(-1)}, RAW),
        ({"instances": edited(10**40)}, RAW),
        ({"instances": edited(1.0)}, RAW),
        ({"instances": edited(float("nan"))}, RAW),
        ({"instances": edited(True)}, RAW),
        ({"instances": edited("7")}, RAW),
        ({"instances": edited([7])}, RAW),
        ({"instances": [ROWS[0], ROWS[1][:-1]]}, "has lists of different lengths"),
        ({"instances": [ROWS[0], 5]}, "has lists of different lengths"),
        ({"instances": [ROWS[0], {"b64": B64}]}, "has lists of different lengths"),
        ({"instances": [{"b64": B64}, ROWS[0]]}, "instances[1] is not an encoded picture"),
        (
            {"instances": [B64]},
            'instances[0] is not an encoded picture; expected {"b64": "BASE64"}.',
        ),
        ({"instances": [{"b64": B64, "x": 1}]}, "instances[0] is not an encoded picture"),
        ({"instances": [{"b64": 5}]}, "instances[0] is not an encoded picture"),
        ({"instances": [{"b64": "%%"}]}, "instances: string 0 is not base64"),
        ({"instances": [{"b64": "é"}]}, "instances: string 0 is not base64"),
        ({"signature_name": 5, "instances": ROWS}, "signature_name must be a text."),
        (
            {"signature_name": "\ud800", "instances": ROWS},
            "There is no signature '\\ud800'; the model has serving_default, embedding, all.",
        ),
    ],
)
def test_malformed_documents_get_exact_words(client: Client, document: object, words: str) -> None:
    assert words.lower() in refusal(client, document)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, 'Send "examples", a list of {"image": {"b64": "BASE64"}}.'),
        ({"examples": [5]}, 'Send "examples"'),
        ({"examples": []}, "send at least one picture"),
        ({"examples": [{}]}, 'examples[0] is not an encoded picture; expected {"b64": "BASE64"}.'),
        ({"examples": [{"image": ROWS[0]}]}, "examples[0] is not an encoded picture"),
        ({"examples": [{"image": {"b64": "é"}}]}, "examples: string 0 is not base64"),
        ({"examples": [{}], "signature_name": "embedding"}, "'embedding' does not classify"),
    ],
)
def test_malformed_examples_get_exact_words(client: Client, document: object, words: str) -> None:
    assert words.lower() in refusal(client, document, "classify")


def test_bad_pictures_are_named(client: Client, encoded: list[dict[str, str]]) -> None:
    pictures = [encoded[0], {"b64": B64}]
    assert "picture 1: " in refusal(client, {"instances": pictures}, status=422)
    assert "picture 1: " in refusal(
        client, {"examples": [{"image": picture} for picture in pictures]}, "classify", 422
    )


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe\x00", b"[" * 100_000, b'{"inputs": ' + b"9" * 5000 + b"}"]
)
def test_broken_json(client: Client, body: bytes) -> None:
    assert "is not JSON" in error(client.post(f"{MODEL}:predict", content=body))
    assert "is not JSON" in error(client.post(f"{MODEL}:classify", content=body))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["images", "image", "b64", "x"]), inner)
    ),
    max_leaves=10,
)
ENCODED = st.fixed_dictionaries({"b64": st.sampled_from(["", "AAAA", B64, "="]) | JSON})
PICTURE = st.just(ROWS[0]) | ENCODED | st.fixed_dictionaries({"images": ENCODED | JSON}) | JSON
PICTURES = st.lists(PICTURE, max_size=3) | JSON
SIGNATURE = st.sampled_from(["serving_default", "all"]) | JSON
DOCUMENT = JSON | st.fixed_dictionaries(
    {},
    optional={
        "instances": PICTURES,
        "inputs": PICTURES | st.fixed_dictionaries({"images": PICTURES}),
        "examples": st.lists(st.fixed_dictionaries({"image": PICTURE})) | JSON,
        "signature_name": SIGNATURE,
    },
)
FUZZ = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@FUZZ
@given(document=DOCUMENT, verb=st.sampled_from(["predict", "classify"]))
def test_no_document_is_a_server_error(client: Client, document: object, verb: str) -> None:
    response = client.post(f"{MODEL}:{verb}", content=json.dumps(document))
    assert response.status_code < 500, response.text


@FUZZ
@given(body=st.binary(), verb=st.sampled_from(["predict", "classify"]))
def test_no_body_is_a_server_error(client: Client, body: bytes, verb: str) -> None:
    assert client.post(f"{MODEL}:{verb}", content=body).status_code < 500
