"""The page holds together, whatever the labels and whatever is missing, and asks for nothing."""

import base64
import re
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from discern.config import TrainConfig
from discern.data.metadata import fit_metadata
from discern.evaluation import Evaluation, Interval, Metrics, render_report, score
from discern.evaluation.findings import (
    Against,
    Case,
    Findings,
    PairCases,
    SetScore,
    Slice,
    UnknownScore,
)
from discern.evaluation.report.training import differing
from discern.evaluation.scored import Scored
from discern.images import PreprocessSpec
from discern.model import ModelInfo
from discern.runtime.speed import Speed
from discern.survey.leaks import Leak

LIMIT = 6_000_000  # bytes


def metrics_of(labels: list[str], n: int = 300, extra: list[str] | None = None) -> Metrics:
    draw = np.random.default_rng(0)
    true = draw.integers(len(labels), size=n)
    P = draw.dirichlet(np.ones(len(labels)), size=n) / 2
    P[np.arange(n), true] += 0.5
    return score(labels, (extra or []) + [labels[k] for k in true][len(extra or []) :], P)


def evaluation_of(metrics: Metrics, *notes: str, copies: int = 0, **changes: Any) -> Evaluation:
    nothing = np.zeros((0, 1), np.float32)
    leaks = (Leak(Path("a.jpg"), "a.jpg", None, True),) * copies
    scored = Scored((), [], nothing, nothing, leaks=leaks)
    values = {"split": "test", "failures": {}} | changes
    return Evaluation(metrics, notes=notes, scored=scored, **values)


def info_of(labels: list[str], **changes: Any) -> ModelInfo:
    return ModelInfo(
        labels=tuple(labels),
        preprocess=PreprocessSpec(224, 224),
        backbone={"name": "local-dir:/home/somebody/weights/tiny", "license": "apache-2.0"},
        temperature=1.0,
        training={"mode": "frozen"},
        dataset={"fingerprint": "0123456789abcdef99", "counts": {}},
        seed=3,
        versions={"discern": "0"},
        created="2026-01-01T00:00:00+00:00",
        **changes,
    )


def page_of(metrics: Metrics, *notes: str, title: str = "Test", **facts: str) -> str:
    info = info_of(list(metrics.classes))
    return render_report(evaluation_of(metrics, *notes), info, title=title, facts=facts)


def report_of(findings: Findings, labels: tuple[str, ...] = ("a", "b"), **parts: Any) -> str:
    evaluation = evaluation_of(metrics_of(list(labels)))
    return render_report(evaluation, info_of(list(labels)), findings, title="Test", **parts)


NOTHING = Findings((), (), (), None, None, ())


def tree_of(page: str) -> ElementTree.Element:
    # The page is written so that it is XML too, which makes "well-formed" a thing to test.
    return ElementTree.fromstring(page)


def seen(element: ElementTree.Element | None) -> str:
    assert element is not None
    return " ".join("".join(element.itertext()).split())


def section(page: str, name: str) -> ElementTree.Element:
    found = tree_of(page).find(f".//section[@id='{name}']")
    assert found is not None
    return found


def sections(page: str) -> list[str]:
    return [each.attrib["id"] for each in tree_of(page).findall("./body/main/section")]


def names(size: int) -> list[str]:
    return [f"class {k}" for k in range(size)]


# --- the score, the classes ---


@pytest.mark.parametrize(("size", "limit"), [(2, 40_000), (10, 50_000), (120, 170_000)])
def test_well_formed_and_small_for_few_and_many_classes(size: int, limit: int) -> None:
    page = page_of(metrics_of(names(size)))
    rows = tree_of(page).findall(".//section[@id='classes']//tbody/tr")
    assert len(rows) == size
    assert len(page.encode()) < limit


def test_asks_for_nothing_from_outside(tmp_path: Path) -> None:
    page = report_of(replace(NOTHING, mistakes=(case(picture(tmp_path)),)), heat=red)
    markup = re.sub(r"data:image/jpeg;base64,[\w+/=]+", "data:", page.replace("http-equiv", ""))
    assert not re.search(r"https?:|url\(|@import", markup)
    tree = tree_of(page)
    assert all(e.attrib["href"][0] == "#" for e in tree.iter("a"))
    assert {e.attrib["href"] for e in tree.iter("link")} == {"data:,"}
    assert all(e.attrib["src"].startswith("data:image/jpeg") for e in tree.iter("img"))
    assert "default-src 'none'" in page


