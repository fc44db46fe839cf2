"""A tiny model and the data it is exported with."""

from pathlib import Path

import pytest
from exporting import write_data

from discern.data import Dataset
from discern.model import Model, load


@pytest.fixture(autouse=True)
def short_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """What speeds are is of no account here, only that there are some."""
    monkeypatch.setattr("discern.export.timing.SECONDS", 0.001)


@pytest.fixture
def model(model_folder: Path) -> Model:
    return load(model_folder)


@pytest.fixture
def data(tmp_path: Path, model: Model, pictures: list[Path]) -> Dataset:
    """210 held-out pictures, and the five that the model was trained on."""
    return write_data(tmp_path / "data", model, pictures[:5])
