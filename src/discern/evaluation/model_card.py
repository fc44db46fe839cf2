"""The model card: what a model is, how good, and what not to use it for, in Markdown.

The kind of page is that of Mitchell et al., "Model cards for model reporting", 2019; it begins
with what hubs read of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from discern.evaluation.evaluate import Evaluation
from discern.evaluation.findings import Findings, SetScore, UnknownScore
from discern.evaluation.front_matter import front_matter
from discern.evaluation.limitations import limitations
from discern.evaluation.markup import UNHELD, count, percent
from discern.evaluation.metrics import Interval, Metrics
from discern.model.info import ModelInfo

NAMED_CLASSES = 12
LOCAL = "local-dir:"
MARKDOWN = re.compile(r"([\\`*_\[\]<>#|~$&])")
METHODS = {"temperature": "temperature scaling", "vector": "vector scaling"}
MODES = {
    "frozen": "a head on the embeddings of a pretrained backbone, which was left as it is",
    "finetune": "a pretrained backbone, trained further",
    "scratch": "a network trained from nothing",
}


def render_model_card(
    evaluation: Evaluation,
    info: ModelInfo,
    findings: Findings | None = None,
    *,
    name: str,
    data: str,
) -> str:
    """The card of the model `name`, as it was scored on `data`; all text is escaped."""
    metrics = evaluation.metrics
    sections = (
        front_matter(metrics, info, name=name, data=data, split=evaluation.split),
        f"# {_text(name)}",
        _what_it_does(info),
        _section("Score", _score(evaluation, data)),
        _section("Classes", _classes(metrics, info)),
        _section("What its answers promise", _promises(info, findings)),
        _section("How it was trained", _training(info)),
        _section("What it should not be used for", _limits(evaluation, info, findings)),
        _section("How to use it", _use(name)),
    )
    return "\n\n".join(filter(None, sections)) + "\n"


def _section(heading: str, lines: Iterator[str]) -> str:
    body = "\n".join(lines)
    return f"## {heading}\n\n{body}" if body else ""


def _text(value: str) -> str:
    """Any string as one line of Markdown that reads as the string does."""
    line = " ".join(UNHELD.sub("\N{REPLACEMENT CHARACTER}", value).split())
    return MARKDOWN.sub(r"\\\1", line)


def _what_it_does(info: ModelInfo) -> str:
    n = len(info.labels)
    more = f" and {n - NAMED_CLASSES} more" if n > NAMED_CLASSES else ""
    names = ", ".join(map(_text, info.labels[:NAMED_CLASSES]))
    return (
        f"Sorts pictures into {n} classes: {names}{more}. An ONNX graph that takes RGB pictures "
        f"of {info.preprocess.height} × {info.preprocess.width} pixels, made with discern "
        f"{_text(info.versions['discern'])}."
    )


def _score(evaluation: Evaluation, data: str) -> Iterator[str]:
    m = evaluation.metrics
    yield (
        f"**Accuracy {percent(m.accuracy.value)} %** (95 % interval {percent(m.accuracy.low)} to "
        f"{percent(m.accuracy.high)} %) on {count(m.n, 'picture')} of {_text(data)} "
        f"({_text(evaluation.split)})."
    )
    yield ""
    top = "" if m.top5 is None else f", right in the top 5 {percent(m.top5)} %"
    yield (
        f"Macro F1 {m.macro_f1:.3f}, log loss {m.log_loss:.3f}, "
        f"calibration error {m.calibration_error:.3f}{top}."
    )
    for note in evaluation.notes:
        yield f"\n> {_text(note)}"


def _classes(metrics: Metrics, info: ModelInfo) -> Iterator[str]:
    trained = info.dataset.get("counts", {}).get("train", {})
    yield "| class | pictures to learn from | pictures scored | precision | recall | F1 |"
    yield "|---|--:|--:|--:|--:|--:|"
    for s in metrics.per_class:
        shares = " | ".join(f"{share:.3f}" for share in (s.precision, s.recall, s.f1))
        yield f"| {_text(s.label)} | {trained.get(s.label, 0)} | {s.support} | {shares} |"


def _promises(info: ModelInfo, findings: Findings | None) -> Iterator[str]:
    if info.calibration:
        yield f"- {_calibration(info.calibration)}"
    if findings and findings.sets:
        yield f"- {_sets(findings.sets)}"
    if findings and findings.unknown:
        yield from _unknown(findings.unknown)


def _calibration(facts: Mapping[str, Any]) -> str:
    if "error_after" not in facts:
        return (
            "Rare classes were given more weight than they have: probabilities are for pictures "
            "in which classes are more alike in number than in these."
        )
    before, after = (percent(facts[key]) for key in ("error_before", "error_after"))
    held = f"on {count(facts['pictures'], 'picture')} held out of training"
    if facts["method"] not in METHODS:
        return f"Probabilities as the network gives them: calibration error {before} % {held}."
    return (
        f"Probabilities by {METHODS[facts['method']]}: calibration error {before} % before, "
        f"{after} % after it, {held}."
    )


def _sets(sets: SetScore) -> str:
    return (
        f"Sets of labels that hold the true one in {percent(sets.target)} % of cases: they did in "
        f"{_interval(sets.coverage)}, with {sets.mean_size:.2f} labels on average."
    )


def _unknown(unknown: UnknownScore) -> Iterator[str]:
    yield (
        f'- "None of these" by {_text(unknown.score.replace("_", " "))}: lets '
        f"{percent(unknown.keep)} % of true pictures pass; here it was {_interval(unknown.kept)}."
    )
    for a in unknown.against:
        yield (
            f"  - {_text(a.name)}, {count(a.n, 'picture')}: {_interval(a.accepted)} passed, "
            f"AUROC {a.auroc:.3f}."
        )
    if unknown.held_out_classes:
        told = ", ".join(f"{_text(name)} {auroc:.2f}" for name, auroc in unknown.held_out_classes)
        yield f"  - AUROC of classes that were left out of training in turn: {told}."


def _interval(share: Interval) -> str:
    return f"{percent(share.value)} % ({percent(share.low)} to {percent(share.high)} %)"


def _training(info: ModelInfo) -> Iterator[str]:
    mode = str(info.training["mode"])
    yield f"- {MODES[mode] if mode in MODES else _text(mode)}"
    yield f"- backbone: {_text(_backbone(info))}"
    if mode != "scratch":
        yield f"- licence of its weights: {_text(str(info.backbone.get('license', 'unknown')))}"
    for heading, value in _data(info):
        yield f"- {_text(heading)}: {_text(value)}"
    yield f"- trained {_text(info.created)} with seed {info.seed}"


def _backbone(info: ModelInfo) -> str:
    """Its name, without the folders of the machine that it was trained on."""
    name = str(info.backbone["name"])
    return PurePath(name).name if name.startswith(LOCAL) else name


def _data(info: ModelInfo) -> Iterator[tuple[str, str]]:
    data = info.dataset
    if source := data.get("source"):
        yield "data", f"{data['root']}, {source}"
    for split, counts in data.get("counts", {}).items():
        heading = f"split {split}" if split else "without a split"
        yield heading, count(sum(counts.values()), "picture")
    yield "fingerprint of the data", str(data["fingerprint"])
    if facts := info.training.get("config", {}).get("metadata"):
        yield "facts beside the picture", ", ".join(facts)
    if left_out := info.training.get("left_out"):
        yield "left out, as they cannot be read", count(len(left_out), "picture")


def _limits(evaluation: Evaluation, info: ModelInfo, findings: Findings | None) -> Iterator[str]:
    for limit in limitations(evaluation, info, findings):
        yield f"- {_text(limit)}"


def _use(name: str) -> Iterator[str]:
    folder = " ".join(UNHELD.sub("\N{REPLACEMENT CHARACTER}", name).split())
    yield "```python"
    yield "import discern  # pip install discern"
    yield ""
    yield f"model = discern.load({json.dumps(folder, ensure_ascii=False)})  # this folder"
    yield 'for prediction in model.predict(["picture.jpg"]):'
    yield "    print(prediction.label, prediction.probability, prediction.unknown, prediction.set)"
    yield "```"
