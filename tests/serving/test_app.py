"""The HTTP API, as clients of a loaded app see it."""

import base64
import io
import json
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

import discern
from discern.serving import answers
from discern.serving.settings import AccessSettings, RequestLimits

MakeClient = Callable[..., TestClient]
PROBLEM = "application/problem+json"


@pytest.fixture
def picture(pictures: list[Path]) -> bytes:
    return pictures[0].read_bytes()


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds nothing: a bomb's beginning."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


class TestWaysIn:
    def test_every_way_gives_what_the_library_gives(
        self, client: TestClient, served: Path, picture: bytes
    ) -> None:
        expected = discern.load(served).predict(picture)[0]
        ways = [
            client.post("/predict", files={"file": ("a.png", picture, "image/png")}),
            client.post("/predict", content=picture, headers={"content-type": "image/png"}),
            client.post(
                "/predict", content=picture, headers={"content-type": "application/octet-stream"}
            ),
            client.post("/predict", content=picture, headers={"content-type": ""}),
            client.post("/predict", json={"image": base64.b64encode(picture).decode()}),
            client.post(
                "/predict",
                json={"image": f"data:image/png;base64,{base64.b64encode(picture).decode()}"},
            ),
        ]
        for answer in ways:
            assert answer.status_code == 200, answer.text
            body = answer.json()
            assert body["label"] == expected.label
            assert body["probability"] == expected.probability
            assert list(body["scores"].items()) == list(expected.scores.items())
            assert body["model"] == {"name": "pets", "version": "3"}
            assert body["unknown"] is body["set"] is body["heatmap"] is None

    def test_several_files_get_an_answer_each_in_order(
        self, client: TestClient, served: Path, pictures: list[Path]
    ) -> None:
        files = [("file", (path.name, path.read_bytes())) for path in pictures[:5]]
        files.insert(2, ("file", ("broken.png", b"not a picture")))
        found = client.post("/predict", files=files).json()["predictions"]
        assert [one["name"] for one in found] == [name for _, (name, _) in files]
        assert found[2]["error"]["status"] == 422
        assert "unknown format" in found[2]["error"]["detail"]
        expected = [p.label for p in discern.load(served).predict(pictures[:5])]
        assert [one["label"] for one in found if "label" in one] == expected

    def test_several_in_a_document_give_a_list_even_if_it_is_one(
        self, client: TestClient, picture: bytes
    ) -> None:
        document = {"pictures": [{"image": base64.b64encode(picture).decode()}]}
        (one,) = client.post("/predict", json=document).json()["predictions"]
        assert one["label"]

    def test_top_k_cuts_and_flat_flattens(self, client: TestClient, picture: bytes) -> None:
        full = client.post("/predict", content=picture).json()["scores"]
        two = client.post("/predict?top_k=2", content=picture).json()["scores"]
        assert list(two.items()) == list(full.items())[:2]
        assert client.post("/predict?flat=1", content=picture).json() == full
        files = [("file", ("a", picture)), ("file", ("b", b"GIF89a"))]
        first, second = client.post("/predict?flat=1", files=files).json()
        assert first == full
        assert second["error"]["status"] == 422


BAD_BODIES = [
    (b"", "image/png", 400, "no body"),
    (b"hello", "image/png", 422, "unknown format"),
    (b"\xff\xd8\xff\xe0", "image/jpeg", 422, "JPEG"),
    (png_header(40_000, 10), "image/png", 413, "side"),
    (png_header(20_000, 20_000), "image/png", 413, "pixels"),
    (b"x=1", "application/x-www-form-urlencoded", 415, "multipart"),
    (b"{", "application/json", 400, "not JSON"),
    (b"\xff\xfe", "application/json", 400, "not JSON"),
    (b"[" * 100_000, "application/json", 400, "not JSON"),
    (b"[]", "application/json", 400, "object"),
    (b'{"image": 5}', "application/json", 400, "Expected"),
    (b'{"image": "!!"}', "application/json", 400, "base64"),
    (b'{"image": "", "url": ""}', "application/json", 400, "Expected"),
    (b'{"pictures": []}', "application/json", 400, "empty"),
    (b'{"pictures": [7]}', "application/json", 400, "Expected"),
    (b"--x--", "multipart/form-data", 400, "boundary"),
    (b"nonsense", "multipart/form-data; boundary=x", 400, "multipart"),
    (
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb',
        "multipart/form-data; boundary=x",
        400,
        "ends before",
    ),
    (
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n',
        "multipart/form-data; boundary=x",
        400,
        "no file",
    ),
]


