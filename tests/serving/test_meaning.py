"""Sets, "none of these" and heat maps in answers, of one process and through a gateway."""

import asyncio
import base64
import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from full_model import KNOWN, write_full
from PIL import Image
from starlette.testclient import TestClient

from discern.errors import ModelDamagedError
from discern.model import load
from discern.serving.access_log import AccessLog
from discern.serving.app import build_app, close, create_app, make_parts
from discern.serving.gateway import UpstreamCatalog
from discern.serving.local import Opener
from discern.serving.metrics import Metrics
from discern.serving.protocols.grpc_app import build_grpc_server
from discern.serving.repository import FolderRepository
from discern.serving.settings import ServeSettings
from discern.serving.workers import Workers

SETTINGS = ServeSettings()


@pytest.fixture
def full(tmp_path: Path, make_model: Callable[..., Path], pictures: list[Path]) -> Path:
    """models/pets/3, with every rule."""
    (tmp_path / "models" / "pets").mkdir(parents=True)
    return write_full(tmp_path / "models" / "pets" / "3", make_model, pictures)


@pytest.fixture
def client(full: Path) -> Iterator[TestClient]:
    with TestClient(create_app(full), raise_server_exceptions=False) as client:
        yield client


def ask(client: Any, picture: Path, **query: Any) -> Any:
    body = {"content": picture.read_bytes(), "headers": {"content-type": "image/png"}}
    return client.post("/predict", params=query, **body)


def heat_of(answer: Any) -> Image.Image:
    head, _, data = answer["heatmap"].partition(",")
    assert head == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


@asynccontextmanager
async def two_tiers(models: Path, **options: Any) -> Any:
    """A client of a gateway, its metrics, and the model server's gRPC behind it."""
    behind, before = make_parts(SETTINGS), make_parts(SETTINGS)
    catalog = FolderRepository(
        models, Opener(behind.workers, SETTINGS, behind.metrics), behind.metrics
    )
    await catalog.start()
    server = build_grpc_server(catalog, behind, log=AccessLog(io.StringIO()))
    upstream = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    scheme = options.pop("scheme", "grpc")
    gateway = UpstreamCatalog(
        [f"{scheme}://{upstream}"], before.workers, SETTINGS, before.metrics, **options
    )
    await gateway.start()
    app = build_app(gateway, before)
    try:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://gateway"
        ) as client:
            yield client
    finally:
        await gateway.stop()
        await server.stop(None)
        await catalog.stop()
        await close(before)
        await close(behind)


def test_answers_say_what_the_model_says(
    client: TestClient, full: Path, pictures: list[Path]
) -> None:
    right = load(full).predict(pictures)
    found = [ask(client, picture).json() for picture in pictures]
    assert [one["unknown"] for one in found] == [one.unknown for one in right]
    assert [one["unknown"] for one in found][: KNOWN + 1] == [False] * KNOWN + [True]
    assert [one["set"] for one in found] == [list(one.set or ()) for one in right]
    assert [one["heatmap"] for one in found] == [None] * len(pictures)
    strange = sum(bool(one.unknown) for one in right)
    line = f'discern_unknown_pictures_total{{model="pets",version="3"}} {strange}.0'
    assert line in client.get("/metrics").text


def test_sets_hold_more_the_more_coverage_is_asked_for(
    client: TestClient, pictures: list[Path]
) -> None:
    sizes = [
        [len(ask(client, picture, coverage=level).json()["set"]) for picture in pictures]
        for level in (0.5, 0.9, 0.99)
    ]
    assert sum(sizes[0]) < sum(sizes[2])
    assert all(a <= b <= c for a, b, c in zip(*sizes, strict=True))
    usual = [len(ask(client, picture).json()["set"]) for picture in pictures]
    assert usual == sizes[1]


@pytest.mark.parametrize(
    ("coverage", "words"),
    [("0.999", "from 0.5 to"), ("0.1", "from 0.5 to"), ("1.5", "coverage"), ("x", "coverage")],
)
def test_a_coverage_that_cannot_be_promised_is_refused(
    client: TestClient, pictures: list[Path], coverage: str, words: str
) -> None:
    answer = ask(client, pictures[0], coverage=coverage)
    assert answer.status_code == 400
    assert words in answer.json()["detail"]


def test_a_model_without_rules_says_null(
    make_model: Callable[..., Path], tmp_path: Path, pictures: list[Path]
) -> None:
    with TestClient(create_app(make_model(tmp_path / "old"))) as client:
        answer = ask(client, pictures[0], explain=1).json()
        assert [answer[key] for key in ("unknown", "set", "heatmap")] == [None] * 3
        model = client.get("/model").json()
        assert [model[key] for key in ("unknown", "set", "explain")] == [False] * 3
        assert [model[key] for key in ("coverage", "metadata")] == [None] * 2
        refused = ask(client, pictures[0], coverage=0.8)
        assert (refused.status_code, "no prediction sets" in refused.text) == (400, True)


