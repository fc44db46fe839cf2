"""The page holds together, whatever the labels, and asks for nothing from outside."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from discern.evaluation import Metrics, render_report, score


def metrics_of(labels: list[str], n: int = 300, extra: list[str] | None = None) -> Metrics:
    draw = np.random.default_rng(0)
    true = draw.integers(len(labels), size=n)
    P = draw.dirichlet(np.ones(len(labels)), size=n) / 2
    P[np.arange(n), true] += 0.5
    return score(labels, (extra or []) + [labels[k] for k in true][len(extra or []) :], P)


def page_of(metrics: Metrics, **parts: object) -> str:
    return render_report(metrics, **({"title": "Test", "facts": {}} | parts))  # type: ignore[arg-type]


def tree_of(page: str) -> ElementTree.Element:
    # The page is written so that it is XML too, which makes "well-formed" a thing to test.
    return ElementTree.fromstring(page)


def seen(element: ElementTree.Element | None) -> str:
    assert element is not None
    return " ".join("".join(element.itertext()).split())


def names(size: int) -> list[str]:
    return [f"class {k}" for k in range(size)]


@pytest.mark.parametrize(("size", "limit"), [(2, 30_000), (10, 40_000), (120, 120_000)])
def test_well_formed_and_small_for_few_and_many_classes(size: int, limit: int) -> None:
    page = page_of(metrics_of(names(size)))
    rows = tree_of(page).findall(".//table[@class='list scores']/tbody/tr")
    assert len(rows) == size
    assert len(page.encode()) < limit


def test_asks_for_nothing_from_outside() -> None:
    page = page_of(metrics_of(names(10)), facts={"Backbone": "resnet50"})
    assert not re.search(r"https?:|url\(|@import|src=", page.replace("http-equiv", ""))
    assert {e.get("href") for e in tree_of(page).iter() if e.get("href")} == {"data:,"}
    assert "default-src 'none'" in page


def test_the_score_stands_first_with_its_interval() -> None:
    metrics = score(["a", "b"], ["a"] * 8 + ["b"] * 2, np.tile([0.9, 0.1], (10, 1)))
    hero = seen(tree_of(page_of(metrics)).find(".//div[@class='hero']"))
    assert hero.startswith("80.0% Accuracy: right on 8 of 10 pictures. 95 % interval 49.0 to 94.3")
    assert "80.0 % by always saying the commonest class" in hero


def test_confusions_are_told_in_words() -> None:
    truth = ["shirt"] * 3 + ["t-shirt"]
    metrics = score(["shirt", "t-shirt"], truth, np.eye(2)[[1, 1, 0, 1]])
    listed = tree_of(page_of(metrics)).find(".//ol")
    assert seen(listed) == "shirt taken for t-shirt2 times of 3"


def test_notes_and_facts_are_shown() -> None:
    page = page_of(metrics_of(names(3)), notes=["This split chose C."], facts={"Seed": "7"})
    tree = tree_of(page)
    assert seen(tree.find(".//p[@role='note']")) == "This split chose C."
    assert seen(tree.find(".//dl[@class='facts']")) == "Seed7"


def test_classes_the_model_does_not_know_are_told() -> None:
    tree = tree_of(page_of(metrics_of(names(3), extra=["yak", "yak"])))
    assert "does not know 1 class of these pictures: yak. 2 pictures" in seen(
        tree.find(".//p[@role='note']")
    )
    heads = [seen(th) for th in tree.findall(".//table[@class='heat']/thead//th")]
    assert heads == names(3)  # nobody can answer yak


def test_a_long_matrix_shows_the_classes_with_most_mistakes_and_the_rest_as_others() -> None:
    metrics = metrics_of(names(120), n=2000)
    table = tree_of(page_of(metrics)).find(".//table[@class='heat dense']")
    assert table is not None
    assert seen(table.find("thead")).endswith("others")
    support = {s.label: s.support for s in metrics.per_class}
    rows = table.findall("tbody/tr")
    assert len(rows) == 25
    for row in rows:
        assert sum(int(td.text or 0) for td in row.findall("td")) == support[seen(row.find("th"))]


HOSTILE = ["<script>alert(1)</script>", "\"><img src=x onerror='x'>", "$title ${facts}", "a & b"]


def test_hostile_text_is_escaped() -> None:
    metrics = metrics_of(HOSTILE)
    page = page_of(metrics, title=HOSTILE[0], facts={HOSTILE[1]: HOSTILE[0]}, notes=HOSTILE)
    tree = tree_of(page)
    assert page.count("<script>") == 1  # the page's own
    assert not tree.findall(".//img")
    labels = {th.text for th in tree.findall(".//table[@class='list scores']/tbody//th")}
    assert labels == set(HOSTILE)


@given(st.lists(st.text(st.characters(codec=None)), min_size=2, max_size=4, unique=True))
def test_any_label_gives_a_page_that_can_be_written(labels: list[str]) -> None:
    page = page_of(metrics_of(labels, n=20), title=labels[0], notes=labels)
    tree_of(page.encode("utf-8").decode())
