"""How names and numbers are written on pages of HTML."""

from __future__ import annotations

import html
import re

# All but the characters that XML 1.0 allows, less the C1 controls; lone surrogates come from
# file names that are not UTF-8.
UNHELD = re.compile(r"[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
LONGEST_NAME = 80  # characters


def text(value: str) -> str:
    """Any string as page text: escaped, and without what neither HTML nor UTF-8 can hold."""
    return html.escape(UNHELD.sub("\N{REPLACEMENT CHARACTER}", value))


def name(value: str) -> str:
    """A name as page text, clipped."""
    return text(clipped(value))


def clipped(value: str) -> str:
    """A name; of one that is very long, the beginning and the end."""
    if len(value) <= LONGEST_NAME:
        return value
    half = LONGEST_NAME // 2
    return f"{value[: half - 1]}…{value[-half:]}"


def percent(share: float) -> str:
    """A share in [0, 1] in percent, without the sign: 0.8681 is "86.8"."""
    return f"{100 * share:.1f}"


def count(n: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun: "1 picture", "2,040 pictures"."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"
