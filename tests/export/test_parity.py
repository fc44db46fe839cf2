"""The gate refuses what does not answer as its source does, and says by how much."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from exporting import (
    broken,
    channels_swapped,
    facts_forgotten,
    labels_permuted,
    normalised_twice,
    weight_halved,
)
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from discern.data import Dataset
from discern.errors import ParityError
from discern.export.agreement import Accuracies, Agreement, Answers, accuracies, agreement
from discern.export.export import export_model
from discern.export.forms import FORMS, form_named
from discern.export.parity import bar_of, judged
from discern.model import Model, load

LABELS = ("cat", "dog", "fish")
MISTAKES = [normalised_twice, channels_swapped, labels_permuted, weight_halved]


def refused(
    how: Callable[..., None],
    like: str,
    model: Model,
    data: Dataset | None,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    pytest.importorskip("openvino" if like.startswith("openvino") else "onnx")
    form = broken(like, how)
    monkeypatch.setitem(FORMS, form.name, form)
    with pytest.raises(ParityError) as caught:
        export_model(model, folder, form.name, data=data)
    assert not list(folder.parent.glob(f"*{folder.name}*"))  # neither it, nor a half of it
    return str(caught.value)


@pytest.mark.parametrize("like", ["onnx", "openvino-fp16"])
@pytest.mark.parametrize("how", MISTAKES)
def test_a_wrong_conversion_is_refused_on_the_reference_pictures_alone(
    how: Callable[..., None],
    like: str,
    model: Model,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = refused(how, like, model, None, tmp_path / "refused", monkeypatch)
    assert "may be" in said
    assert "reference pictures" in said
    assert any(reference.name in said for reference in model.references)


def test_labels_permuted_in_int8_are_refused_by_the_accuracy(
    model: Model, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "refused"
    said = refused(labels_permuted, "onnx-int8", model, data, folder, monkeypatch)
    assert "accuracy falls from 90.0" in said
    assert "on 210 pictures" in said
    assert "--accuracy-loss" in said


def test_flat_probabilities_in_int8_are_refused_though_no_label_changes(
    model: Model, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "refused"
    said = refused(normalised_twice, "onnx-int8", model, data, folder, monkeypatch)
    assert "on average; at most 0.05 may be" in said


def answers(*rows: tuple[float, ...]) -> Answers:
    p = np.array(rows, np.float32)
    return Answers(p, np.ones((len(p), 4), np.float32))


def compared(source: Answers, exported: Answers) -> Agreement:
    return agreement(
        LABELS, [f"{i}.png" for i in range(len(source.probabilities))], source, exported
    )


def test_the_worst_are_those_that_change_their_label_first() -> None:
    source = answers((0.9, 0.1, 0.0), (0.51, 0.49, 0.0), (0.2, 0.8, 0.0))
    exported = answers((0.6, 0.4, 0.0), (0.49, 0.51, 0.0), (0.2, 0.8, 0.0))
    found = compared(source, exported)
    assert [w.picture for w in found.worst] == ["1.png", "0.png", "2.png"]
    assert (found.worst[0].source, found.worst[0].exported) == ("cat", "dog")
    assert (found.same_label, found.pictures) == (2, 3)
    assert found.largest_difference == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("precision", "difference", "passes"),
    [("f32", 0.9e-3, True), ("f32", 1.1e-3, False), ("f16", 1.9e-2, True), ("f16", 2.1e-2, False)],
)
def test_bars_of_floats(precision: str, difference: float, passes: bool) -> None:
    found = compared(answers((0.8, 0.1, 0.1)), answers((0.8 - difference, 0.1 + difference, 0.1)))
    form = form_named({"f32": "onnx", "f16": "openvino-fp16"}[precision])
    failures = judged(form, bar_of(form.precision, 0.01), {"some": found}, None)
    assert (not failures) == passes


def test_one_label_of_two_hundred_may_change_in_half_precision_and_none_in_single() -> None:
    rows = [(0.501, 0.499, 0.0)] * 200
    changed = [(0.499, 0.501, 0.0), *rows[1:]]
    found = {"some": compared(answers(*rows), answers(*changed))}
    half, single = form_named("openvino-fp16"), form_named("onnx")
    assert not judged(half, bar_of("f16", 0.0), found, None)
    assert "1 of 200 labels" in " ".join(judged(single, bar_of("f32", 0.0), found, None))
    twice = {"some": compared(answers(*rows), answers(changed[0], changed[0], *rows[2:]))}
    assert judged(half, bar_of("f16", 0.0), twice, None)


@pytest.mark.parametrize("bad", [(np.nan, 0.5, 0.5), (3.0, -1.0, -1.0), (2.0, 1.0, 0.5)])
def test_outputs_that_are_no_probabilities_never_pass(bad: tuple[float, ...]) -> None:
    source, exported = answers((0.8, 0.1, 0.1)), answers(bad)
    right = accuracies(LABELS, ["cat"], source, exported)
    form = form_named("onnx-int8")
    failures = judged(form, bar_of("int8", 1.0), {"some": compared(source, exported)}, right)
    assert "no probabilities" in " ".join(failures)


def test_a_loss_is_judged_by_its_value_and_told_with_its_interval() -> None:
    source = answers(*[(0.9, 0.1, 0.0)] * 200)
    exported = answers(*[(0.1, 0.9, 0.0)] * 4, *[(0.9, 0.1, 0.0)] * 196)
    found = accuracies(LABELS, ["cat"] * 200, source, exported)
    assert isinstance(found, Accuracies)
    assert found.loss.value == pytest.approx(0.02)
    assert found.loss.low < 0.02 < found.loss.high
    form = form_named("onnx-int8")
    assert not judged(form, bar_of("int8", 0.02), {}, found)
    said = " ".join(judged(form, bar_of("int8", 0.019), {}, found))
    assert "100.0 to 98.0 %" in said
    assert "2.0 points" in said


def test_pictures_without_a_label_are_not_scored_and_unknown_classes_are_wrong() -> None:
    some = answers((0.9, 0.1, 0.0), (0.9, 0.1, 0.0), (0.9, 0.1, 0.0))
    found = accuracies(LABELS, ["cat", "", "horse"], some, some)
    assert found is not None
    assert (found.pictures, found.source.value, found.exported.value) == (2, 0.5, 0.5)
    assert accuracies(LABELS, ["", "", ""], some, some) is None


rows = arrays(np.float32, (6, 3), elements=st.floats(0.0625, 1, width=32)).map(
    lambda p: p / p.sum(axis=1, keepdims=True)
)


@given(rows)
def test_answers_agree_with_themselves(p: np.ndarray) -> None:
    some = Answers(p, p + 1)
    found = compared(some, some)
    assert (found.same_label, found.largest_difference) == (6, 0)
    assert found.least_cosine == pytest.approx(1, abs=1e-5)
    assert not judged(form_named("onnx"), bar_of("f32", 0.0), {"some": found}, None)


@given(rows, rows, st.permutations(range(6)))
def test_neither_order_nor_direction_counts(p: np.ndarray, q: np.ndarray, order: list[int]) -> None:
    one = compared(Answers(p, None), Answers(q, None))
    other = compared(Answers(q[order], None), Answers(p[order], None))
    assert one.same_label == other.same_label
    assert one.largest_difference == other.largest_difference
    assert one.mean_difference == pytest.approx(other.mean_difference)


@pytest.fixture
def model_with_facts(
    tmp_path: Path, make_model: Callable[..., Path], pictures: list[Path]
) -> Model:
    sys.path.insert(0, str(Path(__file__).parents[1] / "serving"))
    from full_model import write_full

    return load(write_full(tmp_path / "facts", make_model, pictures, facts=True))


def test_facts_must_reach_the_answer(
    model_with_facts: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = export_model(model_with_facts, tmp_path / "export", "onnx")
    assert made.parity.agreements.keys() == {"reference pictures", "reference pictures, with facts"}
    said = refused(facts_forgotten, "onnx", model_with_facts, None, tmp_path / "no", monkeypatch)
    assert "with facts" in said
