"""Pictures stream through: in order, read no further ahead than needed, one bad one its own row."""

import threading
from collections.abc import Iterator
from io import BytesIO
from itertools import count, islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from discern.errors import EngineError, PictureError, PictureFormatError, PictureReadError
from discern.images import PictureLimits, PreprocessSpec
from discern.runtime.engine import Engine, create_engine
from discern.runtime.pipeline import CHUNK, chunks, ordered_map, run_pictures, to_pixels

SPEC = PreprocessSpec(16, 16)


class Source:
    """Endless items that remember how far they were read."""

    def __init__(self, items: Iterator[object]) -> None:
        self.items, self.read = items, 0

    def __iter__(self) -> "Source":
        return self

    def __next__(self) -> object:
        self.read += 1
        return next(self.items)


def workers_alive() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("discern")]


@given(st.lists(st.integers()), st.integers(1, 9))
def test_chunks_are_the_items_in_order(items: list[int], size: int) -> None:
    found = list(chunks(items, size))
    assert [item for chunk in found for item in chunk] == items
    assert all(len(chunk) == size for chunk in found[:-1])
    assert all(found)


@pytest.mark.parametrize("workers", [1, 4])
def test_order_is_kept_when_the_first_is_the_last_to_finish(workers: int) -> None:
    others = threading.Semaphore(0)

    def work(item: int) -> int:
        if item == 0 and workers > 1:
            for _ in range(5):  # more than the other workers: each of them had several
                others.acquire()
        others.release()
        return -item

    assert list(ordered_map(work, range(20), workers)) == [-i for i in range(20)]


def test_nothing_to_map() -> None:
    assert list(ordered_map(str, [], 2)) == []


def test_an_endless_source_is_not_read_far_ahead() -> None:
    source = Source(count())
    results = ordered_map(lambda x: x, source, workers=2, ahead=3)
    assert source.read == 0
    for taken in range(1, 30):
        assert next(results) == taken - 1
        assert source.read <= taken + 6
    results.close()
    assert not workers_alive()


def test_an_exception_comes_out_in_its_place_and_the_threads_stop() -> None:
    def work(item: int) -> int:
        return 1 // (item - 5)

    results = ordered_map(work, count(), workers=2)
    assert len(list(islice(results, 5))) == 5
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert not workers_alive()


def test_an_exception_of_the_source_comes_out() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(ordered_map(str, source(), 2))
    assert not workers_alive()


def test_pictures_come_out_in_order_and_as_one_by_one(graph: Path, pictures: list[Path]) -> None:
    engine = create_engine(graph, "onnxruntime")
    answers = list(run_pictures(pictures, engine, SPEC, workers=3))
    assert len(answers) == len(pictures)
    for path, answer in zip(pictures, answers, strict=True):
        alone = engine.run(to_pixels(path, SPEC)[None])
        assert answer.keys() == alone.keys()
        assert all(np.array_equal(answer[name], alone[name][0]) for name in alone)


def test_a_bad_picture_costs_its_own_place(graph: Path, pictures: list[Path]) -> None:
    engine = create_engine(graph, "onnxruntime")
    pictures[2].unlink()
    mixed = [b"no picture", *pictures[:4], b""]
    answers = list(run_pictures(mixed, engine, SPEC))
    kinds = [type(answer) for answer in answers]
    assert kinds == [PictureFormatError, dict, dict, PictureReadError, dict, PictureFormatError]
    expected = engine.run(to_pixels(pictures[3], SPEC)[None])
    assert np.array_equal(answers[4]["embedding"], expected["embedding"][0])


def test_only_bad_pictures(graph: Path) -> None:
    answers = list(run_pictures([b"bad"] * 10, create_engine(graph, "onnxruntime"), SPEC))
    assert [type(answer) for answer in answers] == [PictureFormatError] * 10


def test_limits_hold(graph: Path, pictures: list[Path]) -> None:
    engine = create_engine(graph, "onnxruntime")
    (answer,) = run_pictures(pictures[:1], engine, SPEC, PictureLimits(max_pixels=9))
    assert isinstance(answer, PictureError)
    assert "at most 9" in str(answer)


