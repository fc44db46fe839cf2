"""What copies of training pictures do to a score: how many there are, and the score without."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from discern.evaluation.markup import count
from discern.evaluation.metrics import Metrics, score
from discern.evaluation.scored import Scored
from discern.model.info import ModelInfo
from discern.survey.leaks import Leak

NAMED = 3  # pairs in a note


@dataclass(frozen=True)
class LeakScore:
    """Scored pictures that are also training pictures, and the score on the others."""

    exact: int  # byte for byte
    near: int | None  # in another form; None where nobody looked for such
    metrics: Metrics | None  # without them; None where there are none, or nothing else is

    @property
    def pictures(self) -> int:
        return self.exact + (self.near or 0)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        metrics = None if self.metrics is None else self.metrics.to_dict()
        return {"exact": self.exact, "near": self.near, "metrics": metrics}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LeakScore:
        """What `to_dict` gave."""
        metrics = values["metrics"]
        return cls(
            values["exact"],
            values["near"],
            None if metrics is None else Metrics.from_dict(metrics),
        )


def recorded(info: ModelInfo, split: str) -> LeakScore | None:
    """What model.json says of a split that was scored; None where it says nothing."""
    found = info.dataset.get("leaks", {}).get(split)
    return None if found is None else LeakScore.from_dict(found)


def leak_score(labels: Sequence[str], scored: Scored, looked_for_near: bool) -> LeakScore:
    """Count the leaks among pictures scored, and score the others."""
    exact = sum(leak.exact for leak in scored.leaks)
    near = len(scored.leaks) - exact if looked_for_near else None
    return LeakScore(exact, near, _metrics_without(labels, scored) if scored.leaks else None)


def line_without(leaks: LeakScore | None) -> Iterator[str]:
    """What stands in a terminal below a score that copies are in; nothing where none are."""
    if leaks is None or not leaks.pictures:
        return
    left = "no picture is left"
    if (m := leaks.metrics) is not None:
        left = f"accuracy {m.accuracy}   log loss {m.log_loss:.3f}   n {m.n}"
    yield f"{'':11}{left}   without {count(leaks.pictures, 'picture')} also in training"


def leak_notes(scored: Scored, leaks: LeakScore) -> tuple[str, ...]:
    """What a reader must know of copies before the score; nothing where there are none."""
    if not leaks.pictures:
        return ()
    found, total = leaks.pictures, len(scored.truth)
    without = "None is left without them."
    if (m := leaks.metrics) is not None:
        without = (
            f"Without them: accuracy {m.accuracy}, log loss {m.log_loss:.3f} "
            f"on {count(m.n, 'picture')}."
        )
    return (
        f"{found:,} of the {count(total, 'picture')} scored {'is' if found == 1 else 'are'} also "
        f"among the training pictures, {_forms(leaks)}: {_named(scored.leaks)}. The score is too "
        f"good by their share. {without}",
    )


def _forms(leaks: LeakScore) -> str:
    forms = {"byte for byte": leaks.exact, "in another form": leaks.near}
    some = {form: n for form, n in forms.items() if n}
    if len(some) == 1:
        return next(iter(some))
    return " and ".join(f"{n:,} {form}" for form, n in some.items())


def _named(leaks: Sequence[Leak]) -> str:
    """The first few copies, each with the training picture if that is at hand."""
    pairs = [
        leak.name if leak.trained is None else f"{leak.name} is {leak.trained}"
        for leak in leaks[:NAMED]
    ]
    more = f" and {len(leaks) - NAMED:,} more" if len(leaks) > NAMED else ""
    return ", ".join(pairs) + more


def _metrics_without(labels: Sequence[str], scored: Scored) -> Metrics | None:
    leaked = {leak.file for leak in scored.leaks}
    rest = np.flatnonzero([file not in leaked for file in scored.files])
    if not len(rest):
        return None
    return score(labels, [scored.truth[i] for i in rest], scored.probabilities[rest])
