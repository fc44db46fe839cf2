"""Odd ones out by what a picture looks like: its light, its sharpness, its size, its colours.

A picture is odd where two things agree: it is beyond a bound that holds for pictures of any kind,
and far from the others of its dataset. So pictures taken at night have no dark ones among them,
and of ordinary ones nobody is told that some are a little darker than the rest.

Far is beyond a fence at four times the distance from the median to the nearer quartile (A. C.
Kimber, "Exploratory data analysis for possibly censored data from skewed distributions", 1990):
each side has its own, since hardly any of these measures is symmetrical, and up to a quarter of
the pictures may be odd without moving it.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from discern.inspection.inspection import Looks, Odd, OddKind
from discern.survey.survey import GREY as GREY_SIDE
from discern.survey.survey import Survey

Values = npt.NDArray[np.floating[Any]]  # [k], one for each picture that could be decoded
Mask = npt.NDArray[np.bool_]  # [k]
Words = Callable[[int], str]  # what is said of a picture, by its place among the k

REACH = 4  # quartile distances from the median to the fence; 2.7 deviations if they are normal
NEARLY = 0.05  # share of a picture's places that do not count as its darkest or brightest
DARK = 0.2  # luma of nearly the brightest place; what is darker shows next to nothing
BRIGHT = 0.8  # luma of nearly the darkest place
UNIFORM = 0.02  # contrast
BLURRY = 1.0  # variance of the Laplacian over the deviation of grey levels, both of 0 to 255
ELONGATED = 3.0  # longer side over the shorter
LOOKED_AT = 224 * 224  # pixels that most networks look at
COLOURLESS = 3  # of 255; grey pictures kept as JPEG are not perfectly grey
SMALLEST = 1e-9  # of anything whose logarithm is taken
TWICE = float(np.log(2))
FEW = 0.1  # a larger share of pictures with other colours is nothing odd
_CHUNK = 1 << 14  # records that are sorted at a time


def odd_ones(looks: Looks, survey: Survey) -> tuple[Odd, ...]:
    """The pictures that differ from the others, by kind, the oddest of each kind first.

    `looks` are those of the survey. A picture may be odd in several ways.
    """
    darkest, brightest = _extremes(survey)
    dark = (brightest <= DARK) & _far_below(brightest)
    bright = (darkest >= BRIGHT) & _far_below(1 - darkest)
    light, contrast = looks.brightness, looks.contrast
    # Once black or white is said, there is no more to be seen: nothing blurred, nothing grey.
    uniform = (contrast <= UNIFORM) & _far_below(contrast) & ~dark & ~bright
    seen = ~(dark | bright | uniform)
    return (
        *_named(looks, "dark", dark, light, light, lambda i: _light(light[i])),
        *_named(looks, "bright", bright, light, -light, lambda i: _light(light[i])),
        *_blurry(looks, seen),
        *_named(looks, "uniform", uniform, contrast, contrast, lambda i: _plain(contrast[i])),
        *_elongated(looks),
        *_sizes(looks),
        *_other_colours(looks, survey, seen),
    )


def _extremes(survey: Survey) -> tuple[Values, Values]:
    """Luma of nearly the darkest and nearly the brightest of 32 × 32 places, each [k], 0 to 1."""
    greys = survey.records["grey"].reshape(-1, GREY_SIDE**2)
    first = round(NEARLY * greys.shape[1])
    ends = np.empty((len(greys), 2), np.float32)
    for start in range(0, len(greys), _CHUNK):
        part = slice(start, start + _CHUNK)
        ends[part] = np.sort(greys[part], axis=1)[:, [first, -1 - first]] / np.float32(255)
    darkest, brightest = _of_pictures(ends, survey).T
    return darkest, brightest


def _blurry(looks: Looks, seen: Mask) -> Iterator[Odd]:
    """Pictures whose edges are soft, for the contrast they have."""
    edges = looks.sharpness / (255 * np.maximum(looks.contrast, UNIFORM))
    # Subjects differ in it by much: fur, cloth, sky. A fifth of the usual at most is odd.
    blurry = seen & ~_small(looks) & (edges <= BLURRY) & _far_below(edges, 0.4)
    usual = np.median(looks.sharpness) if len(edges) else 0
    words = "sharpness {:.0f}, where {:.0f} is usual".format
    yield from _named(
        *(looks, "blurry", blurry, looks.sharpness, edges),
        lambda i: words(looks.sharpness[i], usual),
    )


def _elongated(looks: Looks) -> Iterator[Odd]:
    """Pictures of far more extreme proportions than the others."""
    shape = looks.width / looks.height
    wide = (shape >= ELONGATED) & _far_below(1 / shape)
    tall = (1 / shape >= ELONGATED) & _far_below(shape)
    ratio = np.maximum(shape, 1 / shape)
    yield from _named(
        *(looks, "elongated", wide | tall, ratio, -ratio),
        lambda i: f"{ratio[i]:.1f}:1" if wide[i] else f"1:{ratio[i]:.1f}",
    )


def _sizes(looks: Looks) -> Iterator[Odd]:
    """Pictures of a sixteenth of the others' pixels at most, or of sixteen times as many."""
    pixels = _pixels(looks)
    large = (pixels > LOOKED_AT) & _far_below(1 / pixels, TWICE)

    def words(i: int) -> str:
        return f"{looks.width[i]} × {looks.height[i]} px"

    yield from _named(looks, "small", _small(looks), pixels, pixels, words)
    yield from _named(looks, "large", large, pixels, -pixels, words)


