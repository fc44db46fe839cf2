from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from discern.config import SplitConfig
from discern.data import Dataset, hold_out, require_trainable, split_dataset
from discern.data.dataset import STRING, Row
from discern.data.together import kept_together, separable, units
from discern.errors import ConfigError, DatasetError

CONFIG = SplitConfig(validation=0.2, test=0.2, seed=3)

sizes = st.dictionaries(st.sampled_from("abcdef"), st.integers(2, 40), min_size=2, max_size=6)
fractions = st.floats(0.05, 0.45)
seeds = st.integers(0, 2**32 - 1)


def dataset(rows: list[Row]) -> Dataset:
    return Dataset.from_rows(Path("data"), rows, source="rows of a test")


def pictures(counts: dict[str, int], split: str = "") -> list[Row]:
    return [Row(f"{c}/{split}{i}.jpg", c, split) for c, n in counts.items() for i in range(n)]


def assigned(data: Dataset) -> dict[str, str]:
    return dict(zip(data.paths.tolist(), data.splits.tolist(), strict=True))


@st.composite
def grouped(draw: st.DrawFn) -> Dataset:
    """Two to four classes, pictures in groups that may span classes, two units a class."""
    rows = []
    for name in "abcd"[: draw(st.integers(2, 4))]:
        rows += [
            Row(f"{name}/{own}.jpg", name, "", own * (own == "g1" + name))
            for own in ("g1" + name, "lone")
        ]
        of = draw(st.lists(st.sampled_from(["", "p", "q", "r", "s", "t"]), max_size=15))
        rows += [Row(f"{name}/{i}.jpg", name, "", group) for i, group in enumerate(of)]
    return dataset(draw(st.permutations(rows)))


@given(sizes, fractions, seeds)
def test_hold_out_is_a_partition(counts: dict[str, int], fraction: float, seed: int) -> None:
    data = dataset(pictures(counts))
    rest, held = hold_out(data, fraction, seed)
    assert sorted(rest.paths.tolist() + held.paths.tolist()) == sorted(data.paths.tolist())


@given(sizes, fractions, seeds)
def test_classes_keep_their_proportions(counts: dict[str, int], fraction: float, seed: int) -> None:
    held = Counter(hold_out(dataset(pictures(counts)), fraction, seed)[1].labels.tolist())
    for name, n in counts.items():
        fair = max(fraction * n, 1 if n >= 3 else 0)
        assert abs(held[name] - fair) <= 0.5 + 1e-9
        assert n - held[name] >= 1


@given(grouped(), fractions, seeds)
def test_groups_stay_whole_and_every_class_stays_in_the_rest(
    data: Dataset, fraction: float, seed: int
) -> None:
    rest, held = hold_out(data, fraction, seed)
    common = set(rest.groups.tolist()) & set(held.groups.tolist())
    assert common <= {""}
    assert rest.classes == data.classes
    assert len(rest) + len(held) == len(data)


@given(st.lists(st.integers(1, 12), min_size=3, max_size=40), fractions, seeds)
def test_groups_come_as_near_to_the_fraction_as_the_largest_allows(
    groups: list[int], fraction: float, seed: int
) -> None:
    rows = [
        Row(f"{name}/{g}-{i}.jpg", name, "", f"{name}{g}")
        for name in "ab"
        for g, n in enumerate(groups)
        for i in range(n)
    ]
    held = Counter(hold_out(dataset(rows), fraction, seed)[1].labels.tolist())
    for name in "ab":
        assert held[name] >= 1
        assert abs(held[name] - fraction * sum(groups)) <= max(groups)


@given(grouped(), seeds, st.randoms(use_true_random=False))
def test_the_order_of_the_samples_does_not_matter(data: Dataset, seed: int, rng: object) -> None:
    order = np.arange(len(data))
    rng.shuffle(order)  # type: ignore[attr-defined]
    config = SplitConfig(seed=seed)
    assert assigned(split_dataset(data, config)) == assigned(
        split_dataset(data.where(order), config)
    )


def test_the_seed_decides() -> None:
    data = dataset(pictures({"a": 50, "b": 50}))
    first, again, other = (split_dataset(data, SplitConfig(seed=seed)) for seed in (1, 1, 2))
    assert assigned(first) == assigned(again) != assigned(other)


