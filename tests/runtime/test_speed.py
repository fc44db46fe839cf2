"""Speeds are of whole answers, from bytes to outputs, and are measured, not assumed."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from discern.errors import EngineError, PictureFormatError
from discern.images import PreprocessSpec
from discern.runtime.machine import cores
from discern.runtime.speed import FEWEST, WARM_UP, measure_speed

SPEC = PreprocessSpec(16, 16)
QUICK = {"seconds": 0.05, "engine": "onnxruntime", "precision": "f32"}


def encoded(pictures: list[Path]) -> list[bytes]:
    return [path.read_bytes() for path in pictures]


def noise(side: int) -> bytes:
    """A PNG of this side."""
    pixels = np.random.default_rng(side).integers(0, 256, (side, side, 3), dtype=np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_what_is_measured(graph: Path, pictures: list[Path]) -> None:
    speed = measure_speed(graph, SPEC, encoded(pictures), **QUICK)
    assert 0 < speed.latency_ms <= speed.p95_ms
    assert speed.pictures_per_second > 0
    assert (speed.engine, speed.precision, speed.cores) == ("onnxruntime", "f32", cores())


def test_decoding_is_counted_in(graph: Path) -> None:
    small = measure_speed(graph, SPEC, [noise(24)], **QUICK)
    large = measure_speed(graph, SPEC, [noise(1500)], **QUICK)
    assert large.latency_ms > 3 * small.latency_ms
    assert large.pictures_per_second < small.pictures_per_second / 3


def test_a_larger_input_is_slower(graph: Path, pictures: list[Path]) -> None:
    small = measure_speed(graph, SPEC, encoded(pictures), **QUICK)
    large = measure_speed(graph, replace(SPEC, height=512, width=512), encoded(pictures), **QUICK)
    assert large.latency_ms > 3 * small.latency_ms


class Counted(list[bytes]):
    """Pictures that count how often one of them was taken."""

    taken = 0

    def __getitem__(self, i: int) -> bytes:  # type: ignore[override]
        self.taken += 1
        return super().__getitem__(i)


def test_a_few_answers_are_timed_however_little_time_there_is(
    graph: Path, pictures: list[Path]
) -> None:
    counted = Counted(encoded(pictures))
    measure_speed(graph, SPEC, counted, **QUICK | {"seconds": 0.0})
    assert FEWEST + cores() < counted.taken <= WARM_UP + FEWEST + 1 + cores()


def test_what_cannot_be_measured(graph: Path, pictures: list[Path]) -> None:
    with pytest.raises(PictureFormatError):
        measure_speed(graph, SPEC, [b"no picture"], **QUICK)
    with pytest.raises(EngineError, match="Unknown engine"):
        measure_speed(graph, SPEC, encoded(pictures), **QUICK | {"engine": "abacus"})
