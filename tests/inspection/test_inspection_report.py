"""The inspection's page holds together, whatever the names and whatever was found."""

import base64
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from command_lines import complaint
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
from discern.inspection.report.charts import histogram, size_scatter
from discern.inspection.report.shown import file_of
from discern.inspection.report.sizes import in_bytes
from discern.inspection.report.verdict import findings

LIMIT, NOTEBOOK_LIMIT = 5_000_000, 300_000  # bytes
HOSTILE = "</script><img src=x onerror=alert(1)>\"'&$x$\x00\u202e"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """a/0.jpg … b/5.jpg: pictures of noise, the worst that JPEG knows."""
    folder = tmp_path_factory.mktemp("flowers")
    draw = np.random.default_rng(0)
    for k in range(6):
        path = folder / "ab"[k % 2] / f"{k}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (200, 240, 3), np.uint8)).save(path, quality=60)
    return folder


def dataset_of(root: Path, rows: Sequence[tuple[str, str, str]]) -> Dataset:
    return Dataset.from_rows(root, [(*row, "") for row in rows])


def looks_of(n: int, **columns: Any) -> Looks:
    draw = np.random.default_rng(0)
    values = {
        "samples": np.arange(n),
        "format": np.array(["JPEG"] * n, str),
        "mode": np.array(["RGB"] * n, str),
        "width": draw.integers(20, 4000, n).astype(np.uint32),
        "height": draw.integers(20, 4000, n).astype(np.uint32),
        "bytes": draw.integers(100, 10**6, n).astype(np.uint64),
        "brightness": draw.random(n, np.float32),
        "contrast": draw.random(n, np.float32) / 2,
        "sharpness": draw.exponential(300, n).astype(np.float32),
    }
    return Looks(**values | columns)


def inspection_of(dataset: Dataset, **found: Any) -> Inspection:
    nothing = {"bad": (), "odd": (), "duplicates": (), "labels": None, "remarks": ()}
    return Inspection(dataset, looks_of(len(dataset)), **nothing | found, seconds=1.0)


def clean(root: Path, **found: Any) -> Inspection:
    """Two classes in train and test, three pictures each."""
    rows = [(f"{'ab'[k % 2]}/{k}.jpg", "ab"[k % 2], "test" if k > 3 else "train") for k in range(6)]
    return inspection_of(dataset_of(root, rows), **found)


def checked(**found: Any) -> LabelFindings:
    return LabelFindings(
        **{"backbone": "tiny", "suspects": (), "outliers": (), "checked": 6, "estimated_errors": 0}
        | found
    )


LEAK = DuplicateGroup((0, 4), "near", ("a",), ("train", "test"))
CONFLICT = DuplicateGroup((1, 2), "pixels", ("a", "b"), ("train",))
BOTH = DuplicateGroup((0, 1, 5), "bytes", ("a", "b"), ("train", "test"))
WITHIN = DuplicateGroup((0, 2), "bytes", ("a",), ("train",))
SUSPECT = Suspect(3, "b", "a", 0.973, 0.012)


def full(root: Path) -> Inspection:
    return clean(
        root,
        bad=(BadFile(5, "truncated JPEG"),),
        odd=(Odd(0, "dark", 0.03, "mean brightness 3 %"), Odd(1, "elongated", 9.2, "1:9.2")),
        duplicates=(BOTH, LEAK, CONFLICT, WITHIN),
        labels=checked(suspects=(SUSPECT,), outliers=(Outlier(2, 3.4),), estimated_errors=2),
        remarks=("The labels of test were not checked.",),
    )


def tree_of(page: str) -> ElementTree.Element:
    # The page is written so that it is XML too, which makes "well-formed" a thing to test.
    return ElementTree.fromstring(page)


def seen(element: ElementTree.Element | None) -> str:
    assert element is not None
    return " ".join("".join(element.itertext()).split())


def section(inspection: Inspection, name: str) -> ElementTree.Element:
    found = tree_of(render_inspection(inspection)).find(f".//section[@id='{name}']")
    assert found is not None
    return found