def test_fractions_are_of_all_samples() -> None:
    counts = split_dataset(dataset(pictures({"a": 50, "b": 100})), CONFIG).counts()
    assert counts == {
        "train": {"a": 30, "b": 60},
        "validation": {"a": 10, "b": 20},
        "test": {"a": 10, "b": 20},
    }


@given(sizes, seeds)
def test_every_class_trains_and_three_pictures_make_a_test(
    counts: dict[str, int], seed: int
) -> None:
    split = split_dataset(dataset(pictures(counts)), SplitConfig(seed=seed)).counts()
    assert set(split["train"]) == set(counts)
    assert set(split.get("test", {})) == {name for name, n in counts.items() if n >= 3}


def test_a_fraction_of_zero_makes_no_such_split() -> None:
    data = split_dataset(dataset(pictures({"a": 9, "b": 9})), SplitConfig(0.0, 0.0))
    assert data.split_names == ("train",)


def test_given_splits_are_kept() -> None:
    two = {"a": 4, "b": 4}
    data = dataset(pictures(two, "train") + pictures(two, "validation"))
    assert split_dataset(data, CONFIG) is data


def test_validation_is_carved_from_train_only() -> None:
    two = {"a": 10, "b": 10}
    data = dataset(pictures(two, "train") + pictures(two, "test"))
    split = split_dataset(data, CONFIG)
    assert split.counts() == {
        "train": {"a": 8, "b": 8},
        "validation": {"a": 2, "b": 2},
        "test": {"a": 10, "b": 10},
    }
    assert split.select("test").paths.tolist() == data.select("test").paths.tolist()
    assert split.fingerprint == data.fingerprint


def test_train_alone_is_divided_like_no_splits() -> None:
    split = split_dataset(dataset(pictures({"a": 10, "b": 10}, "train")), CONFIG)
    assert split.split_names == ("train", "validation", "test")


def test_unlabelled_samples_stay_as_they_are() -> None:
    rows = [*pictures({"a": 10, "b": 10}), Row("x.jpg", "", "unlabelled")]
    split = split_dataset(dataset(rows), CONFIG)
    assert split.counts()["unlabelled"] == {"": 1}


def test_a_class_missing_from_a_split_shifts_no_other() -> None:
    rows = pictures({"a": 5, "b": 5, "c": 5}, "train") + pictures({"a": 2, "c": 2}, "test")
    split = split_dataset(dataset(rows), CONFIG)
    test = split.select("test")
    assert test.classes == ("a", "c")
    assert all(sample.path.parent.name == sample.label for sample in split)


def test_a_test_split_alone_cannot_train() -> None:
    with pytest.raises(DatasetError, match="no train split, only test"):
        split_dataset(dataset(pictures({"a": 5, "b": 5}, "test")), CONFIG)


def test_splits_for_some_only() -> None:
    rows = pictures({"a": 5, "b": 5}, "train") + pictures({"a": 2})
    with pytest.raises(DatasetError, match="2 labelled pictures have no split"):
        split_dataset(dataset(rows), CONFIG)


def test_a_class_with_one_picture() -> None:
    data = dataset(pictures({"bats": 9, "cats": 1, "dogs": 9}))
    with pytest.raises(DatasetError) as caught:
        hold_out(data, 0.2, 0)
    assert str(caught.value) == (
        "cats/ has 1 picture; a class needs at least 2 to be split.\n"
        "Add pictures, or leave it out with --exclude cats."
    )


def test_many_classes_with_one_picture_are_shortened() -> None:
    data = dataset([Row(f"{i}.jpg", f"class {i}") for i in range(9)])
    with pytest.raises(DatasetError, match=r"'class 2' and 6 more classes have 1 picture") as err:
        hold_out(data, 0.2, 0)
    assert "--exclude 'class 0'" in str(err.value)


def test_a_class_with_one_group() -> None:
    rows = [Row(f"b/{i}.jpg", "b", "", f"g{i}") for i in range(4)]
    rows += [Row(f"a/{i}.jpg", "a", "", "patient") for i in range(4)]
    with pytest.raises(DatasetError, match="a/ has 1 group only"):
        hold_out(dataset(rows), 0.2, 0)


