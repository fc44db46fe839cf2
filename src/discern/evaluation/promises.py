"""Are promises kept? Sets that hold the truth, and "none of these", on pictures not used for them.

Both are promised for pictures of the model's own classes; those of others count as strangers.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from discern.evaluation.findings import Against, SetScore, UnknownScore
from discern.evaluation.metrics import wilson_interval
from discern.evaluation.scored import Scored, Strangers
from discern.model.interpreter import Interpreter
from discern.model.unknown import Unknown

Bools: TypeAlias = npt.NDArray[np.bool_]
Floats: TypeAlias = npt.NDArray[np.floating[Any]]

OTHER_CLASSES = "classes of the data that the model does not know"
BLOCK = 4096  # pictures compared at once with all neighbours: memory stays bounded


def set_score(scored: Scored, interpreter: Interpreter) -> SetScore | None:
    """How often the sets hold the truth, and how large they are; None where there are none."""
    own = _of_known_classes(scored, interpreter.labels)
    if interpreter.sets is None or not own.any():
        return None
    inside = interpreter.sets.mask(scored.probabilities[own], interpreter.coverage)
    column = {label: k for k, label in enumerate(interpreter.labels)}
    truth = [column[label] for label in np.array(scored.truth)[own].tolist()]
    hits = int(inside[np.arange(len(truth)), truth].sum())
    sizes, pictures = np.unique(inside.sum(axis=1), return_counts=True)
    return SetScore(
        target=interpreter.sets.coverage if interpreter.coverage is None else interpreter.coverage,
        coverage=wilson_interval(hits, len(truth)),
        mean_size=float(inside.sum(axis=1).mean()),
        sizes=tuple(zip(sizes.tolist(), pictures.tolist(), strict=True)),
    )


def unknown_score(
    scored: Scored,
    interpreter: Interpreter,
    facts: Mapping[str, Any] | None,
    strangers: Sequence[Strangers] = (),
) -> UnknownScore | None:
    """How many true pictures are kept and how many strangers accepted; None without the rule.

    `facts` are those that the model's record has of the rule: what it was measured against when
    it was chosen stands after what is measured here.
    """
    unknown, own = interpreter.unknown, _of_known_classes(scored, interpreter.labels)
    if unknown is None or facts is None or not own.any():
        return None
    scores = _scores(unknown, scored.embeddings, scored.probabilities)
    true = scores[own]
    strange = {s.name: _scores(unknown, s.embeddings, s.probabilities) for s in strangers}
    if not own.all():
        strange[OTHER_CLASSES] = scores[~own]
    measured = (_against(n, true, s, unknown.threshold) for n, s in strange.items())
    left_out = sorted(facts["left_out_classes"].items(), key=lambda found: (found[1], found[0]))
    return UnknownScore(
        score=unknown.score,
        keep=float(facts["keep"]),
        kept=wilson_interval(int((true <= unknown.threshold).sum()), len(true)),
        against=(*measured, *_recorded(facts["strangers"])),
        held_out_classes=tuple(left_out),
    )


def _of_known_classes(scored: Scored, labels: Sequence[str]) -> Bools:
    known = frozenset(labels)
    return np.array([label in known for label in scored.truth], dtype=np.bool_)


def _scores(unknown: Unknown, embeddings: Floats, probabilities: Floats) -> Floats:
    """Scores [N], higher for stranger pictures."""
    blocks = [slice(start, start + BLOCK) for start in range(0, len(embeddings), BLOCK)]
    return np.concatenate([unknown.scores(embeddings[b], probabilities[b]) for b in blocks])


def _against(name: str, true: Floats, strange: Floats, threshold: float) -> Against:
    accepted = wilson_interval(int((strange <= threshold).sum()), len(strange))
    return Against(name, len(strange), auroc(true, strange), accepted)


def _recorded(strangers: Mapping[str, Mapping[str, Any]]) -> Iterator[Against]:
    """What the rule was measured against in training: pictures that were drawn for it."""
    for kind, fared in strangers.items():
        n = int(fared["pictures"])
        accepted = wilson_interval(round(float(fared["accepted"]) * n), n)
        yield Against(f"drawn {kind}", n, float(fared["auroc"]), accepted)


def auroc(true: Floats, strange: Floats) -> float:
    """How often a stranger of m scores higher than a true picture of n; equal scores count half.

    The area under the ROC curve, as the statistic of Mann & Whitney, "On a test of whether one of
    two random variables is stochastically larger than the other", 1947.
    """
    ordered = np.sort(true)
    below = np.searchsorted(ordered, strange, "left") + np.searchsorted(ordered, strange, "right")
    return float(below.mean() / (2 * len(true)))
