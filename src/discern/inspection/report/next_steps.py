"""What to do with what was found."""

from __future__ import annotations

from discern.evaluation.markup import text
from discern.evaluation.report.elements import Section, lead

STEPS = (
    (
        "discern inspect DATA --fix plan.csv",
        "writes what could be done as a table, a line for each picture: drop it, give it another "
        "label, move it to train.",
    ),
    (
        "Edit plan.csv",
        "in a spreadsheet or an editor. You decide: a line that says keep, or is gone, changes "
        "nothing.",
    ),
    (
        "discern inspect DATA --apply plan.csv -o clean.csv",
        "writes the pictures that remain, as a new listing. The pictures themselves are neither "
        "changed nor deleted.",
    ),
    ("discern train clean.csv -o my-model", "trains on them."),
)
AT_ONCE = (("discern train DATA -o my-model", "trains on the data as they are."),)


def next_steps(*, anything_found: bool) -> Section:
    """The commands from here to a model, in order."""
    steps = STEPS if anything_found else AT_ONCE
    lines = "\n".join(_step(what, why) for what, why in steps)
    body = f'{lead("DATA is what was inspected.")}\n<ol class="steps">\n{lines}\n</ol>'
    return Section("Next", "What to do next", body)


def _step(what: str, why: str) -> str:
    shown = f"<code>{text(what)}</code>" if what.startswith("discern ") else f"<b>{text(what)}</b>"
    return f"<li>{shown} <span>{text(why)}</span></li>"
