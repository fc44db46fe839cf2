"""evaluate: the report with its card, sets, pictures that are none of the classes."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    """A folder of four pictures that are none of the classes."""
    folder = tmp_path / "noise"
    folder.mkdir()
    for i in range(4):
        pixels = np.random.default_rng(i).integers(0, 256, (30, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


@pytest.mark.usefixtures("photos")
def test_the_report_and_its_card(discern: Callable, model: Path) -> None:  # type: ignore[type-arg]
    ran = discern("evaluate", model, "photos", "-o", "out.html")
    assert ran.code == 0, ran.err
    assert "Report: out.html   model card: out.md" in ran.out
    assert "<html" in Path("out.html").read_text()
    card = Path("out.md").read_text()
    assert card.startswith('---\nlibrary_name: "discern"')
    assert "# model\n" in card
    assert discern("evaluate", model, "photos", "-o", "out.html").code == 2
    Path("out.html").unlink()
    refused = discern("evaluate", model, "photos", "-o", "out.html")
    assert "out.md exists" in refused.err
    assert not Path("out.html").exists()
    assert "Name the report new.html" in discern("evaluate", model, "photos", "-o", "new.md").err


@pytest.mark.usefixtures("photos", "noise")
def test_promises(discern: Callable, model: Path) -> None:  # type: ignore[type-arg]
    ran = discern("evaluate", model, "photos", "--unknown", "noise", "--coverage", "0.6")
    assert ran.code == 0, ran.err
    assert "sets for 60%: hold the truth in" in ran.out
    assert "none of these: keeps" in ran.out
    assert "  noise: accepts" in ran.out
    found = json.loads(discern("evaluate", model, "photos", "--unknown", "noise", "--json").out)
    against = {a["name"]: a for a in found["unknown"]["against"]}
    assert against["noise"]["n"] == 4
    assert found["sets"]["target"] == 0.9
    assert {"mistakes", "doubtful", "pairs", "slices"} < found.keys()
    assert all(Path(case["file"]).is_file() for case in found["doubtful"])
    assert discern("evaluate", model, "photos", "--coverage", "0.999").code == 2
    assert discern("evaluate", model, "photos", "--unknown", "nowhere").code == 2


@pytest.mark.usefixtures("photos")
def test_a_bar_is_held_against_the_lower_end(discern: Callable, model: Path) -> None:  # type: ignore[type-arg]
    found = json.loads(discern("evaluate", model, "photos", "--json").out)
    accuracy = found["metrics"]["accuracy"]
    assert accuracy["low"] < accuracy["value"]  # else the next lines could not tell them apart
    above = (accuracy["low"] + accuracy["value"]) / 2
    refused = discern("evaluate", model, "photos", "--at-least", above, "--json")
    assert refused.code == 1
    assert "Below the bar: accuracy is" in refused.err
    assert f"must reach {100 * above:.1f} %" in refused.err
    assert json.loads(refused.out)["passed"] is False
    passed = discern("evaluate", model, "photos", "--at-least", accuracy["low"], "--json")
    assert passed.code == 0, passed.err
    assert json.loads(passed.out)["passed"] is True
    assert discern("evaluate", model, "photos", "--at-least", "85").code == 2


def test_copies_of_training_pictures_stand_beside_the_score(
    discern: Callable,  # type: ignore[type-arg]
    model: Path,
    photos: Path,
) -> None:
    (photos.parent / "given").mkdir()
    photos.rename(photos.parent / "given" / "test")
    ran = discern("evaluate", model, "given")
    assert ran.code == 0, ran.err
    assert "also among the training pictures, byte for byte: test/" in ran.err
    assert "also in training" in ran.out.splitlines()[1]
    found = json.loads(discern("evaluate", model, "given", "--json").out)
    blind = json.loads(discern("evaluate", model, "given", "--json", "--no-leak-check").out)
    assert found["leaks"]["exact"] == blind["leaks"]["exact"] > 0
    assert found["leaks"]["metrics"]["n"] == 24 - found["leaks"]["exact"]
    assert (found["leaks"]["near"], blind["leaks"]["near"]) == (0, None)
