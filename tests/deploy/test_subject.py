"""What is deployed has a name that DNS takes, a tag that changes with it, and measured needs."""

import json
from pathlib import Path

import pytest

from discern.deploy.footprint import measure_footprint
from discern.deploy.subject import read_subject
from discern.errors import ConfigError, EngineError, ModelFormatError
from discern.model import load


def test_names_come_from_the_folder_or_are_given(model_folder: Path) -> None:
    odd = model_folder.rename(model_folder.with_name("My_Clothes v2"))
    subject = read_subject(odd)
    assert subject.name == "my-clothes-v2"
    assert subject.repository == "models/my-clothes-v2/1"
    assert subject.image("gateway") == f"my-clothes-v2-gateway:{subject.tag}"
    there = read_subject(odd, "clothes", "eu.example.org/team/")
    assert there.image("lambda") == f"eu.example.org/team/clothes-lambda:{subject.tag}"
    for bad in ("Clothes", "1st", "a_b", "-a", "a-", "x" * 50):
        with pytest.raises(ConfigError, match="--name clothes"):
            read_subject(odd, bad)


def test_the_tag_is_the_models(model_folder: Path) -> None:
    before = read_subject(model_folder).tag
    assert read_subject(model_folder).tag == before
    info = model_folder / "model.json"
    info.write_text(json.dumps(json.loads(info.read_text()) | {"created": "tomorrow"}))
    assert read_subject(model_folder).tag != before


def test_no_model_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelFormatError):
        read_subject(tmp_path)


def test_what_it_takes_is_measured(model_folder: Path) -> None:
    took = measure_footprint(load(model_folder))
    assert 20 < took.memory_mib < 2000
    assert 0 < took.start_seconds < 60
    assert 0 < took.picture_ms < 1000


def test_a_model_that_cannot_run(model_folder: Path) -> None:
    model = load(model_folder)
    model.graph.write_bytes(b"no graph")
    with pytest.raises(EngineError, match=r"to measure it: .*Error: .*model.onnx.* changed"):
        measure_footprint(model)
