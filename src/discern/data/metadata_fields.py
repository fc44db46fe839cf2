"""How one fact beside a picture becomes numbers: as a number, a time, a place or a category.

Each field gives a block of features [N, size]. The first says whether the fact is there; where it
is not, the whole row is zeros, which is also the mean of whatever is standardised.
"""

import math
import re
from calendar import isleap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

# What tables write for nothing. A category takes these as values: there, "none" may say something.
MISSING = frozenset({"", "na", "n/a", "nan", "nat", "null", "none"})
FARTHEST = 5.0  # standard deviations; an odd value must not drown the picture
MOST_VALUES = 64  # places of a category
RARE = 5  # what fewer training pictures share shares one place with what is new

Texts: TypeAlias = Sequence[str]  # [N], "" where nothing is known
Matrix: TypeAlias = npt.NDArray[np.float32]
Floats: TypeAlias = npt.NDArray[Any]

_UNIX_SECONDS = (1e8, 1e10)  # 1973 to 2286; below lie dates of eight digits
_PLAIN_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")
_WHOLE = re.compile(r"([+-]?\d+)\.0*")
_EXIF_DATE = re.compile(r"^(\d{4}):(\d\d):(\d\d)")


@dataclass(frozen=True)
class Number:
    """A quantity, standardised by the training pictures and cut at five standard deviations."""

    name: str
    mean: float
    std: float
    expects: ClassVar[str] = "a number"

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def features(self) -> tuple[str, ...]:
        return (self.name,)

    def encode(self, texts: Texts) -> Matrix:
        return _block(_standardised(numbers(texts)[:, None], self.mean, self.std))


@dataclass(frozen=True)
class Time:
    """A time as the hands of two clocks, of the day and of the year: sine and cosine each.

    The hour is the one that is written, in whatever zone: light follows the local hour, and EXIF
    writes no zone. Seconds since 1970 are read as UTC. Where no hour is written, the day's hand
    is at zero; `hours` says whether training pictures had any. Years and weekdays are left out:
    the ones to come cannot be learned, the others show in few pictures.
    """

    name: str
    hours: bool
    expects: ClassVar[str] = (
        "a time: ISO 8601 (2024-05-31T14:30), EXIF's form, a date, or seconds since 1970"
    )

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def features(self) -> tuple[str, ...]:
        hands = ("year", "day") if self.hours else ("year",)
        return tuple(f"{self.name} {hand} {part}" for hand in hands for part in ("sin", "cos"))

    def encode(self, texts: Texts) -> Matrix:
        turns = moments(texts) * (2 * math.pi)
        year, day = (np.stack([np.sin(turn), np.cos(turn)], 1) for turn in turns.T)
        return _block(np.concatenate([year, np.nan_to_num(day)], 1) if self.hours else year)


@dataclass(frozen=True)
class Place:
    """A place as a unit vector from the middle of the earth, so that longitude has no seam.

    Centred on the training pictures' mean and scaled by how far they lie around it: the streets
    of one town must be as far apart, to a head, as the countries of a continent.
    """

    latitude: str
    longitude: str
    mean: tuple[float, ...]  # [3]
    std: float  # one for all axes, so that distances keep their proportions
    expects: ClassVar[str] = "a latitude (-90 to 90) with a longitude (-180 to 360), in degrees"

    @property
    def columns(self) -> tuple[str, ...]:
        return self.latitude, self.longitude

    @property
    def features(self) -> tuple[str, ...]:
        return tuple(f"{self.latitude}, {self.longitude} {axis}" for axis in "xyz")

    def encode(self, latitudes: Texts, longitudes: Texts) -> Matrix:
        vectors = unit_vectors(numbers(latitudes), numbers(longitudes))
        return _block(_standardised(vectors, np.asarray(self.mean), self.std))


@dataclass(frozen=True)
class Category:
    """One of some values, a feature for each; rare ones and new ones share the first."""

    name: str
    values: tuple[str, ...]
    expects: ClassVar[str] = "a text"

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def features(self) -> tuple[str, ...]:
        return (f"{self.name} other", *(f"{self.name} = {value}" for value in self.values))

    def encode(self, texts: Texts) -> Matrix:
        places = {value: place for place, value in enumerate(self.values, start=2)}
        block = np.zeros((len(texts), 2 + len(self.values)), np.float32)
        for row, text in enumerate(texts):
            if text:
                block[row, [0, places.get(canonical(text), 1)]] = 1
        return block


Field: TypeAlias = Number | Time | Place | Category


def numbers(texts: Texts) -> Floats:
    """The texts as numbers [N]; NaN where they are none, or not finite."""
    return np.array([_number(text) for text in texts], np.float64)


def moments(texts: Texts) -> Floats:
    """How far the year and the day have gone, each from 0 to 1: [N, 2].

    NaN where a text is no time, and for the day where it has no hour.
    """
    return np.array([_turns(text) for text in texts], np.float64).reshape(-1, 2)


def unit_vectors(latitudes: Floats, longitudes: Floats) -> Floats:
    """Degrees [N] each as points on the unit sphere [N, 3]; NaN where they are no place."""
    real = (np.abs(latitudes) <= 90) & (longitudes >= -180) & (longitudes <= 360)
    north, east = (np.radians(np.where(real, side, np.nan)) for side in (latitudes, longitudes))
    return np.stack([np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)], 1)


def canonical(text: str) -> str:
    """One spelling of what is the same: 7.0 is 7 and True is true, but 007 stays 007."""
    if match := _WHOLE.fullmatch(text):
        return match[1]
    return text.casefold() if text.casefold() in ("true", "false") else text


def is_missing(text: str) -> bool:
    """Whether a text stands for nothing, where a number, a time or a place is meant."""
    return text.casefold() in MISSING


def shared_values(texts: Texts) -> tuple[str, ...]:
    """The values that enough pictures share, the most frequent first, at most 64 of them."""
    counts = Counter(canonical(text) for text in texts if text)
    common = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return tuple(value for value, n in common[:MOST_VALUES] if n >= RARE)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _turns(text: str) -> tuple[float, float]:
    try:
        if _PLAIN_NUMBER.fullmatch(text) and len(text) != len("YYYYMMDD"):
            return _clock(_from_unix(float(text)))
        text = _EXIF_DATE.sub(r"\1-\2-\3", text)
        try:
            return _year(date.fromisoformat(text)), math.nan
        except ValueError:
            return _clock(datetime.fromisoformat(text))
    except ValueError:
        return math.nan, math.nan


def _from_unix(seconds: float) -> datetime:
    first, last = _UNIX_SECONDS
    if not first <= seconds < last:
        raise ValueError(f"{seconds} is no time of a picture")
    return datetime.fromtimestamp(seconds, UTC)


def _clock(moment: datetime) -> tuple[float, float]:
    hours = moment.hour + moment.minute / 60 + moment.second / 3600
    return _year(moment), hours / 24


def _year(day: date) -> float:
    return (day.timetuple().tm_yday - 1) / (366 if isleap(day.year) else 365)


def _standardised(values: Floats, mean: Any, std: float) -> Floats:
    with np.errstate(over="ignore"):  # infinity is cut like any other odd value
        scaled: Floats = np.clip((values - mean) / std, -FARTHEST, FARTHEST)
    return scaled


def _block(features: Floats) -> Matrix:
    """The features [N, k], NaN in rows where nothing is known, as a field's block [N, 1 + k]."""
    given = ~np.isnan(features[:, :1])
    return np.concatenate([given, np.where(given, features, 0)], 1).astype(np.float32)