def _small(looks: Looks) -> Mask:
    pixels = _pixels(looks)
    return (pixels < LOOKED_AT) & _far_below(pixels, TWICE)


def _pixels(looks: Looks) -> Values:
    return np.multiply(looks.width, looks.height, dtype=np.float64)


def _other_colours(looks: Looks, survey: Survey, seen: Mask) -> Iterator[Odd]:
    """The few grey ones among pictures in colour, the few in colour among grey ones, and CMYK."""
    places = survey.records["colour"]
    spread = (places.max(-1) - places.min(-1)).max((1, 2))  # [U], 0 where red = green = blue
    colourful = _of_pictures(spread, survey) / 255
    printed, grey = looks.mode == "CMYK", colourful <= COLOURLESS / 255
    for few, words in (
        (seen & grey & ~printed, "grey among pictures in colour"),
        (seen & ~grey & ~printed, "in colour among grey pictures"),
        (printed, "colours as for print (CMYK)"),
    ):
        if few.sum() <= FEW * len(few):
            alike = np.zeros(len(few))
            yield from _named(looks, "other colours", few, colourful, alike, _said(words))


def _said(words: str) -> Words:
    """The same words of every picture."""
    return lambda _i: words


def _far_below(values: Values, least: float = 0.2) -> Mask:
    """Which positive values lie below the fence, taken on their logarithms.

    The quartile counts as `least` from the median where it is nearer: where nearly all pictures
    are alike, none would have to differ by much.
    """
    if not len(values):
        return np.zeros(0, bool)
    logs = np.log(np.maximum(values, SMALLEST))
    quartile, median = np.percentile(logs, [25, 50])
    return np.asarray(logs < median - REACH * max(median - quartile, least))


def _of_pictures(values: npt.NDArray[Any], survey: Survey) -> npt.NDArray[Any]:
    """Values of the records [U, …] as values of the pictures that could be decoded [k, …]."""
    return values[survey.index[survey.index >= 0]]


def _named(
    looks: Looks, kind: OddKind, odd: Mask, value: Values, rank: Values, words: Words
) -> Iterator[Odd]:
    """The odd ones of a kind, by ascending rank."""
    places = np.flatnonzero(odd)
    for i in places[np.argsort(rank[places], kind="stable")].tolist():
        yield Odd(int(looks.samples[i]), kind, float(value[i]), words(i))


def _light(brightness: float) -> str:
    return f"mean brightness {100 * brightness:.0f} %"


def _plain(contrast: float) -> str:
    return f"nearly one colour: contrast {100 * contrast:.1f} %"
