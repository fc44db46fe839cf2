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


def reached_by_keyboard(page: Any) -> tuple[int, int]:
    """How many elements can be worked with, and how many of them Tab leads to."""
    wanted = page.locator("a, input, summary, button, [tabindex='0']").count()
    page.evaluate("globalThis.reached = new Set()")
    page.evaluate("addEventListener('focusin', e => globalThis.reached.add(e.target))")
    for _ in range(wanted):
        page.keyboard.press("Tab")
    return wanted, page.evaluate("globalThis.reached.size")