def test_endless_pictures_are_read_a_few_chunks_ahead(graph: Path, pictures: list[Path]) -> None:
    source = Source(pictures[i % len(pictures)] for i in count())
    answers = run_pictures(source, create_engine(graph, "onnxruntime"), SPEC, workers=2)
    for taken, _answer in enumerate(islice(answers, 200), start=1):
        assert source.read <= taken + CHUNK * (2 * 3 + 1)
    answers.close()
    assert not workers_alive()


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def gradient(mode: str) -> Image.Image:
    """A picture of this mode; what has an alpha channel is transparent on one side."""
    ramp = np.arange(32 * 24, dtype=np.uint32).reshape(24, 32)
    if mode == "I;16":
        return Image.fromarray((ramp * 80).astype(np.uint16))
    bands = len(Image.new(mode, (1, 1)).getbands())
    levels = np.stack([(ramp * (3 + i)) % 256 for i in range(bands)], -1).astype(np.uint8)
    return Image.merge(mode, [Image.fromarray(levels[..., i]) for i in range(bands)])


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16"])
def test_a_pillow_image_is_seen_as_its_file_is(mode: str) -> None:
    image = gradient(mode)
    assert np.array_equal(to_pixels(image, SPEC), to_pixels(encoded(image), SPEC))


def test_a_pillow_image_with_a_palette_and_a_transparent_colour() -> None:
    image = gradient("RGB").quantize(8)
    image.info["transparency"] = 3
    assert np.array_equal(to_pixels(image, SPEC), to_pixels(encoded(image), SPEC))


def test_a_pillow_image_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(gradient("RGB"), exif=exif)
    opened = Image.open(BytesIO(data))
    assert np.array_equal(to_pixels(opened, SPEC), to_pixels(data, SPEC))


def test_a_pillow_image_is_left_as_it_was() -> None:
    image = gradient("RGB")
    image.info["comment"] = "mine"
    before = image.tobytes()
    to_pixels(image, SPEC)
    assert (image.info, image.tobytes()) == ({"comment": "mine"}, before)


def test_a_pillow_image_whose_file_is_truncated() -> None:
    data = encoded(gradient("RGB"))
    opened = Image.open(BytesIO(data[: len(data) // 2]))
    with pytest.raises(PictureError, match="truncated"):
        to_pixels(opened, SPEC)


@pytest.fixture
def informed(graph_with_metadata: Path) -> Engine:
    """An engine whose graph takes facts beside the pictures."""
    return create_engine(graph_with_metadata, "onnxruntime")


def test_each_picture_keeps_its_metadata(informed: Engine, pictures: list[Path]) -> None:
    rows = np.random.default_rng(0).normal(0, 1, (21, 2)).astype(np.float32)
    metadata = [None if i % 5 == 2 else row for i, row in enumerate(rows)]
    mixed = [b"no picture" if i % 4 == 3 else path for i, path in enumerate(pictures)]
    answers = list(run_pictures(mixed, informed, SPEC, metadata=iter(metadata)))
    assert len(answers) == 21
    for picture, row, answer in zip(mixed, metadata, answers, strict=True):
        if isinstance(picture, bytes):
            assert isinstance(answer, PictureError)
            continue
        beside = None if row is None else row[None]
        alone = informed.run(to_pixels(picture, SPEC)[None], beside)
        assert np.array_equal(answer["probabilities"], alone["probabilities"][0])


def test_a_graph_with_metadata_does_without(informed: Engine, pictures: list[Path]) -> None:
    given = run_pictures(pictures, informed, SPEC, metadata=[np.zeros(2, np.float32)] * 21)
    for bare, zeros in zip(run_pictures(pictures, informed, SPEC), given, strict=True):
        assert np.array_equal(bare["probabilities"], zeros["probabilities"])


def test_endless_metadata_are_read_a_few_chunks_ahead(
    informed: Engine, pictures: list[Path]
) -> None:
    files = Source(pictures[i % len(pictures)] for i in count())
    rows = Source(np.full(2, i % 3, np.float32) for i in count())
    answers = run_pictures(files, informed, SPEC, workers=2, metadata=rows)
    for taken, _answer in enumerate(islice(answers, 60), start=1):
        assert files.read == rows.read <= taken + CHUNK * (2 * 3 + 1)
    answers.close()


def test_fewer_metadata_than_pictures(informed: Engine, pictures: list[Path]) -> None:
    with pytest.raises(ValueError, match="shorter"):
        list(run_pictures(pictures, informed, SPEC, metadata=[None] * 20))


def test_metadata_that_the_graph_does_not_take(graph: Path, pictures: list[Path]) -> None:
    engine, rows = create_engine(graph, "onnxruntime"), [np.zeros(2, np.float32)] * 21
    with pytest.raises(EngineError, match="takes no metadata"):
        list(run_pictures(pictures, engine, SPEC, metadata=rows))
