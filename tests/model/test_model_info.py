"""model.json holds everything that it was given."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from discern.images import PreprocessSpec
from discern.model import ModelInfo
from discern.model.info import FORMAT, read_info

labels = st.lists(st.text(), min_size=1, max_size=5, unique=True)
specs = st.builds(
    PreprocessSpec,
    st.integers(1, 512),
    st.integers(1, 512),
    resize=st.sampled_from(["shortest", "squash", "longest"]),
    crop=st.floats(0.1, 1),
    fill=st.tuples(*[st.integers(0, 255)] * 3),
    scaled_decode=st.booleans(),
)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=labels, spec=specs, temperature=st.floats(0.05, 20), seed=st.integers())
def test_round_trip(
    info: ModelInfo,
    tmp_path: Path,
    names: list[str],
    spec: PreprocessSpec,
    temperature: float,
    seed: int,
) -> None:
    given_info = replace(
        info, labels=tuple(names), preprocess=spec, temperature=temperature, seed=seed
    )
    path = tmp_path / "model.json"
    path.write_bytes(given_info.to_json().encode())
    assert read_info(path) == given_info


@pytest.mark.parametrize("label", ["Größe", "猫", "a/b", 'a"b', "caf\udce9", "🐟", " "])
def test_labels_are_any_text(info: ModelInfo, tmp_path: Path, label: str) -> None:
    path = tmp_path / "model.json"
    path.write_bytes(replace(info, labels=(label,)).to_json().encode())
    assert read_info(path).labels == (label,)


def test_the_format_is_written(info: ModelInfo) -> None:
    assert json.loads(info.to_json())["format"] == FORMAT
