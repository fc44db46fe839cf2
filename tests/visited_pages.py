"""What tests of pages do in a browser."""

from collections.abc import Callable
from typing import Any

import pytest

Visit = Callable[..., Any]  # the fixture `visit` of conftest.py


def unfold(page: Any) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")


def complaints_of_axe(page: Any) -> list[tuple[str, list[str]]]:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(page).response["violations"]
    return [(v["id"], [node["html"][:300] for node in v["nodes"]]) for v in found]
