"""Facts beside a picture: what is given, and what its file says itself."""

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from discern.data.dataset import STRING
from discern.data.metadata import fit_metadata
from discern.errors import ConfigError
from discern.model import ModelInfo
from discern.model.facts import FactReader, fact_reader

SPEC = fit_metadata(
    {
        "device": np.array(["phone", "camera"] * 10, STRING),
        "height": np.array([str(i * 1.5) for i in range(20)], STRING),
    }
)


def photograph(device: str) -> bytes:
    exif = Image.Exif()
    exif[0x0110] = device
    file = BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG", exif=exif)
    return file.getvalue()


def test_what_is_given_is_encoded() -> None:
    row = FactReader(SPEC, exif=False).read(photograph("phone"), {"height": 3})
    assert row is not None
    assert np.array_equal(row, SPEC.encode({"height": 3}))


def test_the_file_says_what_is_not_given() -> None:
    reader = FactReader(SPEC, exif=True)
    data = photograph("phone")
    assert np.array_equal(reader.read(data), SPEC.encode({"device": "phone"}))
    given = {"device": "camera", "height": 3}
    assert np.array_equal(reader.read(data, given), SPEC.encode(given))
    assert np.array_equal(reader.read(data, {"device": ""}), SPEC.encode({"device": "phone"}))
    assert not reader.read(None).any()  # type: ignore[union-attr]


def test_what_makes_no_sense_is_refused() -> None:
    reader = FactReader(SPEC, exif=True)
    with pytest.raises(ConfigError, match="Did you mean 'height'"):
        reader.read(None, {"hight": 3})
    with pytest.raises(ConfigError, match="height is 'tall'"):
        reader.read(None, {"height": "tall"})


def test_the_model_says_how_it_was_trained(info: ModelInfo) -> None:
    assert fact_reader(info) is None
    trained = replace(info, metadata=SPEC.to_dict(), training={"config": {"metadata": ["exif"]}})
    assert fact_reader(trained) == FactReader(SPEC, exif=True)
    trained = replace(trained, training={"config": {"metadata": ["device"]}})
    assert fact_reader(trained) == FactReader(SPEC, exif=False)
