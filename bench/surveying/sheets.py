"""Contact sheets: groups of pictures as rows, to be looked at by eye."""

import re
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageOps

SIDE, CAPTION, ROWS, COLUMNS = 200, 26, 6, 6


def write_sheets(rows: Sequence[Sequence[Path]], folder: Path, name: str) -> None:
    """`<name>-01.png` and so on, six rows each; of each row the first six pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"\W+", "-", name)
    for i, start in enumerate(range(0, len(rows), ROWS)):
        _sheet(rows[start : start + ROWS]).save(folder / f"{name}-{i + 1:02}.png")


def _sheet(rows: Sequence[Sequence[Path]]) -> Image.Image:
    columns = max(len(row[:COLUMNS]) for row in rows)
    sheet = Image.new("RGB", (columns * SIDE, len(rows) * (SIDE + CAPTION)), "white")
    for y, row in enumerate(rows):
        for x, path in enumerate(row[:COLUMNS]):
            _paste(sheet, path, x * SIDE, y * (SIDE + CAPTION))
    return sheet


def _paste(sheet: Image.Image, path: Path, x: int, y: int) -> None:
    with Image.open(path) as picture:
        thumbnail = ImageOps.contain(picture.convert("RGB"), (SIDE - 8, SIDE - 8))
    sheet.paste(thumbnail, (x + 4, y + 4))
    caption = "\n".join(("/".join(path.parts[-3:-1]), path.name[:32]))
    ImageDraw.Draw(sheet).text((x + 4, y + SIDE - 2), caption, "black", font_size=10)
