"""What is proposed for what was found, and the JSON form of what was found."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from discern.data import Dataset
from discern.data.dataset import Row
from discern.inspection.document import document
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
from discern.inspection.plan import apply_plan
from discern.inspection.proposals import propose
from discern.survey.duplicates import Kind

SPLITS = ("train", "validation", "test")


def looks(k: int) -> Looks:
    numbers = np.arange(1, k + 1)
    return Looks(
        samples=np.arange(k),
        format=np.array(["JPEG"] * k),
        mode=np.array(["RGB"] * k),
        width=numbers.astype(np.uint32),
        height=numbers.astype(np.uint32),
        bytes=numbers.astype(np.uint64),
        brightness=(numbers / 100).astype(np.float32),
        contrast=(numbers / 100).astype(np.float32),
        sharpness=numbers.astype(np.float32),
    )


class Found:
    """An inspection, put together by the names of the pictures."""

    def __init__(self, root: Path, rows: Sequence[str]) -> None:
        """Rows as "path label split"; a dot stands for none."""
        cells = [["" if cell == "." else cell for cell in row.split()] for row in rows]
        self.dataset = Dataset.from_rows(root, (Row(*row) for row in cells), "rows")
        self.at = {path: i for i, path in enumerate(self.dataset.paths.tolist())}
        self.groups: list[DuplicateGroup] = []
        self.suspects: list[Suspect] = []
        self.bad: list[BadFile] = []

    def group(self, kind: Kind, *paths: str) -> "Found":
        members = tuple(sorted(self.at[path] for path in paths))
        labels = sorted({str(self.dataset.labels[i]) for i in members} - {""})
        found = {str(self.dataset.splits[i]) for i in members}
        splits = tuple(split for split in SPLITS if split in found)
        self.groups.append(DuplicateGroup(members, kind, tuple(labels), splits))
        return self

    def suspect(self, path: str, suggested: str, p: float = 0.95, of_given: float = 0.0) -> "Found":
        i = self.at[path]
        self.suspects.append(Suspect(i, str(self.dataset.labels[i]), suggested, p, of_given))
        return self

    @property
    def inspection(self) -> Inspection:
        found = LabelFindings("tiny", tuple(self.suspects), (), len(self.dataset), 1)
        return Inspection(
            dataset=self.dataset,
            looks=looks(len(self.dataset)),
            bad=tuple(self.bad),
            odd=(),
            duplicates=tuple(self.groups),
            labels=found if self.suspects else None,
            remarks=(),
            seconds=1.0,
        )

    @property
    def proposed(self) -> list[tuple[str, ...]]:
        """Path, action and target of each row."""
        return [
            (change.path, change.action, *filter(None, [change.target]))
            for change in propose(self.inspection).changes
        ]


@pytest.fixture
def found(tmp_path: Path) -> Callable[..., Found]:
    return lambda *rows: Found(tmp_path, rows)


Make = Callable[..., Found]


def test_of_the_same_picture_one_stays_in_the_earlier_split(found: Make) -> None:
    these = found("a cat test", "b cat train", "c cat train", "d cat validation", "e cat train")
    these.group("bytes", "a", "b", "c", "d")
    assert these.proposed == [("c", "drop"), ("d", "drop"), ("a", "drop")]
    changes = propose(these.inspection).changes
    assert [change.reason for change in changes] == ["the same file as b (train)"] * 3
    assert {change.group for change in changes} == {1}
    these.groups.clear()
    these.group("pixels", "b", "c")
    (change,) = propose(these.inspection).changes
    assert change.reason == "the same pixels as b (train)"


def test_nearly_the_same_moves_and_only_across_splits(found: Make, tmp_path: Path) -> None:
    these = found("a cat test", "b cat train", "c cat train", "d cat test")
    for i, name in enumerate("abc"):
        (tmp_path / name).write_bytes(bytes([i]))
    (tmp_path / "d").write_bytes(bytes([1]))  # the same file as b, in a group of nearly the same
    these.group("near", "a", "b", "c", "d")
    assert these.proposed == [("d", "drop"), ("a", "move", "train")]
    without_splits = found("a cat .", "b cat .")
    assert without_splits.group("near", "a", "b").proposed == []


@pytest.mark.parametrize(
    ("copies", "expected"),
    [
        (("a cat train", "b dog train"), None),
        (("a cat train", "b cat train", "c dog train"), "cat"),
        (("a cat train", "b cat train", "c dog train", "d dog train", "e cat train"), None),
    ],
)
def test_two_labels_go_by_a_clear_majority(
    found: Make, copies: tuple[str, ...], expected: str | None
) -> None:
    these = found(*copies)
    these.group("near", *(row[0] for row in copies))
    if expected:
        assert these.proposed == [("c", "relabel", expected)]
    else:
        assert {action for _, action in these.proposed} == {"keep"}
        assert len(these.proposed) == len(copies)


def test_two_labels_go_by_a_sure_backbone(found: Make) -> None:
    rows = ("a cat train", "b dog train")
    assert found(*rows).group("near", "a", "b").suspect("b", "cat").proposed == [
        ("b", "relabel", "cat")
    ]
    assert found(*rows).group("bytes", "a", "b").suspect("b", "cat").proposed == [("b", "drop")]
    for suggested, p in (("fish", 0.99), ("cat", 0.6)):
        unclear = found(*rows).group("near", "a", "b").suspect("b", suggested, p)
        assert unclear.proposed == [("a", "keep"), ("b", "keep")]
    against = found(*rows, "c dog train").group("near", "a", "b", "c").suspect("b", "cat")
    assert [row[1] for row in against.proposed] == ["keep"] * 3, "the majority says dog"


def test_a_copy_may_be_relabelled_and_moved(found: Make) -> None:
    these = found("a cat train", "b cat train", "c dog test").group("near", "a", "b", "c")
    assert these.proposed == [("c", "move", "train"), ("c", "relabel", "cat")]
    changed = apply_plan(these.dataset, propose(these.inspection))
    assert changed.labels.tolist() == ["cat"] * 3
    assert changed.split_names == ("train",)


def test_doubted_labels(found: Make) -> None:
    these = found("a cat train", "b cat train", "c cat test", "d cat train", "e cat .")
    these.suspect("c", "dog").suspect("a", "dog").suspect("b", "dog", 0.5)
    these.suspect("d", "dog", 0.95, 0.04).suspect("e", "dog")
    assert these.proposed == [
        *(("a", "relabel", "dog"), ("e", "relabel", "dog")),
        *(("c", "keep"), ("b", "keep"), ("d", "keep")),
    ]
    changes = {change.path: change for change in propose(these.inspection).changes}
    assert changes["c"].label == "dog", "there for whoever looks at it and agrees"
    assert "held out" in changes["c"].reason


def test_the_surest_come_first_and_pictures_to_predict_stay(found: Make) -> None:
    these = found(
        *("s cat train", "x cat train", "y cat train", "l cat test", "t cat train"),
        *("k dog train", "j cat train", "p . unlabelled", "q . unlabelled", "z cat train"),
    )
    these.bad.append(BadFile(these.at["z"], "not a picture"))
    these.group("bytes", "t", "l").group("near", "k", "j").group("bytes", "x", "y")
    these.group("bytes", "p", "q").suspect("s", "dog")
    these.group("bytes", "p", "s")
    assert these.proposed == [
        *(("z", "drop"), ("y", "drop"), ("l", "drop"), ("s", "relabel", "dog")),
        *(("k", "keep"), ("j", "keep")),
    ]
    assert propose(these.inspection).changes[0].reason == "cannot be used: not a picture"


def test_pictures_to_predict_are_no_copies(found: Make) -> None:
    these = found("a cat train", "b cat unlabelled", "c . .", "d cat test")
    assert these.group("bytes", "a", "b", "c").proposed == []
    assert these.group("bytes", "a", "b", "c", "d").proposed == [("d", "drop")]


def test_what_is_proposed_can_be_applied_and_mends(found: Make) -> None:
    rows = [
        f"{name} {'cat' if i % 3 else 'dog'} {SPLITS[i % 2]}" for i, name in enumerate("abcdefgh")
    ]
    these = found(*rows).group("near", *"abcd").group("bytes", *"efgh").suspect("a", "cat")
    plan = propose(these.inspection)
    changed = apply_plan(these.dataset, plan)
    assert plan.fingerprint == these.dataset.fingerprint
    decided = {c.path for c in plan.changes if c.action != "keep"}
    assert decided
    for group in these.groups:
        members = {str(these.dataset.paths[i]) for i in group.samples}
        left = changed.where(np.isin(changed.paths.astype(object), list(members)))
        if members & decided:
            assert len(left.classes) == 1
            assert len(left.split_names) == 1


# The JSON form.


def test_the_json_form(found: Make) -> None:
    these = found("a cat train", "b dog test", "c cat train").group("near", "a", "b")
    these.suspect("c", "dog", 0.75, 0.25).bad.append(BadFile(1, "truncated"))
    labels = replace(these.inspection.labels, outliers=(Outlier(0, 1.5),))  # type: ignore[type-var]
    inspection = replace(
        these.inspection, odd=(Odd(2, "dark", 0.5, "dark"),), labels=labels, remarks=("so",)
    )
    form = json.loads(json.dumps(document(inspection)))
    assert (form["pictures"], form["classes"]) == (3, ["cat", "dog"])
    assert form["counts"] == {"train": {"cat": 2}, "test": {"dog": 1}}
    assert form["bad"] == [{"path": "b", "reason": "truncated"}]
    assert form["odd"] == [{"path": "c", "kind": "dark", "value": 0.5, "detail": "dark"}]
    (group,) = form["duplicates"]
    assert group["paths"] == ["a", "b"]
    assert group["leak"] and group["conflict"] and group["kind"] == "near"
    suspect = {"given": "cat", "suggested": "dog", "probability": 0.75, "of_given": 0.25}
    assert form["labels"]["suspects"] == [{"path": "c", **suspect}]
    assert form["labels"]["outliers"] == [{"path": "a", "score": 1.5}]
    assert form["looks"]["formats"] == {"JPEG": 3}
    assert form["looks"]["width"] == {"least": 1, "median": 2.0, "most": 3}
    assert form["remarks"] == ["so"]


def test_the_json_form_of_nothing(found: Make) -> None:
    form = json.loads(json.dumps(document(found().inspection)))
    assert form["looks"]["width"] is None
    assert (form["pictures"], form["labels"], form["duplicates"]) == (0, None, [])
