"""The report in a browser: readable by all, on any screen, in both colour schemes, and on paper."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from discern.evaluation import Evaluation, Interval, render_report, score
from discern.evaluation.findings import (
    Against,
    Case,
    Findings,
    PairCases,
    SetScore,
    Slice,
    UnknownScore,
)
from discern.evaluation.scored import Scored
from discern.images import PreprocessSpec
from discern.model import ModelInfo
from discern.runtime.speed import Speed
from visited_pages import Visit, complaints_of_axe, reached_by_keyboard, unfold

LABELS = (
    "dress",
    "hat",
    "longsleeve",
    "a-very-long-name-of-a-class-without-any-space-in-it",
    "شلوار",
)
PICTURES = 3


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with everything on it, whose heat maps are red and whose pictures are blue."""
    folder = tmp_path_factory.mktemp("report")
    blue = folder / "blue.png"
    Image.new("RGB", (300, 200), "blue").save(blue)
    path = folder / "report.html"
    page = render_report(
        _evaluation(),
        _info(),
        _findings(blue),
        title="clothes · all of them",
        speed=Speed(4.2, 6.1, 310, "onnxruntime", "f32", 2),
        heat=lambda _file, _label: Image.new("RGB", (300, 200), "red"),
    )
    path.write_text(page, "utf-8")
    return path


def _evaluation() -> Evaluation:
    draw = np.random.default_rng(0)
    true = draw.integers(len(LABELS), size=300)
    P = draw.dirichlet(np.ones(len(LABELS)), size=300) / 2
    P[np.arange(300), true] += 0.5
    metrics = score(LABELS, [LABELS[k] for k in true], P)
    nothing = np.zeros((0, 1), np.float32)
    scored = Scored((), [], nothing, nothing)
    return Evaluation(metrics, "validation", ("Two are copies.",), {"b/c.jpg": "empty"}, scored)


def _info() -> ModelInfo:
    counts = {"train": dict.fromkeys(LABELS, 40), "validation": dict.fromkeys(LABELS, 60)}
    return ModelInfo(
        labels=LABELS,
        preprocess=PreprocessSpec(224, 224),
        backbone={"name": "mobilenetv2"},
        temperature=1.0,
        training={"mode": "frozen", "config": {"image_size": 160}, "seconds": 300},
        dataset={"root": "clothes", "fingerprint": "0123456789abcdef", "counts": counts},
        seed=0,
        versions={"discern": "1"},
        created="2026-01-01T00:00:00+00:00",
        unknown={"compared": {name: {"strangers": 0.9} for name in ("energy", "mahalanobis")}},
    )


def _findings(picture: Path) -> Findings:
    case = Case(picture, LABELS[3], LABELS[2], 0.97, 0.01, unknown=True, set=LABELS[2:4])
    cases = (case, Case(picture, LABELS[0], LABELS[0], 0.4, 0.4, set=LABELS))
    gone = Case(picture.with_name("gone.jpg"), LABELS[0], LABELS[1], 0.9, 0.1)
    reached = Interval(0.91, 0.88, 0.94)
    return Findings(
        mistakes=(case, gone),
        doubtful=(cases[1],),
        pairs=(PairCases(LABELS[3], LABELS[2], 4, 60, (case,)),),
        sets=SetScore(0.9, reached, 1.2, ((1, 250), (2, 50))),
        unknown=UnknownScore(
            "energy", 0.95, reached, (Against("digits", 50, 0.99, reached),), ((LABELS[3], 0.7),)
        ),
        slices=(Slice("Brightness", "dark", 40, reached, reached, 0.01, True),),
    )


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_and_nothing_is_wider_than_the_screen(
    visit: Visit, width: int, dark: bool
) -> None:
    page = visit(width, dark)
    unfold(page)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert not complaints_of_axe(page)


def test_the_keyboard_reaches_everything_and_the_space_bar_shows_the_heat(visit: Visit) -> None:
    page = visit()
    unfold(page)
    wanted, reached = reached_by_keyboard(page)
    assert reached == wanted

    assert page.locator(".heated").count() == PICTURES
    card = page.locator("#in-doubt .heated")
    heat = card.locator(".overlaid")
    assert opacity(heat) == 0
    card.locator("input").focus()
    page.keyboard.press("Space")
    assert opacity(heat) == 1
    page.keyboard.press("Space")
    assert opacity(heat) == 0


def opacity(locator: Any) -> float:
    return float(locator.evaluate("each => getComputedStyle(each).opacity"))


def test_one_switch_shows_all_heat_maps_of_its_section(visit: Visit) -> None:
    page = visit(390)
    page.locator("#sure-and-wrong .switch input").check()
    assert opacity(page.locator("#sure-and-wrong .overlaid")) == 1
    assert opacity(page.locator("#mixed-up .overlaid")) == 0


def test_a_tap_shows_the_heat(visit: Visit) -> None:
    page = visit(390)
    heat = page.locator("#mixed-up .overlaid")
    page.locator("#mixed-up .heated").click()
    page.mouse.move(0, 0)
    assert opacity(heat) == 1


@pytest.mark.parametrize("width", [1280, 390])
def test_the_contents_stay_in_sight_and_follow_the_reader(visit: Visit, width: int) -> None:
    page = visit(width)
    page.locator(".contents a", has_text="Limits").focus()
    page.keyboard.press("Enter")
    page.locator(".contents a[href='#limits'][aria-current]").wait_for()
    assert 0 <= page.locator(".contents").bounding_box()["y"] < 1
    heading = page.locator("#limits h2").bounding_box()
    assert heading["y"] > page.locator(".contents").bounding_box()["height"]
    page.evaluate("document.querySelector('#sets').scrollIntoView()")
    page.locator(".contents a[href='#sets'][aria-current]").wait_for()
    assert page.locator(".contents a[aria-current]").count() == 1


def test_tables_are_sorted_by_a_press_on_their_heads(visit: Visit) -> None:
    page = visit()
    head = page.locator("#classes th button", has_text="Pictures")

    def column() -> list[int]:
        return [int(n) for n in page.locator("#classes tbody tr td:nth-child(2)").all_inner_texts()]

    head.focus()
    page.keyboard.press("Enter")
    assert column() == sorted(column())
    page.keyboard.press("Enter")
    assert column() == sorted(column(), reverse=True)
    assert page.locator("#classes th[aria-sort=descending]").inner_text() == "Pictures"


def test_on_paper_pictures_and_heat_stand_side_by_side_and_all_is_unfolded(visit: Visit) -> None:
    page = visit(690)
    page.emulate_media(media="print")
    picture, heat = (
        page.locator(f"#in-doubt .heated img:nth-of-type({k})").bounding_box() for k in (1, 2)
    )
    assert opacity(page.locator("#in-doubt .overlaid")) == 1
    assert picture["x"] + picture["width"] <= heat["x"]
    assert page.locator(".switch").first.is_hidden()
    assert page.locator("#data tbody tr").first.bounding_box()["height"] > 0
    pdf = page.pdf(format="A4", print_background=True)
    assert pdf.startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 8
