"""The inspection in a browser: on any screen, in both colour schemes, on paper, in a notebook."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from discern.data import Dataset
from discern.inspection.inspection import (
    BadFile,
    DuplicateGroup,
    Inspection,
    LabelFindings,
    Looks,
    Odd,
    Outlier,
    Suspect,
)
from discern.inspection.report import notebook_frame, render_inspection
from visited_pages import Visit, complaints_of_axe, reached_by_keyboard, unfold

CLASSES = ("dress", "a-very-long-name-of-a-class-without-any-space-in-it", "شلوار")
N, TRAIN = 1_500, 1_100


@pytest.fixture(scope="module")
def inspection(tmp_path_factory: pytest.TempPathFactory) -> Inspection:
    """A bit of everything; classes of 1,202, 150 and 148 pictures."""
    folder = tmp_path_factory.mktemp("clothes")
    names = [f"{'long-' * 30}{k}.jpg" if k % 2 else f"zdjęcie {k}.jpg" for k in range(N)]
    for k in range(40):
        Image.new("RGB", (90 + k, 120), (6 * k, 90, 120)).save(folder / names[k])
    labels = [CLASSES[0 if k >= 298 else 1 + k % 2] for k in range(N)]
    rows = [(names[k], labels[k], "train" if k % 15 < 11 else "test", "") for k in range(N)]
    dataset = Dataset.from_rows(folder, rows)
    group = DuplicateGroup(tuple(range(9, 16)), "near", CLASSES[1:], ("train", "test"))
    pair = DuplicateGroup((20, 22), "bytes", (CLASSES[1],), ("train",))
    found = LabelFindings(
        "mobilenetv2",
        tuple(Suspect(k, CLASSES[1], CLASSES[0], 0.9, 0.01) for k in range(4)),
        (Outlier(3, 3.4),),
        checked=N,
        estimated_errors=60,
    )
    odd = tuple(Odd(k, "blurry", 3.0, "sharpness 3") for k in range(8))
    bad = (BadFile(N - 1, "truncated JPEG"),)
    duplicates = (group, pair)
    return Inspection(dataset, _looks(), bad, odd, duplicates, found, ("A remark.",), 2.0)


def _looks() -> Looks:
    draw = np.random.default_rng(0)
    side = draw.integers(100, 3000, (2, N - 1)).astype(np.uint32)
    share = draw.beta(5, 5, (2, N - 1)).astype(np.float32)
    return Looks(
        samples=np.arange(N - 1),
        format=draw.choice(["JPEG", "PNG"], N - 1),
        mode=draw.choice(["RGB", "L", "I;16B"], N - 1),
        width=side[0],
        height=side[1],
        bytes=draw.integers(1000, 10**7, N - 1).astype(np.uint64),
        brightness=share[0],
        contrast=share[1] / 2,
        sharpness=draw.exponential(300, N - 1).astype(np.float32),
    )


@pytest.fixture(scope="module")
def report(inspection: Inspection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "inspection.html"
    path.write_text(render_inspection(inspection), "utf-8")
    return path


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_axe_finds_nothing_and_nothing_is_wider_than_the_screen(
    visit: Visit, width: int, dark: bool
) -> None:
    page = visit(width, dark)
    unfold(page)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert not complaints_of_axe(page)


def test_the_keyboard_reaches_everything(visit: Visit) -> None:
    page = visit()
    unfold(page)
    wanted, reached = reached_by_keyboard(page)
    assert reached == wanted


def test_a_finding_leads_to_its_section(visit: Visit) -> None:
    page = visit()
    page.locator(".findings a", has_text="unlike the rest").focus()
    page.keyboard.press("Enter")
    page.locator(".contents a[href='#odd-ones'][aria-current]").wait_for()
    bar = page.locator(".contents").bounding_box()
    assert page.locator("#odd-ones h2").bounding_box()["y"] > bar["height"]


def test_the_folded_rest_opens_with_the_keyboard(visit: Visit) -> None:
    page = visit(390)
    rest = page.locator("#odd-ones details")
    assert rest.locator("tbody tr").first.is_hidden()
    rest.locator("summary").focus()
    page.keyboard.press("Enter")
    assert rest.locator("tbody tr").count() == 3
    assert rest.locator("tbody tr").first.is_visible()


def test_thousands_sort_as_numbers(visit: Visit) -> None:
    page = visit()
    head = page.locator("#classes th button", has_text="Pictures")
    head.focus()
    page.keyboard.press("Enter")
    column = page.locator("#classes tbody tr td:nth-child(2)").all_inner_texts()
    assert [each.strip() for each in column] == ["149", "149", "1,202"]


def test_pictures_are_seen_and_long_names_stay_in_their_places(visit: Visit) -> None:
    page = visit(390)
    page.locator("#duplicates img").first.scroll_into_view_if_needed()
    assert page.locator("#duplicates img").first.evaluate("img => img.naturalWidth") > 0
    outside = page.evaluate(
        """[...document.querySelectorAll('.case, .case *')].filter(each => {
            const box = each.getBoundingClientRect();
            return box.left < 0 || box.right > innerWidth + 1;
        }).length"""
    )
    assert outside == 0


def test_on_paper_what_is_folded_is_left_out(visit: Visit) -> None:
    page = visit(690)
    page.emulate_media(media="print")
    assert page.locator("#odd-ones details").bounding_box()["height"] < 40
    pdf = page.pdf(format="A4", print_background=True)
    assert pdf.startswith(b"%PDF")
    assert 3 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 6


@pytest.mark.parametrize(("ink", "paper"), [("#000", "#fff"), ("#ddd", "#111")])
def test_a_notebook_shows_it_in_its_own_colours(
    browser: Any, inspection: Inspection, ink: str, paper: str
) -> None:
    page = browser.new_page(viewport={"width": 500, "height": 600})
    page.set_content(
        f'<html lang="en"><title>Notebook</title><main style="color:{ink};background:{paper}">'
        f"<h1>Notebook</h1>{notebook_frame(inspection)}</main></html>"
    )
    assert page.evaluate("document.documentElement.scrollWidth") == 500
    colours = page.evaluate(
        "[...document.querySelectorAll('main *')].map(each => getComputedStyle(each).color)"
    )
    assert len(set(colours)) == 1
    assert not complaints_of_axe(page)
    page.close()