class TestBadInput:
    @pytest.mark.parametrize(("body", "kind", "status", "words"), BAD_BODIES)
    def test_a_bad_body_is_a_clear_4xx(
        self, client: TestClient, body: bytes, kind: str, status: int, words: str
    ) -> None:
        answer = client.post("/predict", content=body, headers={"content-type": kind})
        assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM)
        problem = answer.json()
        assert problem["status"] == status
        assert words in problem["detail"]
        assert problem["request_id"] == answer.headers["x-request-id"]

    def test_odd_pictures(self, client: TestClient, picture: bytes) -> None:
        frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
        gif = io.BytesIO()
        frames[0].save(gif, "GIF", save_all=True, append_images=frames[1:])
        assert client.post("/predict", content=gif.getvalue()).status_code == 200  # first frame
        wrong_suffix = {"file": ("a.jpg", picture, "image/jpeg")}
        assert client.post("/predict", files=wrong_suffix).status_code == 200
        polyglot = picture + b"<script>alert(1)</script>"
        assert client.post("/predict", content=polyglot).status_code == 200
        assert client.post("/predict", content=picture[:60]).status_code == 422

    @pytest.mark.parametrize("query", ["top_k=0", "top_k=x", "flat=perhaps"])
    def test_a_wrong_parameter_is_named(
        self, client: TestClient, picture: bytes, query: str
    ) -> None:
        answer = client.post(f"/predict?{query}", content=picture)
        assert answer.status_code == 400
        assert query.partition("=")[0] in answer.json()["detail"]

    def test_an_unknown_model_version_path_or_method(
        self, client: TestClient, picture: bytes
    ) -> None:
        for query in ("model=dogs", "version=9"):
            answer = client.post(f"/predict?{query}", content=picture)
            assert answer.status_code == 404
            assert "pets" in answer.json()["detail"] or "3" in answer.json()["detail"]
        assert client.get("/nowhere").status_code == 404
        assert client.get("/nowhere").headers["content-type"] == PROBLEM
        assert client.get("/predict").status_code == 405
        assert client.get("/v2/models/nowhere").json().keys() == {"error"}

    def test_limits(self, make_client: MakeClient, picture: bytes) -> None:
        limits = RequestLimits(picture_bytes=1000, body_bytes=3000, pictures=2)
        client = make_client(limits=limits)
        assert client.post("/predict", content=picture[:1001]).status_code == 413
        assert client.post("/predict", content=b"x" * 3001).status_code == 413

        def pieces() -> Iterator[bytes]:
            yield b"x" * 2000
            yield b"x" * 2000

        assert client.post("/predict", content=pieces()).status_code == 413  # no length told
        files = [("file", (str(i), b"x")) for i in range(3)]
        answer = client.post("/predict", files=files)
        assert answer.status_code == 400
        assert "at most 2" in answer.json()["detail"]

    def test_compressed_bodies_are_not_taken(self, client: TestClient) -> None:
        for path in ("/predict", "/v1/models/pets:predict", "/v2/models/pets/infer"):
            answer = client.post(path, content=b"x", headers={"content-encoding": "gzip"})
            assert answer.status_code == 415

    def test_a_url_that_must_not_be_fetched(self, client: TestClient) -> None:
        answer = client.post("/predict", json={"url": "http://169.254.169.254/latest/meta-data"})
        assert answer.status_code == 403
        assert answer.json()["type"] == "urn:discern:problem:fetch-refused"


