"""Odd pictures are found among ordinary ones, and what all are is not odd."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ordinary_pictures import HEIGHT, WIDTH, ordinary, saved
from PIL import Image, ImageFilter

from discern.inspection.inspection import Odd, OddKind
from discern.inspection.looks import looks_of
from discern.inspection.odd import odd_ones
from discern.survey.survey import RECORD, Survey, survey

Change = Callable[[Image.Image], Image.Image]
ORDINARY = 20


def cropped(picture: Image.Image, width: int, height: int) -> Image.Image:
    return picture.crop((0, 0, width, height))


CHANGES: dict[str, tuple[OddKind, str, Change]] = {
    "night": ("dark", "mean brightness", lambda p: p.point(lambda v: v // 8)),
    "black": ("dark", "mean brightness 0 %", lambda p: Image.new("RGB", p.size)),
    "overexposed": ("bright", "mean brightness", lambda p: p.point(lambda v: 215 + v // 7)),
    "white": ("bright", "mean brightness 100 %", lambda p: Image.new("RGB", p.size, "white")),
    "blurred": ("blurry", "is usual", lambda p: p.filter(ImageFilter.GaussianBlur(3))),
    "one colour": ("uniform", "contrast 0.0 %", lambda p: Image.new("RGB", p.size, "teal")),
    "wide": ("elongated", "5.0:1", lambda p: cropped(p, WIDTH, WIDTH // 5)),
    "tall": ("elongated", "1:6.0", lambda p: cropped(p, HEIGHT // 6, HEIGHT)),
    "small": ("small", "40 × 30 px", lambda p: p.resize((40, 30))),
    "large": ("large", "1300 × 1000 px", lambda p: p.resize((1300, 1000))),
    "grey": ("other colours", "grey among", lambda p: p.convert("L")),
    "grey, kept in colour": (
        "other colours",
        "grey among",
        lambda p: p.convert("L").convert(p.mode),
    ),
}
SOME = [name for name in CHANGES if name not in ("black", "white", "one colour")]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("ordinary")
    return [saved(folder / f"{i}.png", ordinary(i)) for i in range(ORDINARY)]


def found_in(files: list[Path]) -> tuple[Odd, ...]:
    looked = survey(files)
    assert not looked.failures
    return odd_ones(looks_of(looked), looked)


def test_nothing_is_odd_about_ordinary_pictures(files: list[Path]) -> None:
    assert found_in(files) == ()


@pytest.mark.parametrize("name", CHANGES)
def test_an_odd_one_is_found_and_told_once(name: str, files: list[Path], tmp_path: Path) -> None:
    kind, words, change = CHANGES[name]
    odd = saved(tmp_path / "odd.png", change(ordinary(99)))
    (found,) = found_in([*files[:7], odd, *files[7:]])
    assert (found.sample, found.kind) == (7, kind)
    assert words in found.detail


@pytest.mark.parametrize("name", SOME)
def test_what_all_are_is_not_odd(name: str, tmp_path: Path) -> None:
    _, _, change = CHANGES[name]
    paths = [saved(tmp_path / f"{i}.png", change(ordinary(i))) for i in range(5)]
    assert found_in(paths) == ()


def test_one_in_colour_among_grey_ones_and_one_for_print(tmp_path: Path) -> None:
    greys = [saved(tmp_path / f"{i}.png", ordinary(i).convert("L")) for i in range(ORDINARY)]
    colour = saved(tmp_path / "colour.png", ordinary(50))
    assert [(odd.sample, odd.detail) for odd in found_in([colour, *greys])] == [
        (0, "in colour among grey pictures")
    ]
    printed = saved(tmp_path / "print.jpg", ordinary(51).convert("CMYK"), "JPEG")
    assert [(odd.sample, odd.detail) for odd in found_in([*greys, printed])] == [
        (ORDINARY, "colours as for print (CMYK)")
    ]


def test_grey_ones_for_print_are_told_once(files: list[Path], tmp_path: Path) -> None:
    grey = saved(tmp_path / "grey.jpg", ordinary(52).convert("L").convert("CMYK"), "JPEG")
    assert [odd.detail for odd in found_in([*files, grey])] == ["colours as for print (CMYK)"]


def test_many_grey_ones_are_nothing_odd(files: list[Path], tmp_path: Path) -> None:
    greys = [saved(tmp_path / f"{i}.png", ordinary(60 + i).convert("L")) for i in range(5)]
    assert found_in([*files, *greys]) == ()


def test_the_oddest_of_a_kind_comes_first(files: list[Path], tmp_path: Path) -> None:
    soft = [
        saved(tmp_path / f"{r}.png", ordinary(70).filter(ImageFilter.GaussianBlur(r)))
        for r in (3, 8)
    ]
    black = saved(tmp_path / "black.png", Image.new("RGB", (WIDTH, HEIGHT)))
    found = [(odd.kind, odd.sample - ORDINARY) for odd in found_in([*files, *soft, black])]
    assert found == [("dark", 2), ("blurry", 1), ("blurry", 0)]


def test_files_that_cannot_be_decoded_are_passed_over(files: list[Path], tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    dark = saved(tmp_path / "dark.png", Image.new("RGB", (WIDTH, HEIGHT)))
    looked = survey([bad, *files, dark])
    assert [odd.sample for odd in odd_ones(looks_of(looked), looked)] == [ORDINARY + 1]
    nothing = survey([bad])
    assert odd_ones(looks_of(nothing), nothing) == ()


def of_looks(**columns: object) -> Survey:
    """A survey of pictures that differ in what is given, and are ordinary otherwise."""
    usual = {"mode": b"RGB", "width": 640, "height": 480, "brightness": 0.5, "contrast": 0.2}
    usual |= {"sharpness": 400, "grey": 128, "colour": [90, 120, 150]}
    n = next(len(np.atleast_1d(values)) for values in columns.values())
    records = np.zeros(n, RECORD)
    for name, values in {**usual, **columns}.items():
        shape = (-1, *(1,) * (records[name].ndim - 1)) if name == "grey" else (-1,)
        records[name] = values if name == "colour" else np.asarray(values).reshape(shape)
    return Survey([Path(f"{i}") for i in range(n)], records, _digests(n), np.arange(n), {})


def _digests(n: int) -> np.ndarray:
    return np.arange(16 * n, dtype=np.uint8).reshape(n, 16)


def kinds_of_first(looked: Survey) -> set[OddKind]:
    """In which ways the first picture is odd."""
    return {odd.kind for odd in odd_ones(looks_of(looked), looked) if odd.sample == 0}


@pytest.mark.parametrize(
    ("kind", "name", "odd", "usual", "differing"),
    [
        ("dark", "grey", 20, 100, np.geomspace(25, 250, 20)),
        ("bright", "grey", 250, 100, 256 - np.geomspace(6, 200, 20)),
        ("blurry", "sharpness", 20, 400, np.geomspace(30, 10_000, 20)),
        ("uniform", "contrast", 0.01, 0.2, np.geomspace(0.012, 0.5, 20)),
        ("elongated", "height", 200, 600, np.geomspace(210, 2000, 20)),
        ("small", "width", 20, 600, np.geomspace(25, 20_000, 20)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_odd_among_alike_ones_is_not_where_all_differ(
    kind: OddKind, name: str, odd: float, usual: float, differing: np.ndarray
) -> None:
    assert kind in kinds_of_first(of_looks(**{name: [odd, *[usual] * 20]}))
    assert kind not in kinds_of_first(of_looks(**{name: [odd, *differing]}))


@pytest.mark.parametrize(
    ("kind", "name", "one", "others"),
    [
        ("dark", "grey", 60, 250),
        ("bright", "grey", 190, 20),
        ("blurry", "sharpness", 100, 9000),  # a photograph among drawings
        ("uniform", "contrast", 0.04, 0.4),
        ("elongated", "height", 250, 640),
        ("elongated", "width", 190, 480),
        ("small", "width", 600, 30_000),
        ("large", "width", 100, 2),
    ],
)
def test_what_is_only_unlike_the_others_is_not_odd(
    kind: OddKind, name: str, one: float, others: float
) -> None:
    assert kind not in kinds_of_first(of_looks(**{name: [one, *[others] * 20]}))


def drawn(seed: int, n: int) -> Survey:
    """A survey of pictures of every look, odd ones and such as differ in nothing among them."""
    rng = np.random.default_rng(seed)
    records = np.zeros(n, RECORD)
    records["mode"] = rng.choice([b"RGB", b"L", b"CMYK"], n, p=[0.9, 0.05, 0.05])
    records["width"], records["height"] = rng.choice([32, 300, 310, 4000], (2, n))
    for name in ("brightness", "contrast"):
        records[name] = rng.choice([0, 0.01, 0.2, 0.3, 0.5], n)
    records["sharpness"] = rng.choice([0, 5, 300, 400], n)
    records["grey"] = rng.choice([0, 100, 110, 255], (n, 1, 1))
    records["colour"] = rng.choice([0, 100], (n, 1, 1, 3))
    digests = rng.integers(0, 256, (n, 16), np.uint8)
    return Survey([Path(f"{i}") for i in range(n)], records, digests, np.arange(n), {})


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(0, 60))
def test_what_is_odd_depends_neither_on_order_nor_on_names(seed: int, n: int) -> None:
    here = drawn(seed, n)
    order = np.random.default_rng(seed + 1).permutation(n)
    there = Survey(here.files, here.records[order], here.digests[order], here.index, {})
    found = {(odd.sample, odd.kind, odd.detail) for odd in odd_ones(looks_of(here), here)}
    again = odd_ones(looks_of(there), there)
    assert found == {(int(order[odd.sample]), odd.kind, odd.detail) for odd in again}
    assert len(found) == len(again)
    assert all(f"{odd.value}" not in ("nan", "inf") for odd in again)