def opened(img: ElementTree.Element) -> Image.Image:
    _, data = img.attrib["src"].split(",")
    return Image.open(BytesIO(base64.b64decode(data)))


# --- what stands first ---


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"duplicates": (LEAK, CONFLICT)}, "1 picture is in more than one split"),
        ({"duplicates": (CONFLICT,), "bad": (BadFile(0, "empty"),)}, "1 picture has two labels"),
        ({"bad": (BadFile(0, "empty"), BadFile(1, "empty"))}, "2 files cannot be used"),
        ({"labels": checked(suspects=(SUSPECT,) * 3)}, "3 labels are doubtful"),
        ({"labels": checked()}, "Nothing to worry about"),
        ({"labels": checked(), "duplicates": (WITHIN,)}, "Nothing to worry about"),
        ({}, "Nothing to worry about so far"),
        ({"labels": checked(checked=0)}, "Nothing to worry about so far"),
    ],
)
def test_the_gravest_finding_is_the_headline(root: Path, found: dict[str, Any], said: str) -> None:
    inspection = clean(root, **found)
    verdict = tree_of(render_inspection(inspection)).find(".//p[@class='verdict']")
    assert seen(verdict) == said
    assert said in notebook_frame(inspection)


def test_findings_are_in_the_order_in_which_to_see_to_them(root: Path) -> None:
    inspection = full(root)
    found = {each.what: each.count for each in findings(inspection)}
    assert found == {
        "pictures are in more than one split": 2,
        "pictures have two labels": 2,
        "file cannot be used": 1,
        "label is doubtful": 1,
        "picture is there more than once": 1,
        "pictures are unlike the rest": 3,
    }
    listed = tree_of(render_inspection(inspection)).findall(".//ol[@class='findings']/li/a")
    assert [seen(each) for each in listed] == [f"{n} {what}" for what, n in found.items()]


def test_a_class_that_is_not_in_train_is_told(root: Path) -> None:
    rows = [("a/0.jpg", "a", "train"), ("b/1.jpg", "b", "train"), ("c/2.jpg", "c", "test")]
    inspection = inspection_of(dataset_of(root, rows))
    assert [each.what for each in findings(inspection)] == ["class is not in train"]
    assert "Not in train, but in another split: c." in seen(section(inspection, "classes"))


def test_pictures_without_labels_or_splits_are_no_lacking_class(root: Path) -> None:
    rows = [("0.jpg", "a", "train"), ("1.jpg", "", "test"), ("2.jpg", "z", "unlabelled")]
    inspection = inspection_of(dataset_of(root, rows))
    assert not findings(inspection)
    assert not findings(inspection_of(dataset_of(root, [("0.jpg", "a", ""), ("1.jpg", "b", "")])))


def test_remarks_stand_before_the_sections(root: Path) -> None:
    header = tree_of(render_inspection(full(root))).find(".//header")
    assert "The labels of test were not checked." in seen(header)


# --- the sections ---


