"""The frame that discern's pages share: one file of HTML that needs nothing else."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from string import Template


def framed(*, title: str, body: str, style: str, script: str = "") -> str:
    """A whole page; `title` and `body` are HTML, `style` and `script` come after the shared ones.

    Its tables of the class `sortable` sort, by each cell's `data-value` or its text.
    """
    here = files(__package__)
    return Template(_text(here / "frame.html.template")).substitute(
        title=title,
        body=body,
        style=_text(here / "frame.css") + style,
        script=_text(here / "sortable.js") + script,
    )


def _text(file: Traversable) -> str:
    return file.read_text("utf-8")