def test_the_score_stands_first_with_its_interval() -> None:
    metrics = score(["a", "b"], ["a"] * 8 + ["b"] * 2, np.tile([0.9, 0.1], (10, 1)))
    tree = tree_of(page_of(metrics, "This split chose C."))
    header = seen(tree.find(".//header")).removeprefix("Test ")
    assert header.startswith(
        "80.0% Accuracy: right on 8 of 10 pictures (test). 95 % interval 49.0–94.3 %"
    )
    assert "80.0 % by always saying the commonest class This split chose C." in header


def test_confusions_are_told_in_words() -> None:
    truth = ["shirt"] * 3 + ["t-shirt"]
    metrics = score(["shirt", "t-shirt"], truth, np.eye(2)[[1, 1, 0, 1]])
    listed = tree_of(page_of(metrics)).find(".//ol[@class='confusions']")
    assert seen(listed) == "shirt taken for t-shirt2 times of 3"


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


def test_every_section_is_in_the_contents_and_every_link_leads_somewhere(tmp_path: Path) -> None:
    page = full_page(tmp_path)
    links = [a.attrib["href"] for a in tree_of(page).findall(".//nav//a")]
    assert links == [f"#{name}" for name in sections(page)]
    ids = [e.attrib["id"] for e in tree_of(page).iter() if "id" in e.attrib]
    assert len(ids) == len(set(ids))


# --- pictures ---


def picture(folder: Path, name: str = "coat/a.png", size: tuple[int, int] = (400, 300)) -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    Image.linear_gradient("L").resize(size).convert("RGB").save(path)
    return path


def red(file: Path, label: str) -> Image.Image:  # noqa: ARG001
    return Image.new("RGB", (400, 300), "red")


def case(file: Path, **changes: Any) -> Case:
    values = {"truth": "a", "label": "b", "probability": 0.97, "of_truth": 0.012} | changes
    return Case(file, **values)


def opened(img: ElementTree.Element) -> Image.Image:
    _, data = img.attrib["src"].split(",")
    return Image.open(BytesIO(base64.b64decode(data)))


def test_a_case_shows_its_picture_its_heat_and_its_answer(tmp_path: Path) -> None:
    found = case(picture(tmp_path), set=("b", "a"), unknown=True)
    shown = section(report_of(replace(NOTHING, mistakes=(found,)), heat=red), "sure-and-wrong")
    plain, heat = (opened(img) for img in shown.findall(".//li//img"))
    assert plain.size == heat.size == (224, 168)
    assert (np.asarray(heat) - [255, 0, 0] < 3).all()
    # The whole frame is a label: a tap, a click or the space bar switches the heat on.
    assert shown.find(".//li/label/input[@type='checkbox']") is not None
    assert seen(shown.find(".//li/dl")) == "Answerb97.0 %Trutha1.2 %Setb, a"
    assert seen(shown.find(".//li/p[@class='flag']")) == "Refused as none of these."
    assert seen(shown.find(".//li/p[@class='file']")) == "coat/a.png"
    assert str(tmp_path) not in ElementTree.tostring(shown, "unicode")


def test_a_turned_picture_stands_upright(tmp_path: Path) -> None:
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    Image.new("RGB", (600, 300), "blue").save(path, exif=exif)
    shown = section(report_of(replace(NOTHING, doubtful=(case(path, label="a"),))), "in-doubt")
    (img,) = shown.findall(".//img")
    assert opened(img).size == (112, 224)
    assert shown.find(".//input") is None  # no heat, no switch
    assert "Truththe same" in seen(shown.find(".//dl"))


