"""The card is Markdown that hubs and people read, and says nothing that is not so."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from discern.evaluation import Evaluation, Findings, Interval, render_model_card, score
from discern.evaluation.findings import Against, SetScore, Slice, UnknownScore
from discern.evaluation.front_matter import front_matter
from discern.evaluation.limitations import limitations
from discern.evaluation.markup import UNHELD
from discern.evaluation.scored import Scored
from discern.images import PreprocessSpec
from discern.model import ModelInfo
from discern.survey.leaks import Leak

yaml = pytest.importorskip("yaml")
LABELS = ("cat", "dog", "fish")
Labels = tuple[str, ...]
Name = st.text(min_size=1, max_size=30)
Names = st.lists(Name, min_size=2, max_size=5, unique=True)

INFO = ModelInfo(
    labels=LABELS,
    preprocess=PreprocessSpec(32, 48),
    backbone={"name": "resnet18.a1_in1k", "license": "apache-2.0"},
    temperature=1.2,
    training={"mode": "frozen", "config": {}, "left_out": {"a/b.jpg": "empty file"}},
    dataset={
        "root": "pets",
        "source": "a folder per class",
        "fingerprint": "cec3c1",
        "counts": {"train": {"cat": 500, "dog": 400, "fish": 12}, "test": {"cat": 30}},
    },
    seed=3,
    versions={"discern": "0.1.0"},
    created="2026-01-01T00:00:00+00:00",
    calibration={
        "method": "temperature",
        "error_before": 0.031,
        "error_after": 0.012,
        "pictures": 912,
    },
    unknown={"keep": 0.95},
)
SETS = SetScore(0.9, Interval(0.8, 0.7, 0.87), 1.25, ((1, 75), (2, 25)))
UNKNOWN = UnknownScore(
    "mahalanobis",
    0.95,
    Interval(0.94, 0.9, 0.97),
    (
        Against("digits", 100, 0.99, Interval(0.02, 0.0, 0.07)),
        Against("fog", 50, 0.8, Interval(0.4, 0.3, 0.5)),
    ),
    (("fish", 0.6), ("cat", 0.9)),
)
DARK = Slice(
    "Brightness", "darkest quarter", 25, Interval(0.5, 0.3, 0.7), Interval(0.9, 0.8, 1), 0.001, True
)
BRIGHT = replace(DARK, name="brightest quarter", p=0.5, worse=False)
FINDINGS = Findings((), (), (), SETS, UNKNOWN, (DARK, BRIGHT))


def evaluation(labels: Labels = LABELS, seen: int = 0, **changes: Any) -> Evaluation:
    """100 pictures, all right but for 6 of the second class that are taken for the first."""
    truth = np.repeat([0, 1], [60, 40])
    answer = np.where(np.arange(100) >= 94, 0, truth)
    P = np.eye(len(labels))[answer] * 0.9 + 0.1 / len(labels)
    names = [labels[k] for k in truth]
    leaks = (Leak(Path("a.jpg"), "a.jpg", None, True),) * seen
    nothing = np.zeros((100, 1), np.float32)
    scored = Scored((Path("a.jpg"),) * 100, names, P, nothing, leaks=leaks)
    made = Evaluation(score(labels, names, P), "test", (), {}, scored)
    return replace(made, **changes)


def card(info: ModelInfo = INFO, findings: Findings | None = FINDINGS, **changes: Any) -> str:
    made = evaluation(info.labels, **changes)
    return render_model_card(made, info, findings, name="my-model", data="pets")


def head_of(text: str) -> dict[str, Any]:
    _, head, _ = text.split("---\n", 2)
    found: dict[str, Any] = yaml.safe_load(head)
    return found


def rendered(text: str) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(text.split("---\n", 2)[2])


def seen(token: Token) -> str:
    """What a reader sees of a block."""
    return "".join(child.content for child in token.children or ())


def test_what_hubs_read() -> None:
    head = head_of(card())
    assert head["library_name"] == "discern"
    assert head["pipeline_tag"] == "image-classification"
    assert head["license"] == "apache-2.0"
    assert "base_model" not in head
    (entry,) = head["model-index"]
    (result,) = entry["results"]
    assert entry["name"] == "my-model"
    assert result["task"]["type"] == "image-classification"
    assert result["dataset"] == {"type": "pets", "name": "pets", "split": "test"}
    assert {m["type"]: m["value"] for m in result["metrics"]}["accuracy"] == 0.94


def test_where_the_weights_come_from() -> None:
    hub = replace(INFO, backbone={"name": "hf-hub:someone/net", "license": "Odd-1"})
    head = head_of(card(hub))
    assert (head["base_model"], head["license"]) == ("someone/net", "other")
    assert head["license_name"] == "Odd-1"
    scratch = card(replace(INFO, training={"mode": "scratch"}, backbone={"name": "resnet18"}))
    assert "license" not in head_of(scratch)
    assert "licence" not in scratch
    local = replace(INFO, backbone={"name": "local-dir:/home/me/nets/tiny", "license": "unknown"})
    assert "/home/me" not in card(local)
    assert "backbone: tiny" in card(local)
    assert head_of(card(local))["license"] == "unknown"


def test_what_people_read() -> None:
    text = "\n".join(map(seen, rendered(card(notes=("Mind <this>.",)))))
    for words in (
        "Sorts pictures into 3 classes: cat, dog, fish.",
        "32 × 48 pixels",
        "Accuracy 94.0 % (95 % interval 87.5 to 97.2 %) on 100 pictures of pets (test).",
        "Mind <this>.",
        "temperature scaling: calibration error 3.1 % before, 1.2 % after it, on 912 pictures",
        "80.0 % (70.0 to 87.0 %), with 1.25 labels on average",
        "lets 95.0 % of true pictures pass; here it was 94.0 %",
        "digits, 100 pictures: 2.0 % (0.0 to 7.0 %) passed, AUROC 0.990",
        "fish 0.60, cat 0.90",
        "split train: 912 pictures",
        "fingerprint of the data: cec3c1",
        "left out, as they cannot be read: 1 picture",
    ):
        assert words in text, words
    bare = card(replace(INFO, calibration={}), None)
    assert "What its answers promise" not in bare


def test_limits_are_those_that_the_facts_show() -> None:
    said = "\n".join(limitations(evaluation(), INFO, FINDINGS))
    for words in (
        "Few training pictures: fish (12).",
        "Not scored, as there was no picture: fish.",
        "Takes one class for another: dog for cat (6 of 40).",
        "Weaker on brightness: darkest quarter: 50.0 % right there, 90.0 % elsewhere.",
        "held the truth in 80.0 % of cases, 90.0 % were promised",
        "often not said of: fog (40.0 %)",
        "Left out of training, these classes passed for others: fish.",
    ):
        assert words in said, words
    for words in (
        "brightest",
        "digits",
        "validation",
        "took part",
        "unknown",
        "true pictures pass",
    ):
        assert words not in said, words


def test_limits_of_the_model_and_of_its_score() -> None:
    flattered = evaluation(seen=7, split="validation")
    poor = replace(INFO, unknown=None, backbone={"name": "x", "license": "unknown"})
    said = "\n".join(limitations(flattered, poor))
    assert "It was scored on validation" in said
    assert "7 pictures of the score took part in training" in said
    assert 'It cannot say "none of these"' in said
    assert "The licence of the backbone's weights is unknown" in said
    assert "Weaker" not in said


def test_missed_classes_and_strange_ones() -> None:
    P = np.eye(2)[[0] * 30 + [1] * 10]
    made = score(("cat", "dog"), ["cat"] * 10 + ["dog"] * 20 + ["newt"] * 10, P)
    said = "\n".join(limitations(evaluation(metrics=made), replace(INFO, labels=("cat", "dog"))))
    assert "Often missed: dog (0.0 % found)." in said
    assert "It does not know these classes of the data: newt." in said
    assert "Scored on few pictures, so that their recall is hardly known: cat (10)." in said
    assert "Its probabilities are off by" in said


@given(Names, Name)
def test_any_name_is_read_as_it_is(labels: list[str], name: str) -> None:
    info = replace(INFO, labels=tuple(labels), dataset={"fingerprint": "f"})
    made = evaluation(info.labels)
    text = render_model_card(made, info, FINDINGS, name=name, data=name)
    (entry,) = head_of(text)["model-index"]
    assert entry["name"] == entry["results"][0]["dataset"]["name"] == name
    tokens = rendered(text)
    assert sum(t.type == "tr_open" for t in tokens) == 1 + len(labels)
    assert sum(t.type == "td_open" for t in tokens) == 6 * len(labels)
    cells = [seen(tokens[i + 1]) for i, t in enumerate(tokens) if t.type == "td_open"]
    held = (UNHELD.sub("\N{REPLACEMENT CHARACTER}", label) for label in labels)
    assert cells[::6] == [" ".join(label.split()) for label in held]


@given(Names, Name)
def test_front_matter_gives_names_back(labels: list[str], name: str) -> None:
    made = evaluation(tuple(labels)).metrics
    text = front_matter(made, INFO, name=name, data=labels[0], split=labels[1])
    (entry,) = head_of(f"{text}\n")["model-index"]
    assert entry["name"] == name
    assert entry["results"][0]["dataset"]["name"] == labels[0]
    assert entry["results"][0]["dataset"]["split"] == labels[1]