class TestAccess:
    def test_keys(self, make_client: MakeClient, picture: bytes, tmp_path: Path) -> None:
        from discern.serving.access import hashed, new_key

        key, file = new_key(), tmp_path / "keys"
        file.write_text(f"alice:{hashed(key)}\n")
        client = make_client(access=AccessSettings(keys_file=str(file)))
        refused = client.post("/predict", content=picture)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"
        for headers in ({"x-api-key": key}, {"authorization": f"Bearer {key}"}):
            assert client.post("/predict", content=picture, headers=headers).status_code == 200
        assert (
            client.post("/predict", content=picture, headers={"x-api-key": "no"}).status_code == 401
        )
        for path in ("/metrics", "/v1/models/pets", "/v2/models/pets", "/model/files/report.html"):
            assert client.get(path).status_code == 401, path
        for path in ("/", "/healthz", "/readyz", "/model", "/docs", "/openapi.json"):
            assert client.get(path).status_code == 200, path
        assert client.get("/model").json()["key"] is True
        assert client.get("/openapi.json").json()["security"] == [{"key": []}, {"bearer": []}]

    def test_rate(self, make_client: MakeClient, picture: bytes) -> None:
        client = make_client(access=AccessSettings(rate=0.01, burst=2))
        statuses = [client.post("/predict", content=picture).status_code for _ in range(3)]
        assert statuses == [200, 200, 429]
        assert int(client.post("/predict").headers["retry-after"]) > 50
        assert client.get("/healthz").status_code == 200

    def test_other_pages_may_not_call_unless_allowed(
        self, client: TestClient, make_client: MakeClient, picture: bytes
    ) -> None:
        origin = {"origin": "https://example.org"}
        answer = client.post("/predict", content=picture, headers=origin)
        assert "access-control-allow-origin" not in answer.headers
        open_client = make_client(access=AccessSettings(origins=("https://example.org",)))
        answer = open_client.post("/predict", content=picture, headers=origin)
        assert answer.headers["access-control-allow-origin"] == "https://example.org"


class TestAround:
    def test_health_and_metrics(self, client: TestClient, picture: bytes) -> None:
        assert client.get("/healthz").text == "alive\n"
        assert client.get("/readyz").text == "ready\n"
        client.post("/predict", content=picture)
        client.post("/predict", content=b"broken")
        text = client.get("/metrics").text
        for line in (
            'discern_requests_total{route="/predict",status="200"} 1.0',
            'discern_requests_total{route="/predict",status="422"} 1.0',
            'discern_errors_total{kind="picture"} 1.0',
            'discern_pictures_total{model="pets",version="3"} 1.0',
            'discern_model_info{model="pets",version="3"} 1.0',
        ):
            assert line in text

    def test_the_model_describes_itself(self, client: TestClient) -> None:
        model = client.get("/model").json()
        assert (model["name"], model["version"], model["labels"]) == (
            "pets",
            "3",
            ["cat", "dog", "fish"],
        )
        assert len(model["examples"]) == 8
        example = client.get(f"/{model['examples'][0]}")
        assert example.headers["content-type"] == "image/png"
        assert Image.open(io.BytesIO(example.content)).size == (20, 24)
        report = client.get(f"/{model['report']}")
        assert report.headers["content-type"].startswith("text/html")
        assert client.get("/model/files/model.onnx").status_code == 404
        assert client.get("/model/files/../../etc/passwd").status_code == 404

    def test_request_ids_and_security_headers(self, client: TestClient) -> None:
        answer = client.get("/healthz", headers={"x-request-id": "abc-1"})
        assert answer.headers["x-request-id"] == "abc-1"
        assert (
            client.get("/healthz", headers={"x-request-id": "a b\x01"}).headers["x-request-id"]
            != "a b"
        )
        assert answer.headers["x-content-type-options"] == "nosniff"
        page = client.get("/")
        assert "script-src 'self'" in page.headers["content-security-policy"]
        again = client.get("/", headers={"if-none-match": page.headers["etag"]})
        assert again.status_code == 304

    def test_a_bug_is_a_500_that_tells_nothing(
        self, client: TestClient, picture: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: object) -> None:
            raise ValueError("secret")

        monkeypatch.setattr(answers, "answer", broken)
        answer = client.post("/predict", content=picture)
        assert (answer.status_code, answer.headers["content-type"]) == (500, PROBLEM)
        assert "secret" not in answer.text
        assert client.get("/healthz").status_code == 200

    def test_openapi_documents_every_problem(self, client: TestClient) -> None:
        document = client.get("/openapi.json").json()
        responses = document["paths"]["/predict"]["post"]["responses"]
        assert {"200", "400", "401", "413", "422", "429", "503"} <= responses.keys()
        assert "HTTPValidationError" not in json.dumps(document)
