"""The choice is the one promised, the page holds together, and its labels can be read."""

import csv
import itertools
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discern.evaluation.comparison import (
    Answers,
    Candidate,
    Comparison,
    Costs,
    choose,
    common_samples,
    compare_answers,
    front,
    reason,
    short_name,
    significant,
)
from discern.evaluation.comparison_chart import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    accuracy_over_latency,
    place_labels,
)
from discern.evaluation.comparison_chart import _accuracy_scale as accuracy_scale
from discern.evaluation.comparison_chart import _latency_scale as latency_scale
from discern.evaluation.comparison_page import NARROW, WIDE, comparison_csv, render_comparison
from discern.evaluation.metrics import score, wilson_interval
from discern.evaluation.significance import Difference
from discern.runtime.speed import Speed

CLASSES = ("cat", "dog")
SVG = "{http://www.w3.org/2000/svg}"


def costs(latency: float, megabytes: float = 10.0) -> Costs:
    speed = Speed(latency, 1.2 * latency, 2000 / latency, "onnxruntime", "f32", 2)
    return Costs(12.0, False, 3.0, speed, 2_200_000, megabytes)


def answers(right: list[bool], first: int = 0) -> Answers:
    """Of a model with two classes that is right on these pictures."""
    p = np.where(np.array(right)[:, None], [[0.9, 0.1]], [[0.2, 0.8]])
    n = len(right)
    return Answers(np.arange(first, first + n), np.zeros(n, np.intp), p.astype(np.float32))


def candidate(
    name: str, accuracy: float, latency: float, p: float = 1.0, megabytes: float = 10.0
) -> Candidate:
    return Candidate(
        name,
        wilson_interval(round(1000 * accuracy), 1000),
        accuracy,
        0.4,
        costs(latency, megabytes),
        p,
        Difference(0.0, -0.01, 0.01),
    )


def compared(**hits: tuple[int, float]) -> tuple[Candidate, ...]:
    """Candidates by how many of 1000 pictures they get right, always the first, and latency."""
    return compare_answers(
        CLASSES,
        {name: answers([i < n for i in range(1000)]) for name, (n, _) in hits.items()},
        {name: costs(latency) for name, (_, latency) in hits.items()},
    )


def test_the_quickest_that_is_not_significantly_worse_is_taken() -> None:
    found = compared(quick=(700, 1), medium=(896, 5), slow=(900, 50))
    assert [c.backbone for c in found] == ["slow", "medium", "quick"]
    assert [c.p >= 0.05 for c in found] == [True, True, False]
    assert found[2].p < 1e-6
    assert found[1].gain.value == pytest.approx(-0.004)
    taken = choose(found)
    assert taken.backbone == "medium"
    said = reason(found, taken, 1000)
    assert f"p = {found[1].p:.2g}" in said
    assert "89.6 % against 90.0 % of 1,000 held-out pictures" in said
    assert "answers in 5.0 ms, the most accurate, slow, in 50 ms" in said


def test_the_best_is_taken_where_what_is_quicker_is_significantly_worse() -> None:
    found = compared(quick=(700, 1), medium=(800, 5), slow=(900, 50), slower=(895, 90))
    taken = choose(found)
    assert taken.backbone == "slow"
    said = reason(found, taken, 1000)
    assert "significantly worse; the nearest, medium: 80.0 % against 90.0 %" in said
    assert "p < 0.001" in said


def test_the_best_that_is_also_quickest_needs_no_test() -> None:
    found = compared(quick=(900, 1), slow=(800, 50))
    assert choose(found).backbone == "quick"
    assert "answers soonest, in 1.0 ms" in reason(found, choose(found), 1000)
    alone = compared(only=(900, 1))
    assert "nothing to compare" in reason(alone, choose(alone), 1000)


def test_of_those_as_quick_the_smallest_is_taken() -> None:
    best, small = candidate("best", 0.9, 10.1), candidate("small", 0.89, 10.3, p=0.3, megabytes=5.0)
    assert choose([best, small]) is small
    assert "takes 5.0 MB" in reason([best, small], small, 1000)
    large = replace(small, costs=costs(9.96, 50.0))
    assert choose([best, large]) is best
    assert "no quicker to speak of" in reason([best, large], best, 1000)


