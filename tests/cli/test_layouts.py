"""The layouts and their options, as a shell gives them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Discern = Callable[..., Any]


def test_an_archive_is_trained_on_and_evaluated(
    discern: Discern, model: Path, photos: Path
) -> None:
    shutil.make_archive("photos", "zip", photos)
    folder, archive = (
        json.loads(discern("evaluate", model, data, "--json").out)
        for data in (photos, "photos.zip")
    )
    assert archive["metrics"] == folder["metrics"]


@pytest.mark.usefixtures("photos")
def test_levels(discern: Discern) -> None:
    words = ("inspect", ".", "--layout", "folder", "--json")
    assert json.loads(discern(*words).out)["classes"] == ["blue", "green", "red"]
    nested = Path("nested/colours")
    nested.parent.mkdir()
    shutil.copytree("photos", nested)
    shutil.copytree("photos/red", "nested/rest")
    classes = json.loads(discern("inspect", "nested", "--level", "2", "--json").out)["classes"]
    assert classes == ["colours/blue", "colours/green", "colours/red", "rest"]
    assert "no level. Write 1, 2, …, or deepest" in discern("inspect", "nested", "--level", "x").err


def test_labels_and_layouts_that_are_none(discern: Discern, photos: Path) -> None:
    ran = discern("inspect", photos, "--labels", "coarse")
    assert (ran.code, "which knows no --labels" in ran.err) == (2, True)
    ran = discern("inspect", photos, "--layout", "parket")
    assert "Did you mean 'parquet'?" in ran.err