def test_every_link_leads_somewhere_and_headings_are_in_order(root: Path) -> None:
    tree = tree_of(render_inspection(full(root)))
    ids = [e.attrib["id"] for e in tree.iter() if "id" in e.attrib]
    assert len(ids) == len(set(ids))
    links = [a.attrib["href"] for a in tree.iter("a")]
    assert len(links) == 7 + 6
    assert {link.removeprefix("#") for link in links} <= set(ids)
    levels = [int(e.tag[1]) for e in tree.iter() if re.fullmatch(r"h\d", e.tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_classes_are_counted_by_split_from_the_largest(root: Path) -> None:
    rows = [(f"{k}.jpg", label, split) for k, (label, split) in enumerate(SAMPLES)]
    shown = section(inspection_of(dataset_of(root, rows)), "classes")
    assert [seen(th) for th in shown.findall(".//thead//th")] == [
        "Class", "Pictures", "train", "test", "no split",
    ]  # fmt: skip
    body = [[seen(cell) for cell in tr] for tr in shown.findall(".//tbody/tr")]
    assert body == [["many", "9", "6", "2", "1"], ["few", "2", "1", "1", "0"],
                    ["no label", "1", "0", "1", "0"]]  # fmt: skip
    assert "many, has 4.5 times" in seen(shown.find("p"))
    widths = [
        sum(float(i.attrib["style"].removeprefix("--v:")) for i in tr.iter("i"))
        for tr in shown.findall(".//tbody/tr")
    ]
    assert widths == pytest.approx([1, 2 / 9, 1 / 9], abs=1e-3)


SAMPLES = [
    *[("many", "train")] * 6,
    *[("many", "test")] * 2,
    *[("many", "")],
    *[("few", "train")],
    *[("few", "test")],
    *[("", "test")],
]


def test_a_group_shows_each_file_with_its_class_split_and_picture(root: Path) -> None:
    shown = section(clean(root, duplicates=(BOTH,)), "duplicates")
    group = shown.find(".//li[@class='group']")
    assert group is not None
    assert seen(group.find("p")) == "the same bytes, two labels"
    cards = group.findall(".//li[@class='case']")
    assert [seen(card) for card in cards] == ["atraina/0.jpg", "btrainb/1.jpg", "btestb/5.jpg"]
    for card in cards:
        img = card.find(".//img")
        assert img is not None
        assert max(opened(img).size) == 192
        assert img.attrib["alt"] == card.findall("p")[-1].text


def test_leaks_stand_before_conflicts_before_the_rest(root: Path) -> None:
    shown = section(clean(root, duplicates=(WITHIN, CONFLICT, LEAK, BOTH)), "duplicates")
    assert [seen(h3) for h3 in shown.findall("h3")] == [
        "In more than one split 2 pictures",
        "With two labels 1 picture",
        "Within a class and a split 1 picture",
    ]
    # BOTH's file 5 and LEAK's 4 are all there is in test.
    assert "In train as well: 2 of 2 pictures of test (100.0 %)." in seen(shown)
    assert "1 more stand above" in seen(shown)


def test_of_a_large_group_those_that_differ_are_shown_first(root: Path) -> None:
    rows = [(f"{k}.jpg", "a", "train") for k in range(9)] + [("z.jpg", "a", "test")]
    group = DuplicateGroup(tuple(range(10)), "near", ("a",), ("train", "test"))
    shown = section(inspection_of(dataset_of(root, rows), duplicates=(group,)), "duplicates")
    files = [seen(p) for p in shown.findall(".//p[@class='file']")]
    assert files == ["0.jpg", "z.jpg", "1.jpg", "2.jpg", "3.jpg", "4.jpg"]
    assert "4 more not shown" in seen(shown)


def test_groups_beyond_the_first_are_counted_and_listed(root: Path) -> None:
    shown = section(clean(root, duplicates=(LEAK,) * 30), "duplicates")
    assert len(shown.findall(".//li[@class='group']")) == 24
    assert seen(shown.find(".//summary")) == "6 more without pictures"
    rows = shown.findall(".//details//tbody/tr")
    assert [seen(cell) for cell in rows[0]] == [
        "a/0.jpga/4.jpg", "a", "train, test", "nearly the same",
    ]  # fmt: skip
    assert len(rows) == 6


def test_a_suspect_shows_both_labels_with_their_probabilities(root: Path) -> None:
    shown = section(full(root), "labels")
    assert seen(shown.find(".//dl")) == "Givenb1.2 %Suggesteda97.3 %"
    assert "In this one it is confident of another label" in seen(shown.find("p"))


def test_where_the_backbone_lies_is_not_told(root: Path) -> None:
    page = render_inspection(clean(root, labels=checked(backbone="local-dir:/home/me/w/tiny")))
    assert "/home/me" not in page
    assert "what tiny says" in seen(tree_of(page))


def test_labels_that_were_not_checked_are_said_to_be(root: Path) -> None:
    assert "were not checked" in seen(section(clean(root), "labels"))
    found = clean(root, labels=checked(checked=0), remarks=("A class has one picture only.",))
    assert "None was checked" in seen(section(found, "labels"))
    assert render_inspection(found).count("A class has one picture only.") == 1


def test_odd_ones_are_grouped_by_kind(root: Path) -> None:
    odd = [Odd(k % 6, "dark", 0.0, "mean brightness 3 %") for k in range(8)]
    found = clean(root, odd=(*odd, Odd(5, "small", 1, "12 × 9 px")))
    shown = section(found, "odd-ones")
    assert [seen(h3) for h3 in shown.findall("h3")] == ["Dark 8 pictures", "Small 1 picture"]
    assert len(shown.findall(".//li[@class='case']")) == 5 + 1
    rest = shown.findall(".//details//tbody/tr/th")
    assert [seen(th) for th in rest] == ["b/5.jpg", "a/0.jpg", "b/1.jpg"]


def test_bad_files_have_their_reasons(root: Path) -> None:
    shown = section(full(root), "bad-files")
    assert [seen(cell) for cell in shown.findall(".//tbody/tr/*")] == [
        "b/5.jpg", "b", "test", "truncated JPEG",
    ]  # fmt: skip


def test_the_next_step_after_nothing_is_to_train(root: Path) -> None:
    assert "--apply plan.csv" in seen(section(full(root), "next"))
    told = seen(section(clean(root), "next"))
    assert "discern train DATA" in told
    assert "plan.csv" not in told


def test_the_command_line_knows_every_command_that_is_named(root: Path) -> None:
    pages = [tree_of(render_inspection(each)) for each in (full(root), clean(root))]
    named = [seen(code) for page in pages for code in page.iter("code")]
    assert len(named) == 3 + 2
    for command in named:
        assert complaint(shlex.split(command)[1:]) is None


# --- names, files, size ---


def test_hostile_names_do_no_harm(root: Path) -> None:
    rows = [(f"{HOSTILE.replace(chr(0), '')}/{'y' * 200}{k}.jpg", HOSTILE, "train") for k in "01"]
    hostile = inspection_of(
        dataset_of(root, rows),
        bad=(BadFile(0, HOSTILE),),
        odd=(Odd(0, "small", 0, HOSTILE),),
        duplicates=(DuplicateGroup((0, 1), "near", (HOSTILE, "b"), ("train", HOSTILE)),),
        labels=checked(suspects=(Suspect(0, HOSTILE, HOSTILE, 1, 0),), backbone=HOSTILE),
        remarks=(HOSTILE,),
    )
    page = render_inspection(hostile, title=HOSTILE)
    tree = tree_of(page)
    assert len(list(tree.iter("script"))) == 1
    assert not list(tree.iter("img"))
    assert "onerror=alert(1)>" not in page
    frame = tree_of(notebook_frame(hostile))
    assert {e.tag for e in frame.iter()} <= {"div", "p", "span", "b", "ul", "li", "br", "code"}


def test_files_are_named_within_the_dataset(root: Path) -> None:
    elsewhere = (root / "a" / "0.jpg").as_posix()
    dataset = dataset_of(Path("/srv/secret"), [(elsewhere, "a", "train"), ("b/1.jpg", "b", "")])
    assert [file_of(dataset, k) for k in range(2)] == ["a/0.jpg", "b/1.jpg"]
    inspection = inspection_of(dataset, bad=(BadFile(0, "empty"), BadFile(1, "empty")))
    page = render_inspection(inspection)
    assert str(root) not in page
    assert "/srv" not in page


def test_pictures_that_are_gone_have_a_place_that_says_so(tmp_path: Path) -> None:
    found = full(tmp_path / "gone")
    tree = tree_of(render_inspection(found))
    assert not list(tree.iter("img"))
    assert "cannot be read" in seen(tree)
    assert "cannot be read" in notebook_frame(found)


@pytest.fixture
def everything(root: Path) -> Inspection:
    """10,000 pictures, and the most there can be wrong with them."""
    n, far = 10_000, "x" * 120
    files = [f"{'ab'[k % 2]}/{k % 6}.jpg" for k in range(n)]
    rows = [(files[k], f"{far}{k % 1500}", "train" if k % 3 else "test") for k in range(n)]
    kinds = ("dark", "bright", "blurry", "uniform", "elongated", "small", "large")
    leaks = tuple(
        DuplicateGroup(tuple(range(k, n, 500)), "near", (far, "b", "c"), ("train", "test"))
        for k in range(500)
    )
    return inspection_of(
        dataset_of(root, rows),
        bad=tuple(BadFile(k, "truncated JPEG") for k in range(2000)),
        odd=tuple(Odd(k, kind, 0.0, "odd") for kind in kinds for k in range(1000)),  # type: ignore[arg-type]
        duplicates=(*leaks, *(CONFLICT,) * 500, *(WITHIN,) * 500),
        labels=checked(
            suspects=tuple(Suspect(k, far, "b", 0.9, 0.0) for k in range(3000)),
            outliers=tuple(Outlier(k, 3.0) for k in range(500)),
            checked=n,
        ),
    )


def test_the_page_stays_small_whatever_was_found(everything: Inspection) -> None:
    page = render_inspection(everything)
    size = len(page.encode())
    assert 3_000_000 < size < LIMIT
    for name in ("duplicates", "labels", "odd-ones"):
        part = tree_of(page).find(f".//section[@id='{name}']")
        assert part is not None
        assert len(list(part.iter("img"))) > 10  # each has its share of the room
    assert len(notebook_frame(everything).encode()) < NOTEBOOK_LIMIT


def test_asks_for_nothing_from_outside(root: Path) -> None:
    page = render_inspection(full(root))
    markup = re.sub(r"data:image/jpeg;base64,[\w+/=]+", "data:", page.replace("http-equiv", ""))
    assert not re.search(r"https?:|url\(|@import", markup)
    assert "default-src 'none'" in page


def test_a_dataset_without_a_readable_picture_is_shown(root: Path) -> None:
    found = clean(root, bad=tuple(BadFile(k, "empty") for k in range(6)))
    found = replace(found, looks=looks_of(0))
    assert "None can be decoded." in seen(section(found, "pictures"))
    assert "6 files cannot be used" in notebook_frame(found)


# --- charts ---


def sizes(least: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(least, 30_000), min_size=1, max_size=60)


def counted(chart: str) -> int:
    return sum(int(n.replace(",", "")) for n in re.findall(r"<title>([\d,]+) picture", chart))


def numbers(chart: str) -> Iterator[float]:
    for e in ElementTree.fromstring(chart).iter():
        for key in ("x", "y", "cx", "cy", "width", "height"):
            if key in e.attrib:
                yield float(e.attrib[key])


@settings(deadline=None)
@given(values=sizes(0))
def test_a_histogram_holds_every_picture_and_stays_within(values: list[int]) -> None:
    chart = histogram(np.array(values, float), lambda v: f"{v:g}", "Sizes")
    assert counted(chart) == len(values)
    assert all(0 <= number <= 320 for number in numbers(chart))
    assert len(re.findall("<text", chart)) >= 1


@settings(deadline=None)
@given(values=sizes(1), turned=st.booleans())
def test_the_scatter_holds_every_picture_and_stays_within(values: list[int], turned: bool) -> None:
    width, height = np.array(values, float), np.array(values[::-1] if turned else values, float)
    chart = size_scatter(width, height, "Sizes")
    assert counted(chart) == len(values)
    assert all(0 <= number <= 320 for number in numbers(chart))


@pytest.mark.parametrize(
    ("value", "told"),
    [(0, "0 B"), (950, "950 B"), (12_345, "12 kB"), (1_234_567, "1.2 MB"), (999_700, "1.0 MB")],
)
def test_bytes_are_written_in_the_unit_that_suits(value: float, told: str) -> None:
    assert in_bytes(value) == told
