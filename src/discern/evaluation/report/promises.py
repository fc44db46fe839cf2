"""Whether promises are kept: sets that hold the truth, and "none of these"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from discern.evaluation.findings import Against, SetScore, UnknownScore
from discern.evaluation.markup import count, percent, text
from discern.evaluation.metrics import Interval
from discern.evaluation.report.charts import interval_track
from discern.evaluation.report.elements import (
    Section,
    bar,
    between,
    figures,
    folded,
    lead,
    row,
    scrollable,
    table,
)
from discern.model.info import ModelInfo

LARGEST_SIZE = 8  # of the sets told one by one
MOST_ROWS = 50
SCORES = {
    "maximum_probability": "the largest probability",
    "energy": "the energy of the logits",
    "nearest_neighbours": "the distance to the nearest training pictures",
    "mahalanobis": "the Mahalanobis distance to the nearest class",
    "virtual_logit": "the virtual logit",
}


def prediction_sets(found: SetScore | None) -> Section | None:
    """How often the sets held the truth, and how large they were."""
    if found is None:
        return None
    held = {
        "Held the truth": f"{percent(found.coverage.value)} %",
        "Mean size": f"{found.mean_size:.2f}",
    }
    body = f"""{
        lead(
            f"Instead of one label, the model can give the labels among which the true one is "
            f"{_whole(found.target)} of the time. The fewer it takes, the better."
        )
    }
<div class="columns">
<div>
{figures(held)}
<p>{_kept(found.coverage, found.target)}</p>
{interval_track(found.coverage, found.target, f"{_whole(found.target)} promised")}
</div>
{table(("Labels in the set", "Pictures", "Share %"), _sizes(found.sizes))}
</div>"""
    return Section("Sets", "Prediction sets", body)


def _kept(reached: Interval, promised: float) -> str:
    if reached.high < promised:
        judged = "They hold it less often than was promised."
    elif reached.low > promised:
        judged = "They hold it more often than was promised, and are larger than they need be."
    else:
        judged = "The promise is kept, as far as so many pictures can tell."
    return f"95 % interval {between(reached)}. {judged}"


def _sizes(sizes: Sequence[tuple[int, int]]) -> list[str]:
    total = sum(pictures for _, pictures in sizes)
    told = {f"{size:,}": n for size, n in sizes if size < LARGEST_SIZE}
    if rest := sum(n for size, n in sizes if size >= LARGEST_SIZE):
        told[f"{LARGEST_SIZE} or more"] = rest
    return [row(size, (f"{n:,}", bar(n / total))) for size, n in told.items()]


def none_of_these(found: UnknownScore | None, info: ModelInfo) -> Section | None:
    """How many pictures of the classes are kept, and how many of others refused."""
    if found is None:
        return None
    score = SCORES.get(found.score, found.score)
    body = f"""{
        lead(
            f"The model says that a picture is none of its classes by {text(score)}, with a "
            f"threshold that {_whole(found.keep)} of its own pictures should pass."
        )
    }
<div class="columns">
<div>
{figures({"Own pictures kept": f"{percent(found.kept.value)} %"})}
<p>{_passed(found.kept, found.keep)}</p>
{interval_track(found.kept, found.keep, f"{_whole(found.keep)} to be kept")}
{_against(found.against)}
</div>
{_left_out(found.held_out_classes)}
</div>
{_compared(info)}"""
    return Section("None of these", "None of these", body)


def _passed(kept: Interval, promised: float) -> str:
    if kept.high < promised:
        judged = "More of its own pictures are refused than was promised."
    else:
        judged = "The promise is kept, as far as so many pictures can tell."
    return f"95 % interval {between(kept)}. {judged}"


def _against(strangers: Sequence[Against]) -> str:
    """Pictures that are certainly none of the classes, and the share refused."""
    if not strangers:
        return ""
    rows = [row(s.name, (f"{s.n:,}", _refused(s), percent(s.auroc))) for s in strangers[:MOST_ROWS]]
    caption = "Pictures that are none of the classes. Lines are 95 % intervals."
    columns = ("Pictures of", "Pictures", "Refused %", "AUROC %")
    return scrollable("Strangers", table(columns, rows, caption=caption))


def _refused(strangers: Against) -> str:
    accepted = strangers.accepted
    share = 1 - accepted.value
    return bar(share, Interval(share, 1 - accepted.high, 1 - accepted.low))


def _left_out(classes: Sequence[tuple[str, float]]) -> str:
    if not classes:
        return ""
    rows = [row(label, (bar(auroc),)) for label, auroc in classes[:MOST_ROWS]]
    caption = "Each class left out of training in turn: how well its pictures are told from others."
    return table(("Class left out", "AUROC %"), rows, caption=caption)


def _compared(info: ModelInfo) -> str:
    """The scores that the model's own was chosen from."""
    compared: Mapping[str, Mapping[str, float]] = (info.unknown or {}).get("compared", {})
    if len(compared) < 2:
        return ""
    rows = [
        row(
            SCORES.get(score, score),
            (_number(aurocs.get("left_out_classes")), _number(aurocs.get("strangers"))),
        )
        for score, aurocs in compared.items()
    ]
    columns = ("Score", "Classes left out", "Strangers")
    shown = table(columns, rows, caption="Mean AUROC in percent, on held-out pictures.")
    return folded(f"The {count(len(rows), 'score')} compared", shown)


def _whole(share: float) -> str:
    """A setting in percent: "90 %", not to be torn apart."""
    return f"{100 * share:g}\N{NO-BREAK SPACE}%"


def _number(share: float | None) -> str:
    return "–" if share is None else percent(share)
