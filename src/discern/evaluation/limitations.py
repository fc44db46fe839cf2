"""What a model should not be relied on for, as far as its own record and score tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from discern.evaluation.evaluate import Evaluation
from discern.evaluation.findings import Findings, SetScore, UnknownScore
from discern.evaluation.markup import count, percent
from discern.evaluation.metrics import Metrics
from discern.model.info import ModelInfo

FEW_TO_LEARN = 50  # training pictures of a class
FEW_TO_SCORE = 20  # pictures of a class: its recall is then known to no better than 20 points
LOW_RECALL = 0.7
OFTEN = 0.1  # the share of a class taken for one other class; of strangers accepted
TWICE = 2  # times that a mistake is made before it counts as one made often
BARELY_TOLD = 0.75  # AUROC; telling by chance is 0.5
BADLY_CALIBRATED = 0.05
NAMED = 5


def limitations(
    evaluation: Evaluation, info: ModelInfo, findings: Findings | None = None
) -> tuple[str, ...]:
    """Sentences of plain text, each derived from a fact; the score's own come first."""
    metrics = evaluation.metrics
    return (
        *_of_the_data(evaluation),
        *_of_classes(metrics, info),
        *_of_probabilities(metrics),
        *_of_slices(findings),
        *_of_sets(findings.sets if findings else None),
        *_of_unknown(info, findings.unknown if findings else None),
        *_of_licence(info),
    )


def _of_the_data(evaluation: Evaluation) -> Iterator[str]:
    yield "The score holds for pictures like those scored; on others it may be far worse."
    if evaluation.split == "validation":
        yield (
            "It was scored on validation, there being no test split: who compares trainings by "
            "this score and keeps the best gets one that is too good."
        )
    if leaks := evaluation.scored.leaks:
        yield (
            f"{count(len(leaks), 'picture')} of the score took part in training, as such or in "
            "another form, which flatters it."
        )


def _of_classes(metrics: Metrics, info: ModelInfo) -> Iterator[str]:
    trained = info.dataset.get("counts", {}).get("train", {})
    few = [f"{name} ({n})" for name in info.labels if (n := trained.get(name, 0)) < FEW_TO_LEARN]
    if trained and few:
        yield f"Few training pictures: {_named(few)}."
    own = [s for s in metrics.per_class if s.label not in metrics.unknown_classes]
    if unscored := [s.label for s in own if not s.support]:
        yield f"Not scored, as there was no picture: {_named(unscored)}."
    if barely := [f"{s.label} ({s.support})" for s in own if 0 < s.support < FEW_TO_SCORE]:
        yield f"Scored on few pictures, so that their recall is hardly known: {_named(barely)}."
    low = [s for s in own if s.support and s.recall < LOW_RECALL]
    if low := sorted(low, key=lambda s: s.recall):
        found = [f"{s.label} ({percent(s.recall)} % found)" for s in low]
        yield f"Often missed: {_named(found)}."
    yield from _of_pairs(metrics)


def _of_pairs(metrics: Metrics) -> Iterator[str]:
    often = [
        f"{pair.truth} for {pair.predicted} ({pair.count} of {pair.support})"
        for pair in metrics.worst_confusions()
        if pair.count >= max(TWICE, OFTEN * pair.support)
        and pair.truth not in metrics.unknown_classes
    ]
    if often:
        yield f"Takes one class for another: {_named(often)}."
    if unknown := metrics.unknown_classes:
        yield f"It does not know these classes of the data: {_named(unknown)}."


def _of_probabilities(metrics: Metrics) -> Iterator[str]:
    if (error := metrics.calibration_error) > BADLY_CALIBRATED:
        yield f"Its probabilities are off by {percent(error)} points on average."


def _of_slices(findings: Findings | None) -> Iterator[str]:
    for each in findings.slices if findings else ():
        if each.worse:
            usual = (
                "" if each.expected is None else f"; its classes have {percent(each.expected)} %"
            )
            yield (
                f"Weaker on {each.kind.lower()}: {each.name}: {percent(each.accuracy.value)} % "
                f"right there, {percent(each.rest.value)} % elsewhere{usual}."
            )


def _of_sets(sets: SetScore | None) -> Iterator[str]:
    if sets is not None and sets.coverage.high < sets.target:
        yield (
            f"Sets of labels held the truth in {percent(sets.coverage.value)} % of cases, "
            f"{percent(sets.target)} % were promised."
        )


def _of_unknown(info: ModelInfo, unknown: UnknownScore | None) -> Iterator[str]:
    if info.unknown is None:
        yield 'It cannot say "none of these": every picture gets one of its classes.'
    if unknown is None:
        return
    if unknown.kept.high < unknown.keep:
        yield (
            f'"None of these" let {percent(unknown.kept.value)} % of true pictures pass, '
            f"{percent(unknown.keep)} % were promised."
        )
    let_in = [
        f"{a.name} ({percent(a.accepted.value)} %)"
        for a in unknown.against
        if a.accepted.value > OFTEN
    ]
    if let_in:
        yield f'"None of these" is often not said of: {_named(let_in)}.'
    alike = [name for name, auroc in unknown.held_out_classes if auroc < BARELY_TOLD]
    if alike:
        yield f"Left out of training, these classes passed for others: {_named(alike)}."


def _of_licence(info: ModelInfo) -> Iterator[str]:
    if info.training.get("mode") != "scratch" and info.backbone.get("license") == "unknown":
        yield "The licence of the backbone's weights is unknown: ask before you pass them on."


def _named(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
