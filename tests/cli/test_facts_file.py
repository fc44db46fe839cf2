"""Facts beside the picture on the command line: from the table, into the model, and back."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TRAIN = ("--backbone", "test_resnet", "--weights", "none", "--image-size", "32")
Discern = Callable[..., Any]


def table(path: str, rows: list[tuple[object, ...]]) -> None:
    with Path(path).open("w", newline="") as file:
        csv.writer(file).writerows(rows)


@pytest.fixture
def informed(discern: Discern, photos: Path, model: Path) -> str:  # noqa: ARG001 its backbone
    """A model trained on pictures and the side that each was taken from."""
    files = sorted(photos.rglob("*.png"))
    sides = {"blue": "left", "green": "right", "red": "top"}
    rows = [(p.relative_to(photos.parent), p.parent.name, sides[p.parent.name]) for p in files]
    table("table.csv", [("image", "label", "side"), *rows])
    ran = discern("train", "table.csv", "-o", "informed", "--metadata", "side", *TRAIN)
    assert ran.code == 0, ran.err
    return "informed"


@pytest.mark.usefixtures("model")
def test_facts_in_a_file_change_answers(discern: Discern, informed: str) -> None:
    table("facts.csv", [("image", "side", "note"), ("00.png", "left", "x"), ("01.png", "", "y")])
    pictures = ("photos/red/00.png", "photos/red/01.png")
    bare, known = (
        [json.loads(line)["scores"] for line in ran.out.splitlines()]
        for ran in (
            discern("predict", informed, *pictures, "--jsonl"),
            discern("predict", informed, *pictures, "--jsonl", "--metadata", "facts.csv"),
        )
    )
    assert known[0]["blue"] > bare[0]["blue"], "the left is blue's"
    assert known[1] == bare[1], "nothing is known of it"
    assert discern("verify", informed).code == 0
    assert discern("evaluate", informed, "table.csv").code == 0


def test_what_does_not_fit_is_said(discern: Discern, informed: str, model: Path) -> None:
    table("facts.csv", [("image", "colour"), ("00.png", "red")])
    ran = discern("predict", informed, "photos/red/00.png", "--metadata", "facts.csv")
    assert ran.code == 2
    assert "has none of the facts that the model knows: side" in ran.err
    ran = discern("predict", model, "photos/red/00.png", "--metadata", "facts.csv")
    assert ran.code == 2
    assert "trained without --metadata" in ran.err
    table("facts.csv", [("image", "side"), ("00.png", "left"), ("00.png", "top")])
    ran = discern("predict", informed, "photos/red/00.png", "--metadata", "facts.csv")
    assert ran.code == 2
    assert "contradicts an earlier row" in ran.err
