"""Pictures that are certainly none of the classes: noise and textures, drawn by chance.

What a rule for "none of these" is compared on, so that its choice needs no collection of foreign
pictures. The kinds are many, so that no score wins by one trick.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

WIDTH, HEIGHT = 320, 240
EACH = 100

Floats = npt.NDArray[np.floating]
Paint = Callable[[np.random.Generator], Floats]  # colours 0 to 255, [H, W, 3]


def strangers(seed: int, each: int = EACH) -> Mapping[str, list[Image.Image]]:
    """`each` RGB pictures of 320 x 240 for every kind: "noise" and "textures"."""
    return {
        kind: [_picture(paints[i % len(paints)], [seed, number, i]) for i in range(each)]
        for number, (kind, paints) in enumerate(KINDS.items())
    }


def _picture(paint: Paint, seed: Sequence[int]) -> Image.Image:
    colours = paint(np.random.default_rng(seed))
    return Image.fromarray(np.clip(colours, 0, 255).astype(np.uint8))


def _colour(rng: np.random.Generator) -> Floats:
    return rng.uniform(0, 255, 3)


def _coloured(amount: Floats, rng: np.random.Generator) -> Floats:
    """From one colour where `amount` [H, W] is 0 to another where it is 1."""
    first, second = _colour(rng), _colour(rng)
    return first + amount[..., None] * (second - first)


def _channels(rng: np.random.Generator) -> int:
    """1 for grey, 3 for colour."""
    return int(rng.choice([1, 3]))


def _rgb(values: Floats) -> Floats:
    """Values of 0 to 1, [H, W, 1 or 3], as colours."""
    return np.broadcast_to(values * 255.0, (HEIGHT, WIDTH, 3))


def _positions(rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Coordinates across and down in pixels, [H, W] each, turned by a random angle."""
    down, across = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    angle = rng.uniform(0, np.pi)
    cos, sin = np.cos(angle), np.sin(angle)
    return across * cos + down * sin + WIDTH, down * cos - across * sin + WIDTH


def _scaled(values: Floats) -> Floats:
    """Stretched to 0 to 1."""
    low, high = values.min(), values.max()
    stretched: Floats = (values - low) / max(high - low, 1e-9)
    return stretched


def _enlarged(cells: Floats, resample: Image.Resampling) -> Floats:
    """A grid of values [h, w] over the whole picture."""
    image = Image.fromarray(cells.astype(np.float32))
    return np.asarray(image.resize((WIDTH, HEIGHT), resample))


def _uniform(rng: np.random.Generator) -> Floats:
    return _rgb(rng.uniform(0, 1, (HEIGHT, WIDTH, _channels(rng))))


def _around_a_colour(rng: np.random.Generator) -> Floats:
    spread = rng.uniform(5, 80)
    return _colour(rng) + rng.normal(0, spread, (HEIGHT, WIDTH, _channels(rng)))


def _pink(rng: np.random.Generator) -> Floats:
    """Noise whose spectrum falls as 1/f to some power, as in natural pictures (Field 1987)."""
    frequency = np.hypot(np.fft.fftfreq(HEIGHT)[:, None], np.fft.rfftfreq(WIDTH)[None])
    frequency[0, 0] = 1.0
    falling = frequency[..., None] ** -rng.uniform(0.6, 2.0)
    white = np.fft.rfft2(rng.normal(0, 1, (HEIGHT, WIDTH, _channels(rng))), axes=(0, 1))
    return _rgb(_scaled(np.fft.irfft2(white * falling, (HEIGHT, WIDTH), axes=(0, 1))))


def _salt(rng: np.random.Generator) -> Floats:
    drawn, share = rng.uniform(0, 1, (HEIGHT, WIDTH, 1)), rng.uniform(0.01, 0.3)
    salted = np.where(drawn > 1 - share / 2, 255.0, _colour(rng))
    return np.where(drawn < share / 2, 0.0, salted)


