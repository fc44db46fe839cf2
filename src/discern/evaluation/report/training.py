"""How the model was made, and on what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from discern.config import TrainConfig
from discern.evaluation.evaluate import Evaluation
from discern.evaluation.markup import clipped, count, text
from discern.evaluation.report.elements import (
    TALL_FROM,
    Section,
    facts,
    folded,
    row,
    scrollable,
    table,
)
from discern.model.info import ModelInfo

MOST_CLASSES = 1_000
MOST_LEFT_OUT = 100
MODES = {
    "frozen": "a head on the embeddings of a frozen backbone",
    "finetune": "the whole network fine-tuned",
    "scratch": "the whole network from random weights",
}
# Settings that a fact of its own tells.
ELSEWHERE = ("mode", "backbone", "seed")


def training(info: ModelInfo, more: Mapping[str, str]) -> Section:
    """Backbone, settings and versions; `more` are facts that the caller knows."""
    body = f"{facts({**_facts(info), **more})}\n{_settings(info)}\n{_versions(info)}"
    return Section("Training", "How it was made", body)


def _facts(info: ModelInfo) -> dict[str, str]:
    spec, how = info.preprocess, info.training
    return {
        "Training": MODES.get(how["mode"], how["mode"]),
        "Backbone": _backbone(info.backbone),
        "Licence of its weights": str(info.backbone.get("license", "unknown")),
        "Pictures are seen at": f"{spec.width} × {spec.height} pixels",
        "Seed": str(info.seed),
        **_chosen(how),
        "Made": f"{info.created[:10]}{_duration(how.get('seconds'))}",
    }


def _chosen(how: Mapping[str, Any]) -> dict[str, str]:
    """What training found for itself."""
    if how.get("c") is not None:
        return {"C, by cross-validation": f"{how['c']:g}"}
    if "best_epoch" in how:
        return {"Epochs": f"{how['epochs']}, the best of them number {how['best_epoch']}"}
    return {}


def _backbone(backbone: Mapping[str, Any]) -> str:
    name, architecture = str(backbone["name"]), backbone.get("architecture")
    if name.startswith("local-dir:"):  # where it lay is nobody else's business
        name = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return name if architecture in (None, name) else f"{name} ({architecture})"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 120:
        return f", in {seconds:.0f} s"
    return f", in {seconds / 60:.0f} minutes"


def _settings(info: ModelInfo) -> str:
    """A table of the settings that are not as they come."""
    config = info.training.get("config")
    if config is None:
        return ""
    changed = dict(differing(config, str(info.training["mode"])))
    if not changed:
        return '<p class="soft">All settings were left as they come.</p>'
    rows = [row(name, (text(given), text(usual))) for name, (given, usual) in changed.items()]
    return table(("Setting", "Here", "By default"), rows, caption="Settings that were changed.")


def differing(config: Mapping[str, Any], mode: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """Settings of a model.json that differ from the defaults: (name, (value, default)).

    Those of another mode than the model's do not count, nor do those that discern has no longer.
    """
    unused = "finetune." if mode == "frozen" else "head."
    given, usual = dict(_flat(config)), dict(_flat(asdict(TrainConfig())))
    for name, default in usual.items():
        counts = name not in ELSEWHERE and not name.startswith(unused)
        if counts and name in given and _plain(given[name]) != _plain(default):
            yield name, (_plain(given[name]), _plain(default))


def _flat(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield above + name, value


def _plain(value: Any) -> str:
    """A setting as text, alike for what JSON has changed: tuples, whole numbers."""
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, int | float) else "–" if value is None else str(value)


def _versions(info: ModelInfo) -> str:
    return folded("Versions", facts({**info.versions}))


def data(evaluation: Evaluation, info: ModelInfo) -> Section:
    """What it was trained and scored on: counts, copies found, pictures left out."""
    dataset, counts = info.dataset, info.dataset.get("counts", {})
    totals = {split: sum(n.values()) for split, n in counts.items()}
    known = {
        "Data": dataset.get("root"),
        "Read as": dataset.get("source"),
        "Pictures": ", ".join(f"{n:,} {split or 'without a split'}" for split, n in totals.items()),
        "Fingerprint": dataset.get("fingerprint", "")[:16],
        "Scored split": evaluation.split,
        "Copies of training pictures": f"{len(evaluation.scored.leaks):,} among those scored",
    }
    found = {term: str(value) for term, value in known.items() if value}
    left_out = {**info.training.get("left_out", {}), **evaluation.failures}
    body = f"{facts(found)}\n{_counts(counts) if counts else ''}\n{_left_out(left_out)}"
    return Section("Data", "What it was made from", body)


def _counts(counts: Mapping[str, Mapping[str, int]]) -> str:
    """Pictures by class and split, the commonest class first."""
    total: dict[str, int] = {}
    for by_class in counts.values():
        for label, n in by_class.items():
            total[label] = total.get(label, 0) + n
    labels = sorted(total, key=lambda label: (-total[label], label))[:MOST_CLASSES]
    rows = [
        row(label, [f"{by_class.get(label, 0):,}" for by_class in counts.values()])
        for label in labels
    ]
    columns = ("Class", *(split or "no split" for split in counts))
    shown = table(columns, rows, sortable=True)
    summary = "Pictures by class and split"
    if len(labels) < len(total):
        summary += f", of the {len(labels):,} largest of {len(total):,} classes"
    return folded(summary, scrollable(summary, shown, tall=len(rows) > TALL_FROM))


def _left_out(reasons: Mapping[str, str]) -> str:
    if not reasons:
        return ""
    shown = list(reasons.items())[:MOST_LEFT_OUT]
    more = len(reasons) - len(shown)
    rows = [row(_short(path), (text(clipped(why)),)) for path, why in shown]
    caption = f"And {count(more, 'more')}." if more else ""
    return folded(
        f"{count(len(reasons), 'picture')} left out",
        scrollable("Pictures left out", table(("Picture", "Why"), rows, caption=caption)),
    )


def _short(path: str) -> str:
    return "/".join(path.replace("\\", "/").split("/")[-2:])