def test_only_pictures_that_all_answered_are_compared() -> None:
    given_ = {"a": answers([True] * 6 + [False] * 4), "b": answers([False] * 2 + [True] * 8, 4)}
    assert common_samples(given_.values()).tolist() == [4, 5, 6, 7, 8, 9]
    by_name = {
        c.backbone: c for c in compare_answers(CLASSES, given_, {"a": costs(1.0), "b": costs(2.0)})
    }
    assert by_name["a"].accuracy.value == pytest.approx(2 / 6)
    assert by_name["b"].accuracy.value == pytest.approx(4 / 6)
    assert by_name["b"].p == 1


def test_the_order_of_the_pictures_does_not_count() -> None:
    whole = answers([i % 3 > 0 for i in range(50)])
    order = np.random.default_rng(0).permutation(50)
    shuffled = Answers(whole.samples[order], whole.truth[order], whole.probabilities[order])
    pair = {"a": whole, "b": shuffled}
    first, second = compare_answers(CLASSES, pair, dict.fromkeys(pair, costs(1.0)))
    assert second.gain == Difference(0.0, 0.0, 0.0)
    assert (first.accuracy, first.log_loss) == (second.accuracy, second.log_loss)


POINTS = st.lists(
    st.tuples(st.floats(0.02, 0.98), st.floats(0.5, 900.0), st.integers(3, 40)),
    min_size=1,
    max_size=10,
)


@given(POINTS)
def test_the_front(points: list[tuple[float, float, int]]) -> None:
    found = [candidate(f"net{i}", a, ms) for i, (a, ms, _) in enumerate(points)]
    best = front(found)
    for c in found:
        beaten = any(
            (o.latency_ms <= c.latency_ms and o.accuracy.value > c.accuracy.value)
            or (o.latency_ms < c.latency_ms and o.accuracy.value >= c.accuracy.value)
            for o in found
        )
        same = any(o.latency_ms == c.latency_ms and o.accuracy == c.accuracy for o in best)
        assert beaten != same


@settings(deadline=None, max_examples=40)
@given(POINTS, st.sampled_from([WIDE, NARROW]))
def test_labels_overlap_neither_each_other_nor_a_point(
    points: list[tuple[float, float, int]], size: tuple[int, int]
) -> None:
    found = [candidate("n" * k + f"-{i}", a, ms) for i, (a, ms, k) in enumerate(points)]
    width, height = size
    x, _ = latency_scale(found, LEFT, width - RIGHT)
    y = accuracy_scale(found, height - BOTTOM, TOP)
    plot = (LEFT, TOP, width, height - BOTTOM)
    labels = place_labels(found, front(found), found[0], x, y, plot)
    assert len(labels) == len(found)  # there is room for ten
    boxes = [label.box for label in labels]
    assert not any(overlap(a, b) for a, b in itertools.combinations(boxes, 2))
    spots = [(x.place(c.latency_ms), y.place(c.accuracy.value)) for c in found]
    assert not any(
        overlap(box, (px - 5, py - 5, px + 5, py + 5)) for box in boxes for px, py in spots
    )
    assert all(
        left >= plot[0] and top >= plot[1] and right <= plot[2] and bottom <= plot[3]
        for left, top, right, bottom in boxes
    )


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def chart(found: list[Candidate]) -> ElementTree.Element:
    return ElementTree.fromstring(
        accuracy_over_latency(found, found[0], width=760, height=430, kind="wide-chart")
    )


def test_the_scale_is_logarithmic_where_that_reads_better() -> None:
    far = [candidate("a", 0.9, 5), candidate("b", 0.8, 500)]
    near = [candidate("a", 0.9, 5), candidate("b", 0.8, 8)]
    assert "log scale" in "".join(chart(far).itertext())
    assert "log scale" not in "".join(chart(near).itertext())
    places = [float(c.get("cx", "")) for c in chart(far).iter("circle") if c.get("class") != "ring"]
    assert LEFT < min(places) < max(places) < 760 - RIGHT


