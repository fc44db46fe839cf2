"""The page: its sections in their order.

A new part of the report is one more function that returns a `Section`, or None where its data is
missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files

from discern.evaluation.evaluate import Evaluation
from discern.evaluation.findings import Findings
from discern.evaluation.report.beside import beside_the_picture
from discern.evaluation.report.calibration import calibration
from discern.evaluation.report.classes import classes
from discern.evaluation.report.elements import Section
from discern.evaluation.report.gallery import doubtful_answers, mixed_up, surest_mistakes
from discern.evaluation.report.headline import headline
from discern.evaluation.report.limits import limits
from discern.evaluation.report.mistakes import mistakes
from discern.evaluation.report.promises import none_of_these, prediction_sets
from discern.evaluation.report.sectioned import sectioned
from discern.evaluation.report.slices import slices
from discern.evaluation.report.speed import speed
from discern.evaluation.report.thumbnails import Heat, Thumbnails
from discern.evaluation.report.training import data, training
from discern.model.info import ModelInfo
from discern.runtime.speed import Speed

LARGEST = 5_700_000  # bytes, which leaves room for what stands below the pictures


def render_report(
    evaluation: Evaluation,
    info: ModelInfo,
    findings: Findings | None = None,
    *,
    title: str,
    speed: Speed | None = None,
    heat: Heat | None = None,
    facts: Mapping[str, str] = {},
) -> str:
    """The report as one self-contained HTML page of less than 6 MB.

    What is not given is left out. `heat(file, label)` gives the picture in `file`, RGB, with what
    spoke for the label laid over it, or None. `facts` are listed with those of the training. All
    text is escaped; pictures that cannot be read have a place that says why.
    """
    first = _present(
        mistakes(evaluation.metrics),
        classes(evaluation.metrics),
        calibration(evaluation.metrics, info),
    )
    last = _after_pictures(evaluation, info, findings, speed, facts)
    room = LARGEST - len(_page(title, evaluation, [*first, *last]).encode())
    return _page(title, evaluation, [*first, *_galleries(findings, Thumbnails(heat, room)), *last])


def _galleries(findings: Findings | None, thumbnails: Thumbnails) -> list[Section]:
    if findings is None:
        return []
    return _present(
        surest_mistakes(findings.mistakes, thumbnails),
        doubtful_answers(findings.doubtful, thumbnails),
        mixed_up(findings.pairs, thumbnails),
    )


def _after_pictures(
    evaluation: Evaluation,
    info: ModelInfo,
    findings: Findings | None,
    measured: Speed | None,
    facts: Mapping[str, str],
) -> list[Section]:
    return _present(
        prediction_sets(findings.sets if findings else None),
        none_of_these(findings.unknown if findings else None, info),
        slices(findings.slices if findings else ()),
        beside_the_picture(info),
        speed(measured),
        training(info, facts),
        data(evaluation, info),
        limits(evaluation, info, findings),
    )


def _present(*sections: Section | None) -> list[Section]:
    return [section for section in sections if section is not None]


def _page(title: str, evaluation: Evaluation, sections: Sequence[Section]) -> str:
    return sectioned(
        title=title,
        headline=headline(evaluation),
        sections=sections,
        style=(files(__package__) / "page.css").read_text("utf-8"),
    )
