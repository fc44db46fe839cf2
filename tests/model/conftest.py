"""A small model folder, written as training writes one."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from discern.images import PreprocessSpec
from discern.images.digest import digest
from discern.model import ModelInfo, save_folder
from discern.model.model import short_digest
from discern.model.reference import Reference, reference_files
from discern.runtime import Predictor
from discern.runtime.engine import create_engine

LABELS = ("cat", "dog", "fish")
SPEC = PreprocessSpec(16, 16)


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


@pytest.fixture
def files(graph: Path, pictures: list[Path]) -> dict[str, bytes | Path]:
    """What stands in the folder beside model.json."""
    predictor = Predictor(create_engine(graph, "onnxruntime"), SPEC, LABELS)
    references = [
        Reference(path.name, path.read_bytes(), prediction.scores)
        for path, prediction in zip(pictures[:8], predictor.predict(pictures[:8]), strict=True)
    ]
    seen = BytesIO()
    np.save(seen, np.sort([short_digest(digest(p.read_bytes())) for p in pictures[:5]]))
    return {"model.onnx": graph, "seen.npy": seen.getvalue(), **reference_files(references)}


@pytest.fixture
def model_folder(tmp_path: Path, info: ModelInfo, files: dict[str, bytes | Path]) -> Path:
    """A complete model folder."""
    save_folder(tmp_path / "my-model", info, files)
    return tmp_path / "my-model"
