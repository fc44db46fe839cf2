"""One model folder as a catalog, and the servable that answers for it."""

import asyncio
import hashlib
import json
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from discern.errors import (
    DeadlineError,
    EngineError,
    ModelDamagedError,
    ModelFormatError,
    OverloadedError,
    PictureFormatError,
    PictureLimitError,
    RequestError,
    UnknownModelError,
)
from discern.model import load
from discern.model.reference import EXPECTED
from discern.serving.catalog import VersionStatus
from discern.serving.local import LocalServable, ModelSettings, Opener
from discern.serving.metrics import Metrics
from discern.serving.settings import RequestLimits, ServeSettings
from discern.serving.single import SingleModel, name_and_version
from discern.serving.workers import Workers


def soon(seconds: float = 20.0) -> float:
    return time.monotonic() + seconds


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def opener(metrics: Metrics) -> Iterator[Opener]:
    workers = Workers(2, 20, metrics.waited)
    yield Opener(workers, ServeSettings(RequestLimits(picture_pixels=10_000)), metrics)
    workers.close()


@pytest.fixture
def servable(opener: Opener, model_folder: Path) -> LocalServable:
    return opener.open("pets", "3", model_folder)


def test_a_picture_gets_what_predict_gives(
    servable: LocalServable, model_folder: Path, pictures: list[Path]
) -> None:
    model = load(model_folder)
    for path, expected in zip(pictures[:5], model.predict(pictures[:5]), strict=True):
        outputs = asyncio.run(servable.picture(path.read_bytes(), soon()))
        scores = dict(zip(servable.info.labels, outputs["probabilities"].tolist(), strict=True))
        assert scores == expected.scores
        assert outputs["embedding"].shape == (8,)


def test_pixels_get_what_their_pictures_get(
    servable: LocalServable, model_folder: Path, pictures: list[Path]
) -> None:
    pixels = load(model_folder).reference_pixels()
    outputs = asyncio.run(servable.pixels(pixels, soon()))
    for path, row in zip(pictures, outputs["probabilities"], strict=False):
        alone = asyncio.run(servable.picture(path.read_bytes(), soon()))["probabilities"]
        assert np.array_equal(alone, row)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, 16, 16, 3), np.float32),
        np.zeros((1, 3, 16, 16), np.uint8),
        np.zeros((1, 17, 16, 3), np.uint8),
        np.zeros((16, 16, 3), np.uint8),
        np.zeros((0, 16, 16, 3), np.uint8),
        np.uint8(1),
    ],
)
def test_other_pixels_are_refused_in_words(servable: LocalServable, images: np.ndarray) -> None:
    with pytest.raises(RequestError, match="images is"):
        asyncio.run(servable.pixels(np.asarray(images), soon()))


def test_what_is_no_picture_is_its_own_error(servable: LocalServable, pictures: list[Path]) -> None:
    large = BytesIO()
    Image.new("RGB", (101, 100)).save(large, "PNG")
    with pytest.raises(PictureFormatError):
        asyncio.run(servable.picture(b"GIF8 or so", soon()))
    with pytest.raises(PictureLimitError):
        asyncio.run(servable.picture(large.getvalue(), soon()))
    with pytest.raises(DeadlineError):
        asyncio.run(servable.picture(pictures[0].read_bytes(), soon(-1)))


def test_only_pictures_that_were_answered_are_counted(
    servable: LocalServable, metrics: Metrics, pictures: list[Path]
) -> None:
    asyncio.run(servable.picture(pictures[0].read_bytes(), soon()))
    asyncio.run(servable.pixels(np.zeros((4, 16, 16, 3), np.uint8), soon()))
    with pytest.raises(PictureFormatError):
        asyncio.run(servable.picture(b"", soon()))
    assert b'discern_pictures_total{model="pets",version="3"} 5.0' in metrics.text()


def test_people_see_the_report_and_the_reference_pictures(
    opener: Opener, make_model, tmp_path: Path, pictures: list[Path]
) -> None:
    servable = opener.open("pets", "1", make_model(tmp_path / "pets"))
    assert asyncio.run(servable.file("report.html")) == b"<h1>Report</h1>"
    assert asyncio.run(servable.file("reference/00.png")) == pictures[0].read_bytes()
    for name in ("model.onnx", "model.json", "../pets/report.html", "reference", ""):
        assert asyncio.run(servable.file(name)) is None


def damaged_graph(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"x")


def no_references(folder: Path) -> None:
    """With hashes that match: as somebody may have written it."""
    rewrite(folder, b"[]")


def other_answers(folder: Path) -> None:
    text = (folder / EXPECTED).read_text()
    rewrite(folder, text.replace('"dog"', '"x"').replace('"cat"', '"dog"').encode())


def rewrite(folder: Path, expected: bytes) -> None:
    (folder / EXPECTED).write_bytes(expected)
    info = json.loads((folder / "model.json").read_text())
    info["files"][EXPECTED] = hashlib.sha256(expected).hexdigest()
    (folder / "model.json").write_text(json.dumps(info))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damaged_graph, "has changed since it was written"),
        (no_references, "has no reference pictures"),
        (other_answers, "8 of 8 reference pictures get another answer"),
    ],
)
def test_a_model_that_cannot_be_trusted_is_not_served(
    opener: Opener, metrics: Metrics, model_folder: Path, damage, message: str
) -> None:
    damage(model_folder)
    single = SingleModel(model_folder, opener, metrics)
    with pytest.raises(ModelDamagedError, match=message):
        asyncio.run(single.start())
    assert not single.ready


def test_an_engine_that_is_not_there_is_told(opener: Opener, model_folder: Path) -> None:
    with pytest.raises(EngineError, match="Unknown engine 'magic'"):
        opener.open("pets", "1", model_folder, ModelSettings(engine="magic"))


def test_no_model_folder(opener: Opener, metrics: Metrics, tmp_path: Path) -> None:
    with pytest.raises(ModelFormatError, match="is not a model folder"):
        asyncio.run(SingleModel(tmp_path, opener, metrics).start())


def test_a_single_model_from_start_to_stop(
    opener: Opener, metrics: Metrics, model_folder: Path
) -> None:
    async def scenario() -> None:
        single = SingleModel(model_folder, opener, metrics)
        assert not single.ready
        assert single.statuses() == {"my-model": [VersionStatus("1", "loading")]}
        with pytest.raises(OverloadedError, match="is being loaded"):
            single.find()
        await single.start()
        assert single.ready
        assert single.statuses() == {"my-model": [VersionStatus("1", "available")]}
        assert single.find() is single.find("my-model") is single.find("my-model", "1")
        with pytest.raises(UnknownModelError, match="'my-model' is served"):
            single.find("other")
        with pytest.raises(UnknownModelError, match="1 is served"):
            single.find(version="2")
        assert b'discern_model_info{model="my-model",version="1"} 1.0' in metrics.text()
        await single.stop()
        assert not single.ready
        assert b"discern_model_info{" not in metrics.text()
        await single.stop()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("clothes", ("clothes", "1")),
        ("clothes/3", ("clothes", "3")),
        ("clothes/003", ("clothes", "3")),
        ("clothes/v3", ("v3", "1")),
        ("clothes/３", ("３", "1")),
        ("a/../clothes/3/.", ("clothes", "3")),
    ],
)
def test_the_folder_says_name_and_version(
    tmp_path: Path, path: str, expected: tuple[str, str]
) -> None:
    (tmp_path / "a").mkdir()
    assert name_and_version(tmp_path / path) == expected
