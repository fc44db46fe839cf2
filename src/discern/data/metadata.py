"""Facts beside the picture as features of the head: which there are, and how each is encoded."""

import difflib
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from numbers import Integral, Real
from typing import Any

import numpy as np

from discern.config import settings_from
from discern.data.dataset import StringArray
from discern.data.metadata_fields import (
    RARE,
    Category,
    Field,
    Floats,
    Matrix,
    Number,
    Place,
    Texts,
    Time,
    canonical,
    is_missing,
    moments,
    numbers,
    shared_values,
    unit_vectors,
)
from discern.errors import ConfigError, DatasetError

ENOUGH = 0.95  # share of a column's values that must be numbers, times or places to make it one
MOST_CODES = 12  # a column of no more different whole numbers than this is a category

_KINDS: dict[str, type[Field]] = {
    "number": Number,
    "time": Time,
    "place": Place,
    "category": Category,
}
_TIME_NAMES = ("time", "date", "taken", "captur", "epoch", "unix")
_LATITUDE, _LONGITUDE = ("lat", "latitude"), ("lon", "lng", "long", "longitude")


@dataclass(frozen=True)
class MetadataSpec:
    """How facts beside a picture become the graph's second input.

    `left_out` holds columns that say nothing, with the reason; they may be given all the same.
    """

    fields: tuple[Field, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the facts that count."""
        return tuple(name for each in self.fields for name in each.columns)

    @property
    def names(self) -> tuple[str, ...]:
        """What each encoded feature says [M]."""
        return tuple(
            name
            for each in self.fields
            for name in (f"{', '.join(each.columns)} given", *each.features)
        )

    @property
    def size(self) -> int:
        """M, how many features there are."""
        return len(self.names)

    def encode(self, values: Mapping[str, object], *, strict: bool = False) -> Matrix:
        """One picture's facts, texts, numbers, times or None, as features [M].

        What is not given is missing, and so is what cannot be read, unless `strict`: then it is a
        ConfigError, as an unknown name and a list or an object in a value's place always are.
        """
        texts = {name: [_text(name, value)] for name, value in values.items()}
        self._check_names(texts)
        blocks = self._blocks(texts, 1)
        if strict:
            for each, block in zip(self.fields, blocks, strict=True):
                _check_read(each, texts, bool(block[0, 0]))
        row: Matrix = np.concatenate(blocks, axis=1)[0]
        return row

    def encode_columns(self, columns: Mapping[str, StringArray]) -> Matrix:
        """Columns of texts [N] as features [N, M]; no columns are no rows.

        What is missing or cannot be read gives zeros. ConfigError for an unknown name.
        """
        self._check_names(columns)
        rows = max((len(column) for column in columns.values()), default=0)
        texts = {name: _texts(columns[name]) for name in self.columns if name in columns}
        return np.concatenate(self._blocks(texts, rows), axis=1)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as model.json holds them."""
        return {"fields": [_plain(each) for each in self.fields], "left_out": dict(self.left_out)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "MetadataSpec":
        """The reverse of `to_dict`; ConfigError names what is missing, unknown or wrong."""
        form = settings_from(_Form, values, "metadata")
        if not all(isinstance(reason, str) for reason in form.left_out.values()):
            raise ConfigError(f"metadata: left_out is {form.left_out!r}; expected names and texts.")
        if not form.fields:
            raise ConfigError("metadata: fields is empty; expected at least one.")
        return cls(tuple(_field(i, each) for i, each in enumerate(form.fields)), form.left_out)

    def _blocks(self, texts: Mapping[str, Texts], rows: int) -> list[Matrix]:
        nothing = [""] * rows
        return [
            each.encode(*(texts.get(name, nothing) for name in each.columns))
            for each in self.fields
        ]

    def _check_names(self, given: Iterable[str]) -> None:
        known = (*self.columns, *self.left_out)
        for name in given:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(known)}."
                raise ConfigError(f"metadata: there is no {name!r} in this model. {hint}")


def fit_metadata(columns: Mapping[str, StringArray]) -> MetadataSpec:
    """Decide by the training pictures' columns [N] what each holds, and how it is encoded.

    A latitude and a longitude (by their names and values) are a place. A column is a time or a
    number where 95 % of its values are; else, or where it holds only a few different whole
    numbers, such as codes, ratings or months, a category. Numbers are taken for seconds since
    1970 or dates like 20240531 only where the column's name speaks of a time. What says nothing
    is left out: a column that is empty, the same for all pictures, or a category that hardly two
    pictures share. DatasetError where nothing is left.
    """
    texts = {name: _texts(column) for name, column in columns.items()}
    fields: list[Field] = []
    left_out: dict[str, str] = {}
    for names in _together(texts):
        found = _place(*names, texts) if len(names) == 2 else _single(names[0], texts[names[0]])
        if isinstance(found, str):
            left_out |= dict.fromkeys(names, found)
        else:
            fields.append(found)
    if not fields:
        reasons = "; ".join(f"{name!r} {reason}" for name, reason in left_out.items())
        raise DatasetError(
            f"the metadata of the training pictures say nothing: {reasons or 'there are none'}.\n"
            "Name other columns with --metadata, or leave it out."
        )
    return MetadataSpec(tuple(fields), left_out)


@dataclass(frozen=True)
class _Form:
    """The outer form of a spec as plain values."""

    fields: tuple[dict, ...]  # type: ignore[type-arg]  # as JSON has it; checked one by one
    left_out: dict = field(default_factory=dict)  # type: ignore[type-arg]


def _plain(each: Field) -> dict[str, Any]:
    kind = next(name for name, kind in _KINDS.items() if isinstance(each, kind))
    values = {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(each).items()}
    return {"kind": kind, **values}


def _field(position: int, values: Mapping[str, Any]) -> Field:
    where = f"metadata: fields[{position}]"
    kind = values.get("kind")
    if kind not in _KINDS:
        raise ConfigError(f"{where}: kind is {kind!r}; expected {', '.join(_KINDS)}.")
    rest = {key: value for key, value in values.items() if key != "kind"}
    made = settings_from(_KINDS[kind], rest, where)
    if isinstance(made, Number | Place):
        _check_scale(made, where)
    return made


def _check_scale(made: Number | Place, where: str) -> None:
    means = made.mean if isinstance(made, Place) else (made.mean,)
    if len(means) != len(made.features) and isinstance(made, Place):
        raise ConfigError(f"{where}: mean is {made.mean!r}; expected three numbers.")
    if not all(map(math.isfinite, means)) or not 0 < made.std < math.inf:
        raise ConfigError(f"{where}: mean {made.mean!r} and std {made.std!r} cannot standardise.")


def _text(name: str, value: object) -> str:
    """A value as a table would write it."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, date):  # a datetime is one
        return value.isoformat()
    if isinstance(value, Integral | np.bool_):
        return str(value)
    if isinstance(value, Real):
        return repr(float(value))
    raise ConfigError(
        f"metadata: {name} is {type(value).__name__} {value!r:.40}; expected a text or a number."
    )


def _texts(column: StringArray) -> Texts:
    return [text.strip() for text in column.tolist()]


def _check_read(each: Field, texts: Mapping[str, Texts], was_read: bool) -> None:
    """ConfigError where something was said that the field could not read."""
    for name in each.columns:
        (text,) = texts.get(name, [""])
        if not was_read and not is_missing(text):
            raise ConfigError(f"metadata: {name} is {text!r:.60}; expected {each.expects}.")


def _together(texts: Mapping[str, Texts]) -> Iterator[tuple[str, ...]]:
    """The columns' names, in order; those of a latitude and its longitude as a pair."""
    longitudes = {stem: name for name in texts if (stem := _stem(name, _LONGITUDE)) is not None}
    latitudes = {name: stem for name in texts if (stem := _stem(name, _LATITUDE)) is not None}
    pairs = {
        name: longitudes[stem]
        for name, stem in latitudes.items()
        if stem in longitudes and _are_places(texts[name], texts[longitudes[stem]])
    }
    for name in texts:
        if name in pairs:
            yield name, pairs[name]
        elif name not in pairs.values():
            yield (name,)


def _stem(name: str, sides: tuple[str, ...]) -> tuple[str, ...] | None:
    """What a name says beside "latitude" or "longitude"; None where it says neither."""
    words = [word for word in re.split(r"[\W_]+", name.casefold()) if word]
    rest = tuple(word for word in words if word not in sides)
    return rest if len(rest) == len(words) - 1 else None


def _are_places(latitudes: Texts, longitudes: Texts) -> bool:
    """Whether what stands in both columns lies on the earth; also where nothing stands there."""
    both = [
        pair
        for pair in zip(latitudes, longitudes, strict=True)
        if not any(is_missing(text) for text in pair)
    ]
    vectors = _vectors([north for north, _ in both], [east for _, east in both])
    return not both or _share(vectors[:, 0]) >= ENOUGH


def _vectors(latitudes: Texts, longitudes: Texts) -> Floats:
    return unit_vectors(numbers(latitudes), numbers(longitudes))


def _share(values: Floats) -> float:
    """How many of the values [N] could be read."""
    return float((~np.isnan(values)).mean())


def _place(latitude: str, longitude: str, texts: Mapping[str, Texts]) -> Place | str:
    vectors = _vectors(texts[latitude], texts[longitude])
    vectors = vectors[~np.isnan(vectors[:, 0])]
    if not len(vectors):
        return "holds nothing"
    std = float(np.sqrt(vectors.var(axis=0).mean()))
    if std < 1e-9:  # a few millimetres
        return "is the same place for all pictures"
    return Place(latitude, longitude, tuple(vectors.mean(axis=0).tolist()), std)


def _single(name: str, texts: Texts) -> Field | str:
    """What one column holds, or why it says nothing."""
    if not any(texts):
        return "holds nothing"
    if len({canonical(text) for text in texts if text}) == 1:
        return "is the same for all pictures that have it"
    known = [text for text in texts if not is_missing(text)]
    if known:
        values = numbers(known)
        is_number = _share(values) >= ENOUGH
        if not is_number or _speaks_of_time(name):
            turns = moments(known)
            if _share(turns[:, 0]) >= ENOUGH:
                return _time(name, turns)
        values = values[~np.isnan(values)]
        if is_number and not _are_codes(values):
            return _number(name, values)
    return _category(name, texts)


def _speaks_of_time(name: str) -> bool:
    return any(word in name.casefold() for word in _TIME_NAMES)


def _time(name: str, turns: Floats) -> Time | str:
    read = turns[~np.isnan(turns[:, 0])]
    if (np.nan_to_num(read, nan=-1) == np.nan_to_num(read[0], nan=-1)).all():
        return "is the same time for all pictures that have it"
    return Time(name, hours=bool((~np.isnan(read[:, 1])).any()))


def _are_codes(values: Floats) -> bool:
    """Whether numbers are so few, whole, and often repeated that a straight line says less."""
    found, counts = np.unique(values, return_counts=True)
    whole = bool((found == np.floor(found)).all())
    return whole and len(found) <= MOST_CODES and bool((counts >= RARE).all())


def _number(name: str, values: Floats) -> Number | str:
    largest = float(np.abs(values).max()) or 1.0  # scaled by it, no square can overflow
    mean, std = float((values / largest).mean() * largest), float((values / largest).std())
    if std * largest < np.finfo(np.float64).tiny:
        return "is the same number for all pictures that have it"
    return Number(name, mean, std * largest)


def _category(name: str, texts: Texts) -> Category | str:
    values = shared_values(texts)
    if not values:
        return f"has no value that {RARE} pictures share"
    return Category(name, values)
