"""Plans: through a spreadsheet and back, and what comes of them."""

import csv
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from discern.data import Dataset
from discern.data.dataset import Row
from discern.errors import DatasetError
from discern.inspection.plan import Change, Plan, apply_plan, plan_remarks
from discern.inspection.plan_file import COLUMNS, read_plan, write_plan

SPLITS = ("train", "validation", "test")


# Through a spreadsheet.

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
PATHS = TEXT.filter(lambda text: text.strip() and not text.startswith("./"))
LABELS = TEXT.filter(str.strip)
CHANGES = st.one_of(
    st.builds(Change, PATHS, st.just("drop"), reason=TEXT, group=st.none() | st.integers(0, 99)),
    st.builds(Change, PATHS, st.just("relabel"), label=LABELS, given_label=TEXT),
    st.builds(Change, PATHS, st.just("move"), split=st.sampled_from(SPLITS)),
    st.builds(Change, PATHS, st.just("keep"), label=LABELS | st.just("")),
)


def written(plan: Plan) -> str:
    file = StringIO()
    write_plan(plan, file)
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plans")


@settings(deadline=None, max_examples=60)
@given(st.lists(CHANGES, max_size=4))
@example([Change(" a;b, c.jpg", "relabel", label=" '=d", reason="e\r\nf", given_label="'g")])
def test_a_plan_comes_back_as_it_was(folder: Path, changes: list[Change]) -> None:
    plan = Plan(tuple(changes), "0123456789abcdef" if changes else "")
    (folder / "plan.csv").write_text(written(plan), encoding="utf-8", newline="")
    assert read_plan(folder / "plan.csv") == plan


@settings(deadline=None, max_examples=60)
@given(st.lists(CHANGES, max_size=4))
def test_no_cell_is_a_formula(changes: list[Change]) -> None:
    text = written(Plan(tuple(changes), "12e4")).removeprefix("\ufeff")
    for row in csv.reader(StringIO(text, newline="")):
        assert not [cell for cell in row if cell.startswith(tuple("=+-@\t\r"))]


def as_excel_writes(plan: Plan, order: Sequence[str]) -> str:
    """With semicolons, without needless quotes, with columns of its own, empty ones and rows."""
    rows = list(csv.DictReader(StringIO(written(plan).removeprefix("\ufeff"))))
    file = StringIO(newline="")
    writer = csv.writer(file, delimiter=";", lineterminator="\r\n")
    writer.writerow(["Seen by", *(name.replace("_", " ").title() for name in order), ""])
    for row in rows:
        writer.writerow(["me", *(row[name] for name in order), ""])
    writer.writerow([""] * (len(order) + 2))
    return f"\ufeff{file.getvalue()}"