def _blocks(rng: np.random.Generator) -> Floats:
    side, channels = int(rng.integers(3, 40)), _channels(rng)
    cells = rng.uniform(0, 1, (channels, HEIGHT // side + 1, WIDTH // side + 1))
    resample = rng.choice([Image.Resampling.NEAREST, Image.Resampling.BICUBIC])
    return _rgb(np.stack([_enlarged(plane, Image.Resampling(resample)) for plane in cells], axis=2))


def _plain(rng: np.random.Generator) -> Floats:
    return np.broadcast_to(_colour(rng), (HEIGHT, WIDTH, 3))


def _gradient(rng: np.random.Generator) -> Floats:
    across, down = _positions(rng)
    round_one = np.hypot(across - across.mean(), down - down.mean())
    return _coloured(_scaled(round_one if rng.random() < 0.5 else across), rng)


def _stripes(rng: np.random.Generator) -> Floats:
    across, _ = _positions(rng)
    wave = np.sin(across * (2 * np.pi / rng.uniform(4, 80)))
    return _coloured((wave > 0) * 1.0 if rng.random() < 0.5 else (wave + 1) / 2, rng)


def _checkerboard(rng: np.random.Generator) -> Floats:
    (across, down), side = _positions(rng), rng.uniform(4, 60)
    return _coloured((across // side + down // side) % 2, rng)


def _woven(rng: np.random.Generator) -> Floats:
    (across, down), side = _positions(rng), rng.uniform(4, 30)
    over = (across // side + down // side) % 2 == 0
    thread = np.where(over, across, down) / side % 1
    return _coloured(np.sin(np.pi * thread) * np.where(over, 1.0, 0.6), rng)


def _dots(rng: np.random.Generator) -> Floats:
    (across, down), step = _positions(rng), rng.uniform(8, 60)
    radius = step * rng.uniform(0.15, 0.45)
    return _coloured(
        (np.hypot(across % step - step / 2, down % step - step / 2) < radius) * 1.0, rng
    )


def _bricks(rng: np.random.Generator) -> Floats:
    (across, down), high = _positions(rng), rng.uniform(10, 40)
    wide, joint = high * rng.uniform(1.5, 3), rng.uniform(1, 5)
    shifted = across + (down // high % 2) * wide / 2
    return _coloured(((shifted % wide < joint) | (down % high < joint)) * 1.0, rng)


def _clouds(rng: np.random.Generator) -> Floats:
    """Smooth noise at ever finer scales, each counting half as much (Perlin 1985)."""
    total = np.zeros((HEIGHT, WIDTH))
    for octave in range(int(rng.integers(2, 6))):
        cells = rng.uniform(-1, 1, (3 * 2**octave, 4 * 2**octave))
        total += _enlarged(cells, Image.Resampling.BICUBIC) / 2**octave
    return _coloured(_scaled(total), rng)


def _rings(rng: np.random.Generator) -> Floats:
    across, down = np.mgrid[:WIDTH, :HEIGHT].astype(float)
    x, y = rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT)
    distance = np.hypot(across - x, down - y).T
    return _coloured((np.sin(distance * (2 * np.pi / rng.uniform(6, 60))) + 1) / 2, rng)


def _polygons(rng: np.random.Generator) -> Floats:
    image = Image.new("RGB", (WIDTH, HEIGHT), _ink(rng))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(1, 30))):
        corners = rng.uniform((0, 0), (WIDTH, HEIGHT), (int(rng.integers(3, 7)), 2))
        draw.polygon([(float(x), float(y)) for x, y in corners], fill=_ink(rng))
    return np.asarray(image, dtype=float)


def _ink(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in _colour(rng))
    return red, green, blue


KINDS: Mapping[str, Sequence[Paint]] = {
    "noise": (_uniform, _around_a_colour, _pink, _salt, _blocks),
    "textures": (
        _plain,
        _gradient,
        _stripes,
        _checkerboard,
        _woven,
        _dots,
        _bricks,
        _clouds,
        _rings,
        _polygons,
    ),
}