def test_pictures_that_cannot_be_read_have_a_place_that_says_why(tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(picture(tmp_path).read_bytes()[:200])
    cases = (case(tmp_path / "gone.jpg"), case(broken), case(picture(tmp_path)))
    page = report_of(replace(NOTHING, mistakes=cases), heat=lambda _file, _label: None)
    places = [li[0] for li in section(page, "sure-and-wrong").findall(".//li")]
    assert [place.attrib["class"] for place in places] == [
        "frame missing",
        "frame missing",
        "frame",
    ]
    assert "no such file" in seen(places[0])
    assert "truncated" in seen(places[1])


def test_pairs_have_a_gallery_each_and_heat_is_drawn_once_for_a_picture(tmp_path: Path) -> None:
    drawn: list[Path] = []

    def heat(file: Path, label: str) -> Image.Image:
        drawn.append(file)
        return red(file, label)

    found = case(picture(tmp_path))
    pairs = (PairCases("a", "b", 3, 1200, (found,)), PairCases("b", "a", 1, 9, ()))
    shown = section(
        report_of(replace(NOTHING, mistakes=(found,), pairs=pairs), heat=heat), "mixed-up"
    )
    assert [seen(h3) for h3 in shown.findall("h3")] == ["a taken for b 3 of 1,200 pictures"]
    assert len(shown.findall(".//li")) == 1
    assert drawn == [found.file]


# --- promises, slices, speed ---

SETS = SetScore(0.9, Interval(0.91, 0.88, 0.94), 1.25, ((1, 80), (2, 15), (8, 3), (300, 2)))
UNKNOWN = UnknownScore(
    "virtual_logit",
    0.95,
    Interval(0.96, 0.93, 0.98),
    (Against("digits", 200, 0.991, Interval(0.04, 0.02, 0.08)),),
    (("skirt", 0.71),),
)


@pytest.mark.parametrize(
    ("reached", "verdict"),
    [
        (Interval(0.91, 0.88, 0.94), "The promise is kept"),
        (Interval(0.8, 0.75, 0.85), "less often than was promised"),
        (Interval(0.97, 0.95, 0.98), "more often than was promised"),
    ],
)
def test_sets_are_judged_by_the_interval(reached: Interval, verdict: str) -> None:
    page = report_of(replace(NOTHING, sets=replace(SETS, coverage=reached)))
    assert verdict in seen(section(page, "sets"))


def test_sizes_of_sets_are_counted_and_the_largest_share_a_row() -> None:
    rows = section(report_of(replace(NOTHING, sets=SETS)), "sets").findall(".//tbody/tr")
    assert [seen(row) for row in rows] == ["18080.0", "21515.0", "8 or more55.0"]


def test_strangers_are_told_by_the_share_refused() -> None:
    shown = section(report_of(replace(NOTHING, unknown=UNKNOWN)), "none-of-these")
    assert [seen(row) for row in shown.findall(".//tbody/tr")] == ["digits20096.099.1", "skirt71.0"]
    bar = shown.find(".//tbody/tr/td/span/span[@class='bar with-interval']")
    assert bar is not None
    assert bar.attrib["style"] == "--v:0.960;--l:0.920;--h:0.980"


def slice_of(p: float, worse: bool) -> Slice:
    return Slice(
        "Shape",
        "wide",
        40,
        Interval(0.6, 0.4, 0.7),
        Interval(0.9, 0.8, 0.95),
        p,
        worse,
        expected=0.85,
    )


def test_slices_that_are_worse_stand_open_and_all_are_folded() -> None:
    both = (slice_of(0.5, False), slice_of(0.0001, True))
    shown = section(report_of(replace(NOTHING, slices=both)), "weak-spots")
    (row,) = shown.findall("./div//tbody/tr")
    assert seen(row) == "Shape: wide4060.090.085.0< 0.001"
    assert len(shown.findall("./details//tbody/tr")) == 2


def test_without_a_worse_slice_a_line_says_so() -> None:
    shown = section(report_of(replace(NOTHING, slices=(slice_of(0.5, False),))), "weak-spots")
    assert "On none of 1 group" in seen(shown)
    assert shown.find("./div") is None
    assert len(shown.findall("./details//tbody/tr")) == 1


def test_speed_has_three_digits() -> None:
    shown = section(report_of(NOTHING, speed=Speed(4.267, 42.67, 4267.1, "x", "f32", 2)), "speed")
    assert [seen(dd) for dd in shown.findall(".//dd")][:3] == ["4.27 ms", "42.7 ms", "4,267/s"]


# --- how it was made ---


def test_only_settings_of_the_mode_that_were_changed_are_told() -> None:
    config = {
        "mode": "frozen",
        "image_size": 160,
        "head": {"c": [0.001, 0.003, 0.01, 0.03, 0.1, 0.3], "class_weights": "balanced"},
        "finetune": {"epochs": 3},
        "gone": 1,
    }
    assert dict(differing(config, "frozen")) == {
        "image_size": ("160", "–"),
        "head.class_weights": ("balanced", "none"),
    }
    usual = str(TrainConfig().finetune.epochs)
    assert dict(differing(config, "finetune")) == {
        "image_size": ("160", "–"),
        "finetune.epochs": ("3", usual),
    }


def test_where_weights_lay_is_not_told() -> None:
    page = page_of(metrics_of(names(2)), Engine="best")
    shown = seen(section(page, "training"))
    assert "Backbonetiny" in shown
    assert "Enginebest" in shown
    assert "somebody" not in page


def test_what_it_was_made_from() -> None:
    counts = {"train": {"a": 1200, "b": 7}, "test": {"b": 3}}
    info = info_of(
        ["a", "b"],
        calibration={
            "method": "vector",
            "log_loss": {"none": 0.5, "vector": 0.4},
            "error_before": 0.08,
            "error_after": 0.021,
            "pictures": 1207,
        },
    )
    info = replace(
        info,
        dataset=dict(info.dataset) | {"counts": counts, "root": "clothes", "source": "a folder"},
        training={"mode": "frozen", "left_out": {"/home/me/clothes/a/1.jpg": "truncated JPEG"}},
    )
    evaluation = evaluation_of(
        metrics_of(["a", "b"]), copies=4, failures={"/home/me/clothes/b/2.jpg": "empty"}
    )
    page = render_report(evaluation, info, title="Test")
    shown = section(page, "data")
    assert "Pictures1,207 train, 3 test" in seen(shown)
    assert "4 among those scored" in seen(shown)
    rows = [seen(row) for row in shown.findall(".//tbody/tr")]
    assert rows == ["a1,2000", "b73", "a/1.jpgtruncated JPEG", "b/2.jpgempty"]
    assert "/home/me" not in page
    assert (
        "from 8.0 % to 2.1 % (cross-validated log loss: none 0.5000, vector scaling 0.4000)"
        in seen(section(page, "calibration"))
    )
    assert "4 pictures of the score took part in training" in seen(section(page, "limits"))


def test_facts_beside_the_picture_tell_what_they_add() -> None:
    over = {"accuracy_over_alone": {"value": 0.02, "low": 0.01, "high": 0.03}}
    over |= {"log_loss_over_alone": {"value": -0.1, "low": -0.12, "high": -0.08}}
    alone = {"accuracy": 0.8, "log_loss": 0.5}
    gain = {"with": {"accuracy": 0.82, "log_loss": 0.4} | over, "missing": alone | over}
    spec = fit_metadata({"place": np.array(["home", "away"] * 5)})
    info = info_of(["a", "b"], metadata=spec.to_dict())
    info = replace(info, training={"mode": "frozen", "metadata": gain | {"alone": alone}})
    page = render_report(evaluation_of(metrics_of(["a", "b"])), info, title="Test")
    shown = section(page, "beside-the-picture")
    assert "Besides the picture, the model takes place." in seen(shown)
    rows = shown.findall(".//tbody/tr")
    assert seen(rows[0]) == "with the facts82.0+2.0 (+1.0 to +3.0)0.400-0.100 (-0.120 to -0.080)"
    assert seen(rows[2]) == "trained on pictures alone80.0–0.500–"


# --- whatever is missing, whatever it is called, however much there is ---

ALWAYS = ["mistakes", "classes", "calibration", "training", "data", "limits"]


def test_what_is_missing_is_left_out() -> None:
    assert sections(page_of(metrics_of(names(2)))) == ALWAYS
    assert sections(report_of(NOTHING)) == ALWAYS


HOSTILE = ["<script>alert(1)</script>", "\"><img src=x onerror='x'>", "$title ${facts}", "a & b"]


def full_page(folder: Path, labels: tuple[str, ...] = ("a", "b", "c", "d"), **parts: Any) -> str:
    """A page with everything on it, all of it called by the labels."""
    first, second, third, fourth = labels[:4]
    found = case(picture(folder), truth=first, label=second, set=(second, third))
    against = (Against(fourth, 10, 0.9, Interval(0.5, 0.4, 0.6)),)
    unknown = replace(UNKNOWN, score=first, against=against, held_out_classes=((second, 0.5),))
    findings = Findings(
        mistakes=(found,),
        doubtful=(replace(found, file=folder / labels[0].replace("/", "-")),),
        pairs=(PairCases(first, second, 1, 2, (found,)),),
        sets=SETS,
        unknown=unknown,
        slices=(Slice(first, second, 30, SETS.coverage, SETS.coverage, 0.01, True),),
    )
    info = info_of(
        list(labels),
        unknown={"compared": {each: {"strangers": 0.9, "mean": 0.9} for each in labels[:2]}},
    )
    training = {"mode": first, "config": {"backbone": second, "device": third}}
    info = replace(
        info,
        training=training | {"left_out": {first: second}},
        dataset={"root": first, "source": second, "fingerprint": third, "counts": {first: {}}},
        backbone={"name": first, "architecture": second, "license": third},
        versions={first: second},
    )
    evaluation = evaluation_of(metrics_of(list(labels)), *labels, split=first, failures={})
    speed = Speed(1.0, 2.0, 3.0, first, second, 2)
    values = {"title": first, "facts": {second: third}, "heat": red} | parts
    return render_report(evaluation, info, findings, speed=speed, **values)


def test_hostile_text_is_escaped(tmp_path: Path) -> None:
    page = full_page(tmp_path, tuple(HOSTILE))
    tree = tree_of(page)
    assert page.count("<script>") == 1  # the page's own
    assert all(img.attrib.keys() <= {"class", "src", "alt"} for img in tree.iter("img"))
    labels = {th.text for th in tree.findall(".//section[@id='classes']//tbody//th")}
    assert labels == set(HOSTILE)
    assert seen(tree.find(".//h1")) == HOSTILE[0]


@given(st.lists(st.text(st.characters(codec=None)), min_size=2, max_size=4, unique=True))
def test_any_label_gives_a_page_that_can_be_written(labels: list[str]) -> None:
    metrics = metrics_of(labels, n=20)
    info = replace(info_of(labels), training={"mode": labels[0]}, versions={labels[0]: labels[1]})
    page = render_report(evaluation_of(metrics, *labels), info, title=labels[0])
    tree_of(page.encode("utf-8").decode())


@pytest.fixture
def noise(tmp_path: Path) -> Callable[[int], Path]:
    """`noise(k)` is a picture that no JPEG makes small."""

    def make(k: int) -> Path:
        path = tmp_path / f"{k}.png"
        pixels = np.random.default_rng(k).integers(0, 256, (224, 224, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path, compress_level=0)
        return path

    return make


def test_a_thousand_classes_with_long_names_fit(noise: Callable[[int], Path]) -> None:
    labels = [f"{k}" + '"&' * 1000 + f"{k}" for k in range(1100)]
    cases = tuple(case(noise(k), truth=labels[k], label=labels[k + 1]) for k in range(30))
    draw = np.random.default_rng(0)
    true = draw.integers(len(labels), size=3000)
    P = np.full((3000, len(labels)), 1e-4)
    P[np.arange(3000), draw.permutation(true)] = 1 - 1e-4 * (len(labels) - 1)
    metrics = score(labels, [labels[k] for k in true], P)
    info = info_of(labels)
    counts = {split: dict.fromkeys(labels, 1000) for split in ("train", "test")}
    left_out = {f"{k}/{label}": "damaged JPEG " * 20 for k, label in enumerate(labels)}
    info = replace(
        info,
        dataset={"fingerprint": "f", "counts": counts},
        training={"mode": "frozen", "left_out": left_out},
    )
    with_heat = Findings(cases, cases, (PairCases("a", "b", 30, 30, cases),), SETS, UNKNOWN, ())

    def heat(file: Path, label: str) -> Image.Image:  # noqa: ARG001
        return Image.open(file)

    page = render_report(evaluation_of(metrics), info, with_heat, title="Many", heat=heat)
    assert len(page.encode()) < LIMIT
    tree = tree_of(page)
    assert len(tree.findall(".//section[@id='classes']//tbody/tr")) == 1000
    assert "100 classes with a better F1 are not listed" in seen(section(page, "classes"))
    shown = len(tree.findall(".//li//img[@class='overlaid']"))
    left_out_pictures = [p for p in tree.iter("p") if p.get("class") == "frame missing"]
    assert shown > 20
    assert shown + len(left_out_pictures) == 90
    assert "too large" in seen(left_out_pictures[-1])
