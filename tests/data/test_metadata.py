"""Facts become features: what each column is taken for, and laws that hold for all of them."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discern.data.dataset import STRING
from discern.data.metadata import MetadataSpec, fit_metadata
from discern.data.metadata_fields import Category, Field, Number, Place, Time
from discern.errors import ConfigError, DatasetError

DEVICES = ["Pixel 8", "iPhone 12", "Canon EOS 5D"]


def column(values: Sequence[object]) -> np.ndarray:
    return np.array([str(value) for value in values], dtype=STRING)


def fitted(**columns: Sequence[object]) -> Field:
    (field,) = fit_metadata({key: column(v) for key, v in columns.items()}).fields
    return field


def some_of_each(n: int = 40) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "lat": column(rng.uniform(-80, 80, n).round(5)),
        "lon": column(rng.uniform(-180, 180, n).round(5)),
        "taken_at": column([f"2024-{1 + i % 12:02}-03T{i % 24:02}:30:00" for i in range(n)]),
        "age": column(rng.normal(40, 9, n).round(1)),
        "device": column([DEVICES[i % 3] for i in range(n)]),
    }


SPEC = fit_metadata(some_of_each())


def features(spec: MetadataSpec, **values: object) -> dict[str, float]:
    return dict(zip(spec.names, spec.encode(values).tolist(), strict=True))


def test_each_column_is_taken_for_what_it_holds() -> None:
    assert [type(field) for field in SPEC.fields] == [Place, Time, Number, Category]
    assert SPEC.columns == ("lat", "lon", "taken_at", "age", "device")
    assert SPEC.size == len(SPEC.names) == len(set(SPEC.names)) == 4 + 5 + 2 + 5


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1.5 * i for i in range(30)], Number),
        ([*range(30), "broken"], Number),  # 97 % are numbers
        ([*range(30), *["no"] * 9], Category),  # 77 %
        ([*range(30), "NA", "nan", "", "None", "null"] * 2, Number),
        ([1, 2, 4] * 9, Category),  # codes
        (["1.0", "2.0"] * 9, Category),
        ([1.5, 2.5] * 9, Number),  # few, but not whole
        ([1, 2, 4, *range(100, 111)] * 9, Number),  # whole, but not few
        ([1, 2, 3], Number),  # few, but not repeated
        ([f"2024-05-{day:02}" for day in range(1, 29)], Time),
        ([f"2024:05:{day:02} 08:00:00" for day in range(1, 29)], Time),
        ([1.7e9 + 1e5 * i for i in range(30)], Number),  # nothing in "x" speaks of a time
        (["red", "blue"] * 9, Category),
        ([f"{i}.jpg" for i in range(30)], None),
        (["red"] * 9, None),
        (["7", "7.0"] * 9, None),
        (["", "", ""], None),
        (["2024-05-31", "2024:05:31"] * 9, None),
    ],
)
def test_what_a_column_is_taken_for(values: list[object], kind: type | None) -> None:
    if kind is None:
        with pytest.raises(DatasetError, match=r"say nothing: 'x' (holds|has no|is the same)"):
            fitted(x=values)
    else:
        assert type(fitted(x=values)) is kind


@pytest.mark.parametrize(
    "values", [[1.7e9 + 1e5 * i for i in range(30)], [20240501 + i for i in range(30)]]
)
def test_numbers_are_times_where_the_name_speaks_of_one(values: list[object]) -> None:
    assert isinstance(fitted(timestamp=values), Time)
    assert isinstance(fitted(serial=values), Number)


@pytest.mark.parametrize(
    ("lat", "lon"),
    [("lat", "lon"), ("Latitude", "Longitude"), ("gps_lat", "gps_lng"), ("lat of it", "lon of it")],
)  # fmt: skip
def test_a_place_is_known_by_its_names(lat: str, lon: str) -> None:
    field = fitted(**{lon: [170, -170, 0.5], lat: [1, 2, 3]})
    assert isinstance(field, Place)
    assert field.columns == (lat, lon)


@pytest.mark.parametrize(
    ("lat", "lon", "values"),
    [("lat", "lon", [91.5, 95.5, 99.5]), ("a_lat", "lon", [1, 2, 3]), ("plat", "plon", [1, 2, 3])],
)  # fmt: skip
def test_no_place_by_its_values_or_names(lat: str, lon: str, values: list[float]) -> None:
    spec = fit_metadata({lat: column(values), lon: column([7, 8.5, 9])})
    assert [type(field) for field in spec.fields] == [Number, Number]


def test_what_says_nothing_is_left_out_with_a_word_and_may_still_be_given() -> None:
    columns = some_of_each() | {"kind": column(["jpeg"] * 40), "note": column([""] * 40)}
    spec = fit_metadata(columns)
    assert spec.fields == SPEC.fields
    assert spec.left_out == {
        "kind": "is the same for all pictures that have it",
        "note": "holds nothing",
    }
    assert np.array_equal(spec.encode_columns(columns), SPEC.encode_columns(some_of_each()))
    assert not spec.encode({"kind": "png", "note": "new"}, strict=True).any()


@pytest.mark.parametrize("columns", [{}, {"lat": column([""]), "lon": column([""])}])
def test_nothing_at_all_is_an_error(columns: dict[str, np.ndarray]) -> None:
    with pytest.raises(DatasetError, match=r"say nothing.*\n.*other columns with --metadata"):
        fit_metadata(columns)


def test_numbers_are_standardised_and_cut() -> None:
    encoded = SPEC.encode_columns(some_of_each())[:, SPEC.names.index("age")]
    assert (abs(encoded.mean()), encoded.std()) == pytest.approx((0, 1), abs=1e-5)
    assert features(SPEC, age=1e300)["age"] == 5
    assert features(SPEC, age=-1e300)["age"] == -5
    assert features(SPEC, age=40.25)["age given"] == 1


def test_the_hands_of_the_year_and_the_day() -> None:
    noon = features(SPEC, taken_at="2023-01-01T06:00:00")
    assert noon["taken_at day sin"] == pytest.approx(1)
    assert noon["taken_at day cos"] == pytest.approx(0, abs=1e-6)
    assert noon["taken_at year cos"] == pytest.approx(1)
    ends = [features(SPEC, taken_at=f"{t}T23:59:59") for t in ("2024-12-31", "2025-01-01")]
    for name in SPEC.names:
        assert ends[0][name] == pytest.approx(ends[1][name], abs=0.02)


@pytest.mark.parametrize(
    "written",
    ["2024-05-31T14:30:00", "2024-05-31 14:30", "2024:05:31 14:30:00",
     "2024-05-31T14:30:00.000000000", "2024-05-31T14:30:00Z", "2024-05-31T14:30+09:00",
     "20240531T143000", "1717165800", 1717165800, 1717165800.0, datetime(2024, 5, 31, 14, 30)],
)  # fmt: skip
def test_one_time_however_it_is_written(written: object) -> None:
    expected = SPEC.encode({"taken_at": "2024-05-31T14:30"}, strict=True)
    np.testing.assert_allclose(SPEC.encode({"taken_at": written}, strict=True), expected)


def test_a_date_has_no_hour() -> None:
    found = features(SPEC, taken_at="2024-05-31")
    assert found["taken_at given"] == 1
    assert found["taken_at day sin"] == found["taken_at day cos"] == 0
    assert found["taken_at year sin"] == features(SPEC, taken_at="20240531")["taken_at year sin"]


def test_dates_alone_make_no_hand_of_the_day() -> None:
    field = fitted(date=[f"2024-05-{day:02}" for day in range(1, 29)])
    assert field.features == ("date year sin", "date year cos")


def test_places_near_the_date_line_are_near() -> None:
    field = Place("lat", "lon", (0.0, 0.0, 0.0), 1.0)
    west, east, there = field.encode(["10"] * 3, ["-179.99", "179.99", "350"])
    assert np.abs(west - east).max() < 1e-3
    assert np.linalg.norm(there[1:]) == pytest.approx(1)
    assert np.allclose(there, field.encode(["10"], ["-10"]))


def test_the_streets_of_a_town_are_as_far_apart_as_countries() -> None:
    rng = np.random.default_rng(0)
    town = {"lat": column(52.5 + rng.normal(0, 0.01, 50)), "lon": column(rng.normal(13, 0.01, 50))}
    spec = fit_metadata(town)
    place = spec.encode_columns(town)[:, 1:]
    assert place.var(axis=0).mean() == pytest.approx(1, abs=1e-3)
    assert np.abs(spec.encode({"lat": -40, "lon": 170})).max() == 5


def test_rare_and_new_values_share_one_place() -> None:
    spec = fit_metadata({"device": column(["a"] * 9 + ["b"] * 5 + ["c"] * 4)})
    assert spec.names == ("device given", "device other", "device = a", "device = b")
    rows = {"a": [1, 0, 1, 0], "b": [1, 0, 0, 1], "c": [1, 1, 0, 0], "new": [1, 1, 0, 0]}
    for value, row in rows.items():
        assert spec.encode({"device": value}).tolist() == row


def test_a_category_has_at_most_64_places_for_the_most_frequent() -> None:
    field = fitted(x=[f"v{i}" for i in range(80) for _ in range(5 + i)])
    assert isinstance(field, Category)
    assert set(field.values) == {f"v{i}" for i in range(16, 80)}


@pytest.mark.parametrize(
    ("written", "given"), [("7.0", 7), ("7", 7.0), ("True", True), ("true", np.True_)]
)
def test_a_value_is_itself_however_it_is_written(written: str, given: object) -> None:
    spec = fit_metadata({"x": column([written] * 9 + ["8"] * 9)})
    assert spec.encode({"x": given})[1] == 0  # not "other"


def test_a_code_keeps_its_zeros() -> None:
    spec = fit_metadata({"x": column(["a007"] * 9 + ["007"] * 9)})
    assert spec.encode({"x": "007"})[1] == 0
    assert spec.encode({"x": "7"})[1] == 1


def test_none_is_a_value_of_a_category() -> None:
    spec = fit_metadata({"flash": column(["none"] * 9 + ["auto"] * 9)})
    assert spec.encode({"flash": "none"}).tolist() == [1, 0, 0, 1]


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no 'latt' in this model. Did you mean 'lat'\?"):
        SPEC.encode({"latt": 1})
    with pytest.raises(ConfigError, match=r"no 'zz'.*Known: lat, lon, taken_at, age, device"):
        SPEC.encode_columns({"zz": column([1])})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"age": "old"}, "age is 'old'; expected a number"),
        ({"age": float("inf")}, "age is 'inf'; expected a number"),
        ({"age": "9" * 4000}, "expected a number"),
        ({"taken_at": "yesterday"}, "taken_at is 'yesterday'; expected a time: ISO 8601"),
        ({"taken_at": 12}, "taken_at is '12'; expected a time"),
        ({"lat": 52.5}, "lat is '52.5'; expected a latitude .* with a longitude"),
        ({"lat": 95, "lon": 13}, "lat is '95'; expected a latitude"),
    ],
)
def test_what_cannot_be_read_is_missing_unless_strict(
    values: dict[str, object], message: str
) -> None:
    assert not SPEC.encode(values).any()
    with pytest.raises(ConfigError, match=message):
        SPEC.encode(values, strict=True)


@pytest.mark.parametrize("value", [[1], {"a": 1}, b"x", object()])
def test_a_value_is_a_text_or_a_number(value: object) -> None:
    with pytest.raises(ConfigError, match=r"age is \w+ .*; expected a text or a number"):
        SPEC.encode({"age": value})


@pytest.mark.parametrize("nothing", ["", None, float("nan"), "NaN", "n/a", "  "])
def test_nothing_is_zeros_strict_or_not(nothing: object) -> None:
    values = dict.fromkeys(("lat", "lon", "taken_at", "age"), nothing)
    assert not SPEC.encode(values, strict=True).any()
    assert not SPEC.encode({}, strict=True).any()


def test_columns_of_nothing_are_rows_of_zeros() -> None:
    assert SPEC.encode_columns({"age": column([""] * 3)}).shape == (3, SPEC.size)
    assert not SPEC.encode_columns({"age": column([""] * 3)}).any()
    assert SPEC.encode_columns({}).shape == (0, SPEC.size)


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="dimension"):
        SPEC.encode_columns({"age": column([1, 2]), "device": column(["a"])})


WRITTEN = st.one_of(
    st.sampled_from(["", "NA", "none", "7", "7.0", "2024-05-31", "2024:05:31 14:30:00", "1e400"]),
    st.floats(width=64).map(str),
    st.integers(-(10**30), 10**30).map(str),
    st.datetimes().map(str),
    st.sampled_from(DEVICES),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
)
TABLES = st.integers(1, 30).flatmap(
    lambda n: st.fixed_dictionaries(
        {
            name: st.lists(WRITTEN, min_size=n, max_size=n)
            | st.lists(st.floats().map(str), min_size=n, max_size=n)
            for name in ("lat", "lon", "taken_at", "x")
        }
    )
)


@settings(deadline=None)
@given(TABLES, TABLES)
def test_whatever_stands_in_the_columns(
    table: dict[str, list[str]], other: dict[str, list[str]]
) -> None:
    """A row is encoded as it is in its column, the spec survives JSON, all is finite."""
    columns = {name: column(values) for name, values in table.items()}
    try:
        spec = fit_metadata(columns)
    except DatasetError:
        return
    assert MetadataSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    for rows in (table, other):
        encoded = spec.encode_columns({name: column(values) for name, values in rows.items()})
        assert encoded.shape == (len(rows["x"]), spec.size)
        assert encoded.dtype == np.float32
        assert (np.abs(encoded) <= 5).all()
        for i, row in enumerate(encoded):
            assert np.array_equal(spec.encode({name: v[i] for name, v in rows.items()}), row)


def changed(**changes: Any) -> dict[str, Any]:
    number = {"kind": "number", "name": "age", "mean": 1.0, "std": 2.0} | changes
    return {"fields": [{k: v for k, v in number.items() if v is not ...}], "left_out": {}}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (changed(kind="colour"), r"fields\[0\]: kind is 'colour'; expected number, time, place"),
        (changed(mean=...), r"fields\[0\]: mean not given"),
        (changed(mean="1"), r"fields\[0\]: mean is '1'; expected float"),
        (changed(sdt=1.0), r"fields\[0\]: unknown setting 'sdt'. Did you mean 'std'"),
        (changed(std=0.0), r"fields\[0\]: .* cannot standardise"),
        (changed(mean=float("nan")), r"fields\[0\]: .* cannot standardise"),
        (
            changed(kind="place", name=..., latitude="a", longitude="b", mean=[1.0, 2.0]),
            r"fields\[0\]: mean is .* expected three numbers",
        ),
        ({"left_out": {}}, "metadata: fields not given"),
        ({"fields": [], "left_out": {"a": 1}}, "left_out is .*; expected names and texts"),
        ({"fields": []}, "metadata: fields is empty"),
        ({"fields": ["age"]}, r"metadata: fields is 'age'; expected dict"),
    ],
)
def test_a_spec_is_read_strictly(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MetadataSpec.from_dict(values)