def test_as_a_spreadsheet_gives_it_back(tmp_path: Path) -> None:
    plan = Plan(
        (
            Change("=a/é.jpg", "relabel", label="-1", reason="looks like; it", given_label="+1"),
            Change("b.jpg", "move", split="train", given_split="test", group=7),
        ),
        "0123456789abcdef",
    )
    file = tmp_path / "plan.csv"
    file.write_text(as_excel_writes(plan, COLUMNS[::-1]), encoding="utf-8", newline="")
    assert read_plan(file) == plan
    file.write_text("Action,Path,Split,note\nMOVE ,a.jpg,Val,x\n drop,=b.jpg,,y\n")
    assert read_plan(file).changes == (
        Change("a.jpg", "move", split="validation"),
        Change("=b.jpg", "drop"),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,action\na.jpg,drpo\n", r"row 2 .*'drpo'.*mean 'drop'"),
        ("path,action\na.jpg,\n", "row 2 has no action. Write drop, relabel, move or keep"),
        ("path,action\na.jpg,eat\n", "'eat', which is none. Write drop"),
        ("path,action\n,drop\n", "row 2 names no picture"),
        ("path,action,label\na,keep,\nb,relabel,\n", "row 3 says relabel but has no label"),
        ("path,action\nb,relabel\n", "row 2 says relabel but has no label"),
        ("path,action,split\nb,move,\n", "row 2 says move but has no split. Write train"),
        ("path,action,split\nb,move,tset\n", "move to 'tset', which is no split"),
        ("image,label\nb.jpeg,c\n", "has no column 'path', so it is no plan"),
        ("path,action,data\na,drop,sha256:1\nb,drop,sha256:2\n", "2 different datasets"),
        ("path,action\na\n", "row 2 does not fit the header"),
    ],
)
def test_plans_that_cannot_be_understood(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "plan.csv"
    file.write_text(text)
    with pytest.raises(DatasetError, match=message) as caught:
        read_plan(file)
    assert str(file) in str(caught.value)


# What comes of it.

ROWS = [
    Row(f"{name}.jpg", "cat" if i % 2 else "dog", SPLITS[i % 3]) for i, name in enumerate("abcdef")
]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return Dataset.from_rows(tmp_path, ROWS)


def test_changes_are_made_and_nothing_else(dataset: Dataset) -> None:
    plan = Plan(
        (
            Change("a.jpg", "drop"),
            Change("b.jpg", "relabel", label="dog"),
            Change("b.jpg", "move", split="train"),
            Change("c.jpg", "keep", label="cat"),
            Change("gone.jpg", "keep"),
            Change("a.jpg", "drop", reason="said twice"),
        )
    )
    changed = apply_plan(dataset, plan)
    expected = [ROWS[1]._replace(label="dog", split="train"), *ROWS[2:]]
    columns = (changed.paths, changed.labels, changed.splits, changed.groups)
    assert [Row(*row) for row in zip(*(c.tolist() for c in columns), strict=True)] == expected
    assert dataset.labels.tolist() == [row.label for row in ROWS]
    again = apply_plan(dataset.with_splits(dataset.splits), plan)
    assert again.fingerprint == changed.fingerprint, "its splits are now the given ones"
    assert plan.counts == {"drop": 2, "relabel": 1, "move": 1, "keep": 2}


@settings(deadline=None, max_examples=40)
@given(st.permutations(range(5)))
def test_the_order_of_rows_does_not_matter(order: list[int]) -> None:
    changes = (
        Change("a.jpg", "drop"),
        Change("b.jpg", "relabel", label="fish"),
        Change("b.jpg", "move", split="test"),
        Change("e.jpg", "relabel", label="fish"),
        Change("f.jpg", "move", split="train"),
    )
    dataset = Dataset.from_rows(Path("somewhere"), ROWS)
    shuffled = apply_plan(dataset, Plan(tuple(changes[i] for i in order)))
    assert shuffled.fingerprint == apply_plan(dataset, Plan(changes)).fingerprint
    assert shuffled.fingerprint != dataset.fingerprint


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([Change("x.jpg", "drop")], "1 picture is in the plan but not here: 'x.jpg'"),
        ([Change("a.jpg", "drop"), Change("a.jpg", "move", split="test")], "drop and move 'test'"),
        (
            [Change("a.jpg", "relabel", label="x"), Change("a.jpg", "relabel", label="y")],
            "contradicts itself on 'a.jpg': relabel 'x' and relabel 'y'",
        ),
        (
            [Change("a.jpg", "move", split="test"), Change("a.jpg", "move", split="train")],
            "move 'test' and move 'train'",
        ),
        ([Change("a.jpg", "relabel")], "would relabel 'a.jpg' but names no label"),
        ([Change("a.jpg", "relabel", label="Dog")], "'Dog' and 'dog' differ only in case"),
        ([Change(row.path, "drop") for row in ROWS], "drops every picture"),
    ],
)
def test_plans_that_cannot_be_applied(
    dataset: Dataset, changes: list[Change], message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        apply_plan(dataset, Plan(tuple(changes), dataset.fingerprint))


def test_a_plan_of_other_data(dataset: Dataset) -> None:
    other = Plan((Change("b.jpg", "relabel", label="bird"), Change("a.jpg", "drop")), "feed")
    changed, new_class = plan_remarks(dataset, other)
    assert "changed since the plan was made" in changed
    assert "'bird' is a new class (1 picture)" in new_class
    plan = Plan((Change("b.jpg", "relabel", label="dog"),), dataset.fingerprint[:16])
    assert plan_remarks(dataset, plan) == ()
    with pytest.raises(DatasetError, match="made of other data"):
        apply_plan(dataset, Plan((Change("x.jpg", "drop"),), "feed"))


def test_no_move_where_there_are_no_splits() -> None:
    dataset = Dataset.from_rows(Path("somewhere"), [Row("a", "cat"), Row("b", "dog")])
    with pytest.raises(DatasetError, match="the others have none"):
        apply_plan(dataset, Plan((Change("a", "move", split="train"),)))
