"""Pages of sections: a title, a headline, contents that follow the reader, and the sections."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from string import Template

from discern.evaluation.frame import framed
from discern.evaluation.markup import text
from discern.evaluation.report.elements import Section


def sectioned(*, title: str, headline: str, sections: Sequence[Section], style: str) -> str:
    """A whole page; `title` is any string, `headline` markup, `style` comes after the shared one.

    What is in `elements` is styled.
    """
    here = files(__package__)
    links = "".join(
        f'<li><a href="#{section.id}">{text(section.short)}</a></li>' for section in sections
    )
    body = Template((here / "sectioned.html.template").read_text("utf-8")).substitute(
        title=text(title),
        headline=headline,
        contents=links,
        sections="\n".join(map(str, sections)),
    )
    return framed(
        title=text(title),
        body=body,
        style=(here / "sectioned.css").read_text("utf-8") + style,
        script=(here / "contents.js").read_text("utf-8"),
    )