@pytest.mark.parametrize(
    ("counts", "message"),
    [({}, "has no class"), ({"a": 9}, "only one class, 'a'"), ({"a": 9, "b": 1}, "b/ has 1")],
)
def test_what_cannot_be_trained_on(counts: dict[str, int], message: str) -> None:
    for check in (require_trainable, lambda data: split_dataset(data, CONFIG)):
        with pytest.raises(DatasetError, match=message):
            check(dataset(pictures(counts)))


def test_a_class_that_train_lacks() -> None:
    rows = pictures({"a": 5, "b": 5}, "train") + pictures({"c": 5}, "test")
    with pytest.raises(DatasetError, match="c/ has no pictures in train"):
        require_trainable(dataset(rows))


def test_trainable() -> None:
    require_trainable(dataset(pictures({"a": 2, "b": 2})))


@pytest.mark.parametrize("config", [SplitConfig(1.5), SplitConfig(-0.1), SplitConfig(0.5, 0.5)])
def test_impossible_fractions(config: SplitConfig) -> None:
    with pytest.raises(ConfigError, match=r"split\.validation"):
        split_dataset(dataset(pictures({"a": 9, "b": 9})), config)


@pytest.mark.parametrize("fraction", [0.0, 1.0, float("nan")])
def test_impossible_fractions_to_hold_out(fraction: float) -> None:
    with pytest.raises(ConfigError, match="fraction"):
        hold_out(dataset(pictures({"a": 9, "b": 9})), fraction, 0)


@st.composite
def with_copies(draw: st.DrawFn) -> Dataset:
    """As `grouped`, and some pictures are copies of others, whatever their class and group."""
    data = draw(grouped())
    n = len(data)
    names = draw(st.lists(st.sampled_from(["", "", "", "1", "2", "3"]), min_size=n, max_size=n))
    return replace(data, copies=np.array(names, STRING))


@given(with_copies())
def test_what_shares_a_group_or_a_picture_is_kept_together(data: Dataset) -> None:
    together, copies = kept_together(data), data.copies
    assert copies is not None
    for column in (data.groups, copies):
        for name in set(column.tolist()) - {""}:
            assert len(set(together[column == name].tolist()) - {""}) == 1
    assert ((together == "") == ((data.groups == "") & (copies == ""))).all()
    # Nothing else is: whoever is in one with others can be reached from any of them.
    for name in set(together.tolist()) - {""}:
        members = np.flatnonzero(together == name)
        reached = members[:1]
        for _ in members:
            near = np.isin(data.groups, data.groups[reached]) & (data.groups != "")
            near |= np.isin(copies, copies[reached]) & (copies != "")
            reached = np.union1d(reached, np.flatnonzero(near))
        assert set(reached.tolist()) == set(members.tolist())


@given(with_copies(), seeds)
def test_copies_are_in_one_split_and_no_class_is_lost_for_it(data: Dataset, seed: int) -> None:
    divided = split_dataset(data, SplitConfig(0.2, 0.2, seed))  # does not fail: it did not without
    parted = separable(data)
    together = kept_together(parted)
    for name in set(together.tolist()) - {""}:
        assert len(set(divided.splits[together == name].tolist())) == 1
    whole = units(data.labels, kept_together(data))
    if min(whole.values()) >= 2:
        assert parted.copies is not None
        assert (parted.copies == data.copies).all()
    assert min(units(parted.labels, together).values()) >= 2
    rest, held = hold_out(data, 0.3, seed)
    assert len(rest) + len(held) == len(data)


@given(with_copies(), seeds)
def test_neither_names_nor_order_matter_to_copies(data: Dataset, seed: int) -> None:
    config = SplitConfig(0.2, 0.2, seed)
    assert data.copies is not None
    renamed = np.array([name and f"x{9 - int(name)}" for name in data.copies.tolist()], STRING)
    other = replace(data, copies=renamed).where(np.arange(len(data))[::-1])
    assert assigned(split_dataset(data, config)) == assigned(split_dataset(other, config))


@given(grouped(), seeds)
def test_without_copies_it_divides_as_it_did(data: Dataset, seed: int) -> None:
    looked = replace(data, copies=np.full(len(data), "", STRING))
    config = SplitConfig(0.2, 0.2, seed)
    assert assigned(split_dataset(looked, config)) == assigned(split_dataset(data, config))
