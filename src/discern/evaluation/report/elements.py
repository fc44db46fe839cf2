"""What the report's sections are made of: headings, tables, pairs, bars."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from discern.evaluation.markup import count, name, percent, text
from discern.evaluation.metrics import Interval

# A longer table scrolls in a box of its own, so that what follows it is found.
TALL_FROM = 30


@dataclass(frozen=True)
class Section:
    """A part of the report; `short` is what the contents call it, `body` is markup."""

    short: str
    heading: str
    body: str

    @property
    def id(self) -> str:
        return self.short.lower().replace(" ", "-")

    def __str__(self) -> str:
        return (
            f'<section id="{self.id}" aria-labelledby="{self.id}-heading">\n'
            f'<h2 id="{self.id}-heading">{text(self.heading)}</h2>\n{self.body}\n</section>'
        )


def lead(sentences: str) -> str:
    """The paragraph right below a heading; `sentences` are markup."""
    return f'<p class="lead">{sentences}</p>'


def pairs(values: Mapping[str, str]) -> str:
    """The rows of a list of terms and their values."""
    return "\n".join(
        f'<div><dt>{text(term)}</dt><dd dir="auto">{text(value)}</dd></div>'
        for term, value in values.items()
    )


def figures(values: Mapping[str, str]) -> str:
    """Numbers to be seen first, each with its name."""
    return f'<dl class="figures">{pairs(values)}</dl>'


def facts(values: Mapping[str, str]) -> str:
    """A grid of terms and values."""
    return f'<dl class="facts">{pairs(values)}</dl>'


def heads(*names: str) -> str:
    """The head row of a table."""
    cells = "".join(f'<th scope="col">{text(each)}</th>' for each in names)
    return f"<thead><tr>{cells}</tr></thead>"


def row(label: str, cells: Iterable[str]) -> str:
    """A row of a table; `label` is any string, `cells` are markup."""
    values = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr><th scope="row" dir="auto">{name(label)}</th>{values}</tr>'


def table(
    names: Sequence[str], rows: Sequence[str], *, caption: str = "", sortable: bool = False
) -> str:
    """A table of `rows`, below the names of its columns."""
    kind = "list sortable" if sortable else "list"
    above = f"<caption>{text(caption)}</caption>" if caption else ""
    return (
        f'<table class="{kind}">{above}{heads(*names)}<tbody>\n' + "\n".join(rows) + "\n</tbody>"
        "</table>"
    )


def scrollable(label: str, content: str, *, tall: bool = False) -> str:
    """A box for what may be wider than the screen; focusable, so that arrow keys scroll it."""
    shape = "wide tall" if tall else "wide"
    return f'<div class="{shape}" role="region" aria-label="{label}" tabindex="0">{content}</div>'


def folded(summary: str, content: str) -> str:
    """What only some readers want to see."""
    return f"<details><summary>{text(summary)}</summary>\n{content}\n</details>"


def label_line(term: str, value: str, share: float | None = None) -> str:
    """A label as a term's value, with its probability."""
    number = "" if share is None else f"<span>{percent(share)} %</span>"
    return f'<div><dt>{term}</dt><dd><b dir="auto">{name(value)}</b>{number}</dd></div>'


def bar(share: float, interval: Interval | None = None) -> str:
    """A share as a bar with its number, and its interval as a line in it."""
    style = f"--v:{share:.3f}"
    if interval is None:
        drawn = f'<span class="bar" style="{style}"></span>'
    else:
        style += f";--l:{interval.low:.3f};--h:{interval.high:.3f}"
        drawn = f'<span class="bar with-interval" style="{style}"></span>'
    return f'<span class="cell">{drawn}<span>{percent(share)}</span></span>'


def between(interval: Interval) -> str:
    """The ends of an interval: "83.8–90.8 %"."""
    return f"{percent(interval.low)}–{percent(interval.high)} %"


def listed(names: Sequence[str], most: int, noun: str = "more") -> str:
    """Names as text, at most so many: "a, b and 3 more"."""
    shown = ", ".join(names[:most])
    return f"{shown} and {count(len(names) - most, noun, noun)}" if len(names) > most else shown