def test_the_chart_marks_the_choice_and_the_front() -> None:
    found = [candidate("a", 0.9, 50), candidate("b", 0.8, 5), candidate("c", 0.7, 20)]
    kinds = [c.get("class") for c in chart(found).iter("circle")]
    assert sorted(map(str, kinds)) == ["point", "point", "point behind", "ring"]
    taken = [t.text for t in chart(found).iter("text") if "taken" in t.get("class", "")]
    assert taken == ["a"]


def comparison(**failures: str) -> Comparison:
    found = compared(**{"quick": (700, 1), "hf-hub:me/medium": (896, 5), "slow": (900, 50)})
    taken = choose(found)
    P = np.array([[0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    metrics = score(CLASSES, ["cat", "dog", "dog"], P)
    said = reason(found, taken, 1000)
    return Comparison(found, failures, taken, said, 1000, metrics, "test", Path("out/model"))


def page_of(of: Comparison, **parts: object) -> str:
    return render_comparison(of, **({"title": "T", "facts": {"Seed": "0"}} | parts))  # type: ignore[arg-type]


def seen(element: ElementTree.Element) -> str:
    return " ".join("".join(element.itertext()).split())


def test_the_page_is_whole_and_asks_for_nothing_from_outside() -> None:
    of = comparison(broken="its weights cannot be had <no network>")
    page = page_of(of)
    tree = ElementTree.fromstring(page)  # it is XML too, which makes "well-formed" testable
    assert not re.search(r"(src|href)=\"(?!data:)|url\(|@import", page)
    assert of.reason in seen(tree)
    table = next(tree.iter("table"))
    rows = [row for body in table.findall("tbody") for row in body]
    assert [seen(row[0]) for row in rows] == ["slow", "medium taken", "quick", "broken"]
    assert seen(rows[3][1]) == "not compared: its weights cannot be had <no network>"
    assert len(page) < 60_000


def test_the_score_stands_apart_from_what_was_chosen_on() -> None:
    page = seen(ElementTree.fromstring(page_of(comparison())))
    assert "What it scored on test, 3 pictures of which none took part in the choice" in page
    assert "66.7 %" in page
    none = replace(comparison(), score=None, split=None)
    assert "its worth is not proven" in page_of(none)


@pytest.mark.parametrize("name", ["<b>&\"'", "a" * 90, "é/ü", "\ud800"])
def test_any_name_is_held(name: str) -> None:
    found = compared(**{name: (700, 1), "other": (710, 2)})
    of = replace(comparison(**{name: name}), candidates=found, taken=found[0])
    page = page_of(of, title=name, facts={name: name})
    shown = next(ElementTree.fromstring(page).iter("h1")).text
    assert shown == name.replace("\ud800", "\N{REPLACEMENT CHARACTER}")


def test_the_csv_has_a_line_for_each() -> None:
    rows = list(csv.DictReader(comparison_csv(comparison(broken="why,\nso")).splitlines(True)))
    assert [row["backbone"] for row in rows] == ["slow", "hf-hub:me/medium", "quick", "broken"]
    assert [row["taken"] for row in rows] == ["False", "True", "False", ""]
    assert [row["on_front"] for row in rows] == ["True", "True", "True", ""]
    assert rows[3]["failure"] == "why,\nso"
    assert float(rows[1]["accuracy"]) == 0.896
    assert float(rows[1]["latency_ms"]) == 5


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.123, "0.12"), (4.34, "4.3"), (9.96, "10"), (38.4, "38"), (1234, "1,234")],
)
def test_two_digits(value: float, shown: str) -> None:
    assert significant(value) == shown


@pytest.mark.parametrize(
    ("name", "short"),
    [("resnet50", "resnet50"), ("hf-hub:me/net", "net"), ("local-dir:/a/b/", "b")],
)
def test_short_names(name: str, short: str) -> None:
    assert short_name(name) == short