def test_the_model_page_says_what_can_be_had(client: TestClient) -> None:
    model = client.get("/model").json()
    assert [model[key] for key in ("unknown", "set", "explain")] == [True] * 3
    assert model["coverage"] == 0.9


def test_heat_maps_lie_over_the_picture(client: TestClient, pictures: list[Path]) -> None:
    answer = ask(client, pictures[0], explain=1).json()
    heat = heat_of(answer)
    assert heat.size == (20, 24)  # the picture's own
    alpha = np.asarray(heat.convert("RGBA"))[..., 3]
    assert alpha.max() > alpha.min()
    several = client.post(
        "/predict?explain=1", files=[("file", p.read_bytes()) for p in pictures[:2]]
    ).json()["predictions"]
    assert [heat_of(one).size for one in several] == [(20, 24)] * 2
    assert several[0]["heatmap"] == answer["heatmap"]
    assert ask(client, pictures[0], explain=1, flat=1).json() == answer["scores"]


def test_no_heat_map_of_another_model_than_the_one_that_answered(
    client: TestClient, full: Path, pictures: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    (full / "model.onnx").write_bytes(b"another")
    answer = ask(client, pictures[0], explain=1)
    assert (answer.status_code, answer.json()["heatmap"]) == (200, None)
    assert "was replaced" in caplog.text


def test_arrays_are_not_for_people(client: TestClient) -> None:
    assert client.get("/model/files/unknown.npz").status_code == 404
    assert client.get("/model/files/report.html").status_code == 200


def test_a_gateway_answers_as_one_process_does(
    client: TestClient, full: Path, pictures: list[Path]
) -> None:
    query = {"coverage": 0.8, "explain": 1}
    right = [ask(client, picture, **query).json() for picture in pictures[:5]]

    async def main() -> tuple[Any, str, Any]:
        async with two_tiers(full.parent.parent) as gateway:
            found = [(await ask(gateway, picture, **query)).json() for picture in pictures[:5]]
            files = [("file", picture.read_bytes()) for picture in pictures]
            several = (await gateway.post("/predict", files=files)).json()["predictions"]
            assert {one["model"]["version"] for one in several} == {"3"}
            refused = await ask(gateway, pictures[0], coverage=0.999)
            assert refused.status_code == 400
            return found, (await gateway.get("/metrics")).text, (await gateway.get("/model")).json()

    found, metrics, model = asyncio.run(main())
    for one, other in zip(found, right, strict=True):
        assert one["scores"] == pytest.approx(other["scores"])
        for key in ("label", "unknown", "set", "heatmap"):
            assert one[key] == other[key], key
    assert [one["unknown"] for one in found] == [False] * KNOWN + [True] * 2
    assert 'discern_unknown_pictures_total{model="pets",version="3"}' in metrics
    assert [model[key] for key in ("unknown", "set", "explain")] == [True] * 3


@pytest.mark.parametrize(
    ("score", "known"), [("nearest_neighbours", False), ("maximum_probability", True)]
)
def test_without_embeddings_only_probabilities_tell_what_is_unknown(
    tmp_path: Path,
    make_model: Callable[..., Path],
    pictures: list[Path],
    score: str,
    known: bool,
) -> None:
    (tmp_path / "models" / "pets").mkdir(parents=True)
    folder = write_full(tmp_path / "models" / "pets" / "3", make_model, pictures, score=score)
    right = load(folder).predict(pictures)

    async def main() -> Any:
        options = {"scheme": "tf-serving", "model": folder}
        async with two_tiers(tmp_path / "models", **options) as gateway:
            model = (await gateway.get("/model")).json()
            assert (model["unknown"], model["set"], model["explain"]) == (known, True, False)
            return [(await ask(gateway, picture, explain=1)).json() for picture in pictures]

    found = asyncio.run(main())
    assert [one["unknown"] for one in found] == [one.unknown if known else None for one in right]
    assert [one["set"] for one in found] == [list(one.set or ()) for one in right]
    assert {one["heatmap"] for one in found} == {None}


def test_a_damaged_rule_keeps_a_model_from_being_served(full: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(full, broken)
    (broken / "unknown.npz").write_bytes(b"none")
    workers = Workers(1, 4)
    with pytest.raises(ModelDamagedError, match=r"unknown\.npz"):
        Opener(workers, SETTINGS, Metrics()).open("pets", "3", broken)
    workers.close()
