"""What every room's tests share: a cache of their own, tiny pictures, a tiny graph and model."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from PIL import Image

from discern.images import PreprocessSpec
from discern.images.digest import digest
from discern.model import ModelInfo, save_folder
from discern.model.interpreter import Interpreter
from discern.model.model import short_digest
from discern.model.reference import Reference, reference_files
from discern.runtime import Predictor
from discern.runtime.engine import create_engine

# How long an example takes says how busy the machine is, not whether the law holds.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

LABELS = ("cat", "dog", "fish")
SIDE, EMBEDDING = 16, 8
SPEC = PreprocessSpec(SIDE, SIDE)


CHROMIUM = (
    os.environ.get("DISCERN_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
)
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
    # Pages under a name of their own, and nothing beyond this machine.
    "--host-resolver-rules=MAP *.example 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


# Not longer than a module: while it runs, its thread has an event loop and can start no other.
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, driven by Playwright; skips where there is none."""
    api = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM:
        pytest.skip("no chromium on this machine (DISCERN_CHROMIUM names one)")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield started
        started.close()


@pytest.fixture
def visit(browser: Any, report: Path) -> Iterator[Callable[..., Any]]:
    """`visit(width, dark)` opens the page in the file `report`, which the
    test's own module makes; a request or a complaint of the page's fails."""
    complaints: list[str] = []
    context = browser.new_context()
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text))

    def heard(request: Any) -> None:
        if not request.url.startswith(("data:", report.as_uri())):
            complaints.append(request.url)

    def open_page(width: int = 1280, dark: bool = False) -> Any:
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme="dark" if dark else "light", reduced_motion="reduce")
        page.on("request", heard)
        page.goto(report.as_uri())
        return page

    yield open_page
    context.close()
    assert not complaints


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing that a test caches is seen by another, or by the person who runs them."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("DISCERN_CACHE", str(folder))
    return folder


def encoded(seed: int, height: int = 24, width: int = 20) -> bytes:
    """A PNG whose colours depend on the seed."""
    rng = np.random.default_rng(seed)
    tint = rng.integers(0, 256, 3)
    pixels = (rng.integers(0, 256, (height, width, 3)) + 3 * tint) // 4
    file = BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """21 small picture files: not a multiple of the size that pictures are handed out in."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    paths = [folder / f"{i:02d}.png" for i in range(21)]
    for i, path in enumerate(paths):
        path.write_bytes(encoded(i))
    return paths


GraphMaker = Callable[..., Path]


@pytest.fixture
def make_graph(tmp_path: Path) -> GraphMaker:
    """`make_graph(seed=0, head=True)` writes a network of one convolution, and a head behind it.

    images uint8 [N, H, W, 3] → probabilities [N, 3] (with the head), embedding [N, 8].
    """
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    def make(seed: int = 0, head: bool = True, name: str = "graph.onnx") -> Path:
        rng = np.random.default_rng(seed)
        arrays = {
            "scale": np.float32(1 / 255),
            "kernel": rng.normal(0, 1, (EMBEDDING, 3, 3, 3)).astype(np.float32),
            "weight": rng.normal(0, 1, (EMBEDDING, len(LABELS))).astype(np.float32),
        }
        node = helper.make_node
        nodes = [
            node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
            node("Mul", ["floats", "scale"], ["scaled"]),
            node("Transpose", ["scaled"], ["planes"], perm=[0, 3, 1, 2]),
            node("Conv", ["planes", "kernel"], ["maps"], strides=[2, 2]),
            node("Relu", ["maps"], ["positive"]),
            node("GlobalAveragePool", ["positive"], ["pooled"]),
            node("Flatten", ["pooled"], ["embedding"]),
        ]
        outputs = {"embedding": EMBEDDING}
        if head:
            nodes.append(node("Gemm", ["embedding", "weight"], ["logits"]))
            nodes.append(node("Softmax", ["logits"], ["probabilities"], axis=1))
            outputs = {"probabilities": len(LABELS)} | outputs
        graph = helper.make_graph(
            nodes,
            "tiny",
            [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", "H", "W", 3])],
            [
                helper.make_tensor_value_info(key, TensorProto.FLOAT, ["N", width])
                for key, width in outputs.items()
            ],
            [numpy_helper.from_array(np.asarray(a), key) for key, a in arrays.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
        onnx.checker.check_model(model)
        path = tmp_path / name
        path.write_bytes(model.SerializeToString())
        return path

    return make


@pytest.fixture
def graph(make_graph: GraphMaker) -> Path:
    """The network with its head."""
    return make_graph()


@pytest.fixture
def info() -> ModelInfo:
    return ModelInfo(
        labels=LABELS,
        preprocess=SPEC,
        backbone={"name": "tiny"},
        temperature=1.5,
        training={"mode": "frozen"},
        dataset={"fingerprint": "f", "counts": {"train": {"cat": 2}}},
        seed=3,
        versions={"discern": "0"},
        created="2026-01-01T00:00:00+00:00",
        metrics={"test": {"accuracy": 0.5}},
    )


def model_files(graph: Path, pictures: list[Path]) -> dict[str, bytes | Path]:
    """What stands in a model folder beside model.json."""
    predictor = Predictor(create_engine(graph, "onnxruntime"), SPEC, Interpreter(LABELS))
    references = [
        Reference(path.name, path.read_bytes(), prediction.scores)
        for path, prediction in zip(pictures[:8], predictor.predict(pictures[:8]), strict=True)
    ]
    seen = BytesIO()
    np.save(seen, np.sort([short_digest(digest(p.read_bytes())) for p in pictures[:5]]))
    return {"model.onnx": graph, "seen.npy": seen.getvalue(), **reference_files(references)}


@pytest.fixture
def files(graph: Path, pictures: list[Path]) -> dict[str, bytes | Path]:
    return model_files(graph, pictures)


@pytest.fixture
def model_folder(tmp_path: Path, info: ModelInfo, files: dict[str, bytes | Path]) -> Path:
    """A complete model folder."""
    save_folder(tmp_path / "my-model", info, files)
    return tmp_path / "my-model"


ModelMaker = Callable[..., Path]


@pytest.fixture
def make_model(make_graph: GraphMaker, pictures: list[Path], info: ModelInfo) -> ModelMaker:
    """`make_model(folder, seed=0, **changes)` writes a model folder with a report.

    Models of different seeds give different answers; `changes` are fields of its info.
    """

    def make(folder: Path, seed: int = 0, **changes: object) -> Path:
        graph = make_graph(seed, name=f"graph-{seed}.onnx")
        files = model_files(graph, pictures) | {"report.html": b"<h1>Report</h1>"}
        save_folder(folder, replace(info, **changes), files)  # type: ignore[arg-type]
        return folder

    return make
